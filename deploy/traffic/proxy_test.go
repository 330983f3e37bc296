package traffic

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// raw sends text over a new connection to the router and returns the connection's reader.
func raw(t *testing.T, addr, text string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	return conn, bufio.NewReader(conn)
}

func TestPages(t *testing.T) {
	r := newTestRouter(t)
	r.route("new", 0)
	r.route("worker", 7)
	gone := backend(t, says(""))
	r.route("gone", 3, gone)
	gone.Close()
	r.route("rude", 4, backend(t, func(w http.ResponseWriter, _ *http.Request) {
		c, _, _ := http.NewResponseController(w).Hijack()
		c.Close()
	}))
	r.route("shop", 5, backend(t, says("hello")))
	for _, tt := range []struct {
		host   string
		status int
		text   string
	}{
		{"shop.localhost", 200, "hello"},
		{"SHOP.localhost.:8000", 200, "hello"},
		{"new.localhost", 503, "nothing is deployed to \"new\" yet\n"},
		{"worker.localhost", 503, "\"worker\" has no process that answers HTTP\n"},
		{"gone.localhost", 502, "\"gone\" is down: it takes no connections\n"},
		{"rude.localhost", 502, "\"rude\" broke off without an answer\n"},
		{"shpo.localhost:8000", 404, "no app answers at \"shpo.localhost\": apps answer at http://<app>.localhost:8000/\n"},
		{"a.shop.localhost", 404, "no app answers at \"a.shop.localhost\": apps answer at http://<app>.localhost/\n"},
		{"127.0.0.1:8000", 404, "no app answers at \"127.0.0.1\": apps answer at http://<app>.localhost:8000/\n"},
		{"[::1]:8000", 404, "no app answers at \"[::1]\": apps answer at http://<app>.localhost:8000/\n"},
		{"localhost", 404, "no app answers at \"localhost\": apps answer at http://<app>.localhost/\n"},
	} {
		if status, text := r.get(tt.host, "/"); status != tt.status || text != tt.text {
			t.Errorf("%s: %d %q", tt.host, status, text)
		}
	}
	res, err := http.DefaultClient.Do(r.request("GET", "gone.localhost", "/", nil))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if h := res.Header; h.Get("Content-Type") != "text/plain; charset=utf-8" || h.Get("Cache-Control") != "no-store" || h.Get("X-Request-Id") == "" {
		t.Errorf("headers of a page: %v", h)
	}
	_, br := raw(t, r.addr, "CONNECT example.com:443 HTTP/1.1\r\nHost: shop.localhost\r\n\r\n")
	contains(t, readAll(t, br, 200), "405 Method Not Allowed")
}

