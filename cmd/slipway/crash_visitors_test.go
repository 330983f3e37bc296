package main

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// visitors ask the app visited all the time. What they may see is said before it can happen.
type visitors struct {
	port string
	stop chan struct{}
	done sync.WaitGroup

	mu       sync.Mutex
	allowed  []string // revisions
	tolerant bool     // of no answer, or one cut short; never of a wrong one
	wrong    []string
	answers  int
}

// visitorCount is how many ask beside each other.
const visitorCount = 2

func startVisitors(t *testing.T, port string) *visitors {
	v := &visitors{port: port, stop: make(chan struct{})}
	for range visitorCount {
		v.done.Go(v.visit)
	}
	t.Cleanup(func() {
		close(v.stop)
		v.done.Wait()
	})
	return v
}

func (v *visitors) visit() {
	// Not one connection is used again, so that no client tries again behind our back.
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-v.stop:
			return
		case <-tick.C:
		}
		v.mu.Lock()
		asking := len(v.allowed) > 0
		v.mu.Unlock()
		if asking {
			revision, err := whoServes(client, "visited", v.port)
			v.judge(revision, err)
		}
	}
}

// judge notes an answer that should not have been.
func (v *visitors) judge(revision string, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.answers++
	switch {
	case err != nil && !v.tolerant:
		v.wrong = append(v.wrong, err.Error())
	case err == nil && len(v.allowed) > 0 && !slices.Contains(v.allowed, revision):
		v.wrong = append(v.wrong, "an answer of "+revision)
	}
}

// allow says what may be seen from now on.
func (v *visitors) allow(tolerant bool, revisions ...string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.allowed, v.tolerant = slices.Clone(revisions), tolerant
}

// seen returns what should not have been, and forgets it.
func (v *visitors) seen() (answers int, wrong []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	answers, wrong = v.answers, v.wrong
	v.answers, v.wrong = 0, nil
	if len(wrong) > 5 {
		wrong = append(wrong[:5], fmt.Sprintf("and %d more", len(wrong)-5))
	}
	return answers, wrong
}

// whoServes asks an app for its revision. An answer that is not whole, or not of one revision, is an error.
func whoServes(client *http.Client, app, port string) (string, error) {
	req, err := http.NewRequest(http.MethodGet, "http://127.0.0.1:"+port+"/", nil)
	if err != nil {
		return "", err
	}
	req.Host = app + ".localhost"
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", fmt.Errorf("reading an answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("answered %s: %.200s", resp.Status, body)
	}
	lines := strings.Split(string(body), "\n")
	if len(slices.Compact(lines[:len(lines)-1])) != 1 || strings.Count(string(body), "\n") != 400 {
		return "mixed", nil
	}
	return lines[0], nil
}
