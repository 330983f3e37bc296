package monitor

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"

	"slipway/deploy"
)

// elsewhere sees a production that is not on this machine.
type elsewhere struct {
	monitor *Monitor
	subject Subject
}

func (e *elsewhere) close() {}

func (e *elsewhere) see(ctx context.Context, _ bool) sight {
	ctx, cancel := context.WithTimeout(ctx, e.monitor.config.ProbeTimeout)
	defer cancel()
	s := sight{name: "production", probed: true}
	m := e.subject.Manifest
	var asking sync.WaitGroup
	asking.Go(func() { s.revision = e.verify(ctx, m.Verify.URL) })
	s.probe = get(ctx, e.monitor.outside, m.Health.URL, "GET "+m.Health.URL)
	asking.Wait()
	return s
}

// verify asks for the revision and returns what is wrong with the answer, "" if nothing is.
func (e *elsewhere) verify(ctx context.Context, url string) string {
	if url == "" {
		return "there is no address that tells the revision"
	}
	p, body := fetch(ctx, e.monitor.outside, url, "GET "+url)
	want := e.subject.Candidate.Release.Revision
	switch {
	case p.status != http.StatusOK:
		return p.blame()
	case !names(string(body), want):
		return fmt.Sprintf("%s does not answer with revision %s%s", url, want.Short(), instead(string(body)))
	}
	return ""
}

// hexadecimal is a word that may be a revision, whole or shortened to at least twelve digits.
var hexadecimal = regexp.MustCompile(`\b[0-9A-Fa-f]{12,64}\b`)

// names tells whether a text holds a revision, whole or its first twelve digits or more.
func names(text string, revision deploy.OID) bool {
	for _, word := range hexadecimal.FindAllString(text, -1) {
		if strings.HasPrefix(string(revision), strings.ToLower(word)) {
			return true
		}
	}
	return false
}

// instead says what a short answer was.
func instead(body string) string {
	body = strings.TrimSpace(body)
	if body == "" || strings.ContainsAny(body, "\n<") || len(body) > 80 {
		return ""
	}
	return fmt.Sprintf(" but with %q", clean(body))
}
