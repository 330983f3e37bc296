//go:build bench

package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/deploy"
	"slipway/deploy/control"
	"slipway/webui"
)

// What a page may take: issue 5's budget.
const (
	pageTime = 20 // milliseconds on the server
	pageSize = 50 // KiB compressed
)

// looksAgain is after how long the server has looked at every app since it was deployed, which it does every
// ten seconds for pages.
const looksAgain = 12 * time.Second

// benchWeb measures the first page of the server with many apps, and the history of very many deployments.
func benchWeb(t *testing.T, p *place, r *report) {
	s := r.section("Pages", "page", "takes", "goal", "compressed", "goal")
	s.note("The first one by HTTP from the server as it runs, which looks at every instance every ten seconds; the others from their handler.")
	p.fleet(t)
	p.rested(t)
	<-time.After(looksAgain)
	client, home := p.signIn(t)
	figures, size := visits(t, func() (int, []byte) { return fetched(t, client, home) })
	s.page(fmt.Sprintf("`/` with %d apps, each with an instance", *benchApps), figures, size)

	site := historySite(t, filepath.Join(p.dir, "web.db"))
	for _, q := range []string{"/deployments", "/deployments?app=app1&status=rejected&user=user7", "/deployments?text=failed+cart", fmt.Sprintf("/deployments?before=%d", *benchDeployments/2)} {
		figures, size := visits(t, func() (int, []byte) { return answered(t, site, q) })
		s.page(fmt.Sprintf("`%s` of %d", q, *benchDeployments), figures, size)
	}
}

func (s *section) page(name string, took figures, size float64) {
	s.row(name, took.String(), atMost(took.median(), pageTime, " ms"), digits(size)+" KiB", atMost(size, pageSize, " KiB"))
}

// fleet has as many apps deployed as are asked for.
func (p *place) fleet(t *testing.T) {
	t.Helper()
	had := len(strings.Split(p.slipway(t, "app", "list"), "\n"))
	busy := make(chan bool, 8)
	var all sync.WaitGroup
	for i := had; i < *benchApps; i++ {
		w := p.newApp(t, fmt.Sprintf("berth%d", i), benchManifest)
		all.Go(func() {
			busy <- true
			defer func() { <-busy }()
			w.push("slipway")
		})
	}
	all.Wait()
}

// signIn returns a browser of the operator, and the address of the first page.
func (p *place) signIn(t *testing.T) (*http.Client, string) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	home, secret, ok := strings.Cut(p.slipway(t, "login"), "login?link=")
	if !ok {
		t.Fatalf("no link: %s", home)
	}
	home = home[strings.Index(home, "http://"):]
	client := &http.Client{Jar: jar, Timeout: time.Minute, Transport: &http.Transport{DisableCompression: true}}
	res, err := client.PostForm(home+"login", url.Values{"link": {secret}})
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return client, home
}

// visits asks for a page often. It returns how long that took, and how large it is, compressed, in KiB.
func visits(t *testing.T, visit func() (status int, zipped []byte)) (took figures, size float64) {
	t.Helper()
	for i := range 60 {
		begin := time.Now()
		status, zipped := visit()
		passed := time.Since(begin)
		if status != http.StatusOK {
			t.Fatalf("the page answers %d", status)
		}
		if i >= 10 {
			took.add(passed)
		}
		size = float64(len(zipped)) / 1024
	}
	return took, size
}

func fetched(t *testing.T, client *http.Client, address string) (int, []byte) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", "gzip")
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, whole(t, body)
}

// whole checks that a page is compressed, and is one.
func whole(t *testing.T, body []byte) []byte {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil || !bytes.Contains(text, []byte("Sign out")) {
		t.Fatalf("no page: %s, error %v", text, err)
	}
	return body
}

func answered(t *testing.T, site http.Handler, path string) (int, []byte) {
	t.Helper()
	req := httptest.NewRequest(http.MethodGet, path, nil)
	req.Header.Set("Accept-Encoding", "gzip")
	req.AddCookie(&http.Cookie{Name: "slipway_session", Value: "x"})
	w := httptest.NewRecorder()
	site.ServeHTTP(w, req)
	return w.Code, whole(t, w.Body.Bytes())
}

// historySite is the pages over a database of very many deployments.
func historySite(t *testing.T, path string) http.Handler {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	db := filledHistory(t, "sqlite", path, quiet)
	t.Cleanup(func() { db.Close() })
	site, err := webui.New(webui.Config{
		Control: control.New(control.Config{Records: db, Logger: quiet}), Sessions: anybody{}, IP: func(*http.Request) string { return "" },
		Now: time.Now, Logger: quiet,
	})
	if err != nil {
		t.Fatal(err)
	}
	pages, err := zipped(site)
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

// anybody takes every cookie for the operator's.
type anybody struct{ browsers }

// browsers lets anybody be embedded beside a method of its name.
type browsers = webui.Sessions

func (anybody) SessionCaller(context.Context, string, string) (deploy.Caller, deploy.Session, error) {
	return deploy.Caller{Actor: deploy.Actor{Type: deploy.ActorOperator, Name: "operator"}, Admin: true}, deploy.Session{}, nil
}