func readAll(t *testing.T, r io.Reader, limit int64) string {
	t.Helper()
	b, err := io.ReadAll(io.LimitReader(r, limit))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// echoHeaders answers with the request line and the request's headers, one per line.
func echoHeaders(w http.ResponseWriter, req *http.Request) {
	fmt.Fprintf(w, "%s %s %s\n", req.Method, req.Host, req.RequestURI)
	req.Header.Write(w)
}

func TestWhatTheAppIsTold(t *testing.T) {
	r := newTestRouter(t)
	r.route("shop", 1, backend(t, echoHeaders))
	req := r.request("POST", "shop.localhost:8000", "//a%2Fb/../c?x=1;y=%zz&z", strings.NewReader("body"))
	req.Header = http.Header{
		"X-Forwarded-For":    {"6.6.6.6"},
		"X-Forwarded-Host":   {"evil.example"},
		"X-Forwarded-Proto":  {"https"},
		"X-Forwarded-Server": {"evil"},
		"X_forwarded_for":    {"6.6.6.6"},
		"X-Real-Ip":          {"6.6.6.6"},
		"Forwarded":          {"for=6.6.6.6"},
		"Connection":         {"X-Secret-Hop, close"},
		"X-Secret-Hop":       {"1"},
		"Keep-Alive":         {"timeout=5"},
		"Proxy-Connection":   {"keep-alive"},
		"Te":                 {"trailers"},
		"X-Kept":             {"yes"},
		"X-Request-Id":       {"from-client"},
		"User-Agent":         {""},
	}
	_, text := do(t, req)
	lines := strings.Split(strings.TrimSpace(strings.ReplaceAll(text, "\r", "")), "\n")
	want := []string{
		"POST shop.localhost:8000 //a%2Fb/../c?x=1;y=%zz&z",
		"Accept-Encoding: gzip",
		"Content-Length: 4",
		"Te: trailers",
		"X-Forwarded-For: 127.0.0.1",
		"X-Forwarded-Host: shop.localhost:8000",
		"X-Forwarded-Proto: http",
		"X-Kept: yes",
		"X-Request-Id: from-client",
	}
	if d := cmp.Diff(want, lines); d != "" {
		t.Error(d)
	}
}

func TestRequestIDs(t *testing.T) {
	r := newTestRouter(t)
	r.route("shop", 1, backend(t, func(w http.ResponseWriter, req *http.Request) { io.WriteString(w, req.Header.Get("X-Request-Id")) }))
	seen := make(map[string]bool)
	for _, given := range []string{"", "two words", strings.Repeat("x", 201)} {
		req := r.request("GET", "shop.localhost", "/", nil)
		req.Header.Set("X-Request-Id", given)
		_, id := do(t, req)
		if len(id) != 32 || seen[id] {
			t.Errorf("given %.10q: id %q", given, id)
		}
		seen[id] = true
	}
}

func TestTrustedProxies(t *testing.T) {
	for _, tt := range []struct {
		trusted string
		want    string
	}{
		{"127.0.0.0/8", "9.9.9.9, 8.8.8.8, 127.0.0.1 www.example https"},
		{"10.0.0.0/8", "127.0.0.1 shop.localhost http"},
	} {
		r := newTestRouter(t, func(c *Config) { c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix(tt.trusted)} })
		r.route("shop", 1, backend(t, func(w http.ResponseWriter, req *http.Request) {
			h := req.Header
			fmt.Fprintf(w, "%s %s %s", h.Get("X-Forwarded-For"), h.Get("X-Forwarded-Host"), h.Get("X-Forwarded-Proto"))
		}))
		req := r.request("GET", "shop.localhost", "/", nil)
		req.Header = http.Header{"X-Forwarded-For": {"9.9.9.9", "8.8.8.8"}, "X-Forwarded-Host": {"www.example"}, "X-Forwarded-Proto": {"https"}}
		if _, got := do(t, req); got != tt.want {
			t.Errorf("%s: %s", tt.trusted, got)
		}
	}
}

func TestHTTP2WithoutTLS(t *testing.T) {
	r := newTestRouter(t)
	r.route("shop", 1, backend(t, func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		b, _ := io.ReadAll(req.Body)
		fmt.Fprintf(w, "%s %s %d %s", req.Proto, req.Host, len(b), req.Trailer.Get("X-End"))
		w.Header().Set("X-Sum", "1")
	}))
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: p}}
	defer client.CloseIdleConnections()
	req := r.request("POST", "shop.localhost", "/", io.MultiReader(strings.NewReader("abc")))
	req.Trailer = http.Header{"X-End": {"fin"}}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body := readAll(t, res.Body, 1<<20)
	if res.ProtoMajor != 2 || body != "HTTP/1.1 shop.localhost 3 fin" || res.Trailer.Get("X-Sum") != "1" {
		t.Errorf("%s %q trailers %v", res.Proto, body, res.Trailer)
	}
}

func TestUpgradeToHTTP2StaysOutside(t *testing.T) {
	r := newTestRouter(t)
	r.route("shop", 1, backend(t, echoHeaders))
	_, br := raw(t, r.addr, "GET / HTTP/1.1\r\nHost: shop.localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n")
	res, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	body := readAll(t, res.Body, 1<<20)
	if res.StatusCode != http.StatusOK || strings.Contains(strings.ToLower(body), "upgrade") || strings.Contains(body, "Http2-Settings") {
		t.Errorf("%s\n%s", res.Status, body)
	}
}

// Whoever opens connections and says nothing does not keep them.
func TestIdleConnectionsEnd(t *testing.T) {
	r := newTestRouter(t, func(c *Config) { c.idleTimeout = 50 * time.Millisecond })
	r.route("shop", 1, backend(t, says("hello")))
	_, br := raw(t, r.addr, "GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n")
	if text := readAll(t, br, 1<<20); !strings.HasSuffix(text, "hello") {
		t.Errorf("%q", text)
	}
	eventually(t, "the connection is gone", func() bool {
		h, err := r.Health(t.Context())
		return err == nil && h.Connections == 0
	})
}
