package egress

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// book is a name server whose answers the test chooses: each look-up takes the next.
type book struct {
	mu      sync.Mutex
	answers map[string][]string
	asked   map[string]int
}

func (b *book) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	answers := b.answers[host]
	if len(answers) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	if b.asked == nil {
		b.asked = map[string]int{}
	}
	answer := answers[min(b.asked[host], len(answers)-1)]
	b.asked[host]++
	var addresses []netip.Addr
	for _, text := range strings.Fields(answer) {
		addresses = append(addresses, netip.MustParseAddr(text))
	}
	return addresses, nil
}

// always is a name server with one answer.
type always struct{ address netip.Addr }

func (a *always) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{a.address}, nil
}

// log is a log as a test reads it.
type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// open serves an allow-list on a fresh socket.
func open(t *testing.T, resolver Resolver, allow ...string) (socket string, lines *log, closer io.Closer) {
	t.Helper()
	lines = &log{}
	socket = filepath.Join(t.TempDir(), "egress.sock")
	closer, err := New(Config{Resolver: resolver}).Listen(socket, allow, lines)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closer.Close() })
	return socket, lines, closer
}

// browse is a client that knows no other way out than the socket.
func browse(t *testing.T, socket string, server *httptest.Server) *http.Client {
	t.Helper()
	transport := &http.Transport{
		Proxy:       http.ProxyURL(&url.URL{Scheme: "http", Host: "proxy.invalid:1"}),
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dialLong(ctx, socket) },
	}
	if server != nil && server.TLS != nil {
		transport.TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
		transport.TLSClientConfig.ServerName = "example.com"
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

func dialLong(ctx context.Context, socket string) (net.Conn, error) {
	dir, err := os.Open(filepath.Dir(socket))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	var d net.Dialer
	return d.DialContext(ctx, "unix", fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(socket)))
}

func hello(t *testing.T, start func(http.Handler) *httptest.Server) *httptest.Server {
	t.Helper()
	server := start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "hello %s %s", r.URL.Path, b)
	}))
	t.Cleanup(server.Close)
	return server
}

func port(t *testing.T, server *httptest.Server) string {
	t.Helper()
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func get(t *testing.T, client *http.Client, address string) (int, string) {
	t.Helper()
	response, err := client.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(b)
}

// TestStory: a build reaches the hosts that the operator listed, by tunnel and by plain HTTP, no other,
// and its log names each once.
func TestStory(t *testing.T) {
	secure, plain := hello(t, httptest.NewTLSServer), hello(t, httptest.NewServer)
	names := &book{answers: map[string][]string{"modules.test": {"127.0.0.1"}, "mirror.test": {"127.0.0.1"}, "evil.test": {"127.0.0.1"}}}
	socket, lines, _ := open(t, names, "modules.test", "mirror.test:"+port(t, plain))
	client := browse(t, socket, secure)

	for range 2 {
		if status, body := get(t, client, "https://modules.test:"+port(t, secure)+"/v1"); status != 200 || body != "hello /v1 " {
			t.Fatalf("through a tunnel: %d %q", status, body)
		}
		client.CloseIdleConnections()
	}
	if status, body := get(t, client, "http://mirror.test:"+port(t, plain)+"/deb"); status != 200 || body != "hello /deb " {
		t.Fatalf("plain: %d %q", status, body)
	}
	status, body := get(t, client, "http://evil.test:"+port(t, plain)+"/")
	want := "egress: evil.test:" + port(t, plain) + " was refused: it is not on the list of hosts that may be reached\n"
	if status != 403 || body != want {
		t.Fatalf("not listed: %d %q, want 403 %q", status, body, want)
	}
	if _, err := client.Get("https://evil.test/"); err == nil || !strings.Contains(err.Error(), "Forbidden") {
		t.Fatalf("a tunnel to a host not listed: %v, want Forbidden", err)
	}
	got := lines.String()
	wantLog := "egress: reached modules.test:" + port(t, secure) + "\n" +
		"egress: reached mirror.test:" + port(t, plain) + "\n" +
		"egress: refused evil.test:" + port(t, plain) + ": it is not on the list of hosts that may be reached\n" +
		"egress: refused evil.test:443: it is not on the list of hosts that may be reached\n"
	if diff := cmp.Diff(wantLog, got); diff != "" {
		t.Fatal(diff)
	}
}

func TestRefusedTunnelSaysWhyInItsBody(t *testing.T) {
	socket, _, _ := open(t, &book{}, "*")
	conn, err := dialLong(t.Context(), socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "CONNECT 10.1.2.3:443 HTTP/1.1\r\nHost: 10.1.2.3:443\r\n\r\n")
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: http.MethodConnect})
	if err != nil {
		t.Fatal(err)
	}
	// ReadResponse gives a CONNECT's refusal a body, since only 200 opens a tunnel.
	body, _ := io.ReadAll(response.Body)
	if response.StatusCode != http.StatusForbidden || !strings.Contains(string(body), "10.1.2.3:443 was refused: its address 10.1.2.3 is not on the outside") {
		t.Fatalf("%s %q", response.Status, body)
	}
}

func TestWildcardLeadsNowhereInside(t *testing.T) {
	server := hello(t, httptest.NewServer)
	names := &book{answers: map[string][]string{
		"trap.test": {"127.0.0.1"}, "localhost": {"127.0.0.1 ::1"}, "six.test": {"::1"}, "mapped.test": {"::ffff:127.0.0.1"},
		"metadata.test": {"169.254.169.254"}, "nat64.test": {"64:ff9b::7f00:1"}, "6to4.test": {"2002:7f00:1::"},
	}}
	socket, _, _ := open(t, names, "*", "*.test")
	client := browse(t, socket, nil)
	hosts := []string{
		"127.0.0.1", "127.1.2.3", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]", "10.0.0.1", "172.16.0.1", "192.168.1.1",
		"100.64.0.1", "169.254.169.254", "[fe80::1]", "[fc00::1]", "224.0.0.1", "255.255.255.255", "198.18.0.1", "localhost",
		"trap.test", "TRAP.test.", "six.test", "mapped.test", "metadata.test", "nat64.test", "6to4.test",
	}
	for _, host := range hosts {
		status, body := get(t, client, "http://"+host+":"+port(t, server)+"/")
		if status != 403 {
			t.Errorf("%s: %d %q, want 403", host, status, body)
		}
	}
}

func TestOwnAddressIsRefusedAlthoughPublic(t *testing.T) {
	g := &guard{
		rules: rules{{suffix: true}}, resolver: &book{answers: map[string][]string{"me.test": {"8.8.4.4"}, "you.test": {"8.8.8.8"}}},
		own: func() ([]net.Addr, error) {
			return []net.Addr{&net.IPNet{IP: net.ParseIP("8.8.4.4"), Mask: net.CIDRMask(24, 32)}}, nil
		},
	}
	if _, err := g.find(t.Context(), "me.test:443"); err == nil {
		t.Error("this host's own address was let through")
	}
	r, err := g.find(t.Context(), "you.test:443")
	if err != nil || len(r.addresses) != 1 || r.addresses[0].String() != "8.8.8.8:443" {
		t.Errorf("a neighbour: %v, %v", r, err)
	}
}

// TestRebinding: a name server that answers a public address when it is checked and an inside one
// afterwards is asked once only for a tunnel, and what it said then is dialed.
func TestRebinding(t *testing.T) {
	names := &book{answers: map[string][]string{"rebind.test": {"8.8.8.8", "127.0.0.1"}}}
	g := &guard{rules: rules{{suffix: true}}, resolver: names, own: net.InterfaceAddrs}
	r, err := g.find(t.Context(), "rebind.test:443")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"8.8.8.8:443"}, []string{r.addresses[0].String()}); diff != "" || names.asked["rebind.test"] != 1 {
		t.Fatalf("asked %d times; %s", names.asked["rebind.test"], diff)
	}
	if _, err := g.find(t.Context(), "rebind.test:443"); err == nil {
		t.Fatal("the second answer was let through")
	}
}

// TestMixedAnswer: of several addresses only those outside are dialed.
func TestMixedAnswer(t *testing.T) {
	names := &book{answers: map[string][]string{"mixed.test": {"127.0.0.1 2606:4700::1 8.8.8.8"}}}
	g := &guard{rules: rules{{suffix: true}}, resolver: names, own: net.InterfaceAddrs}
	r, err := g.find(t.Context(), "mixed.test:80")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range r.addresses {
		got = append(got, a.String())
	}
	if diff := cmp.Diff([]string{"8.8.8.8:80", "[2606:4700::1]:80"}, got); diff != "" {
		t.Fatal(diff)
	}
}

func TestExactEntryReachesInside(t *testing.T) {
	server := hello(t, httptest.NewServer)
	for _, entry := range []string{"127.0.0.1", "127.0.0.1:" + port(t, server), "[::ffff:127.0.0.1]:" + port(t, server)} {
		socket, _, _ := open(t, &book{}, entry)
		if status, body := get(t, browse(t, socket, nil), "http://127.0.0.1:"+port(t, server)+"/x"); status != 200 {
			t.Errorf("with %s: %d %q", entry, status, body)
		}
	}
	socket, _, _ := open(t, &book{}, "127.0.0.1:1")
	if status, _ := get(t, browse(t, socket, nil), "http://127.0.0.1:"+port(t, server)+"/x"); status != 403 {
		t.Errorf("another port than the listed one: %d", status)
	}
}

func TestUnreachableHostIsBadGateway(t *testing.T) {
	socket, lines, _ := open(t, &book{}, "*")
	status, body := get(t, browse(t, socket, nil), "http://nowhere.test/")
	if status != 502 || !strings.Contains(body, "no such host") {
		t.Fatalf("%d %q", status, body)
	}
	if !strings.HasPrefix(lines.String(), "egress: could not reach nowhere.test:80: ") {
		t.Fatalf("log: %q", lines.String())
	}
}

func TestMatch(t *testing.T) {
	tests := []struct {
		entry, host, port string
		want              answer
	}{
		{"*", "a.test", "443", byWildcard},
		{"a.test", "a.test", "1", exactly},
		{"A.Test.", "a.test", "1", exactly},
		{"a.test", "b.a.test", "1", unlisted},
		{"*.a.test", "b.a.test", "1", byWildcard},
		{"*.a.test", "c.b.a.test", "1", byWildcard},
		{"*.a.test", "a.test", "1", unlisted},
		{"*.a.test", "ba.test", "1", unlisted},
		{"a.test:443", "a.test", "443", exactly},
		{"a.test:443", "a.test", "80", unlisted},
		{"*:443", "a.test", "443", byWildcard},
		{"*:443", "a.test", "22", unlisted},
		{"::1", "::1", "80", exactly},
		{"[::1]:80", "::1", "80", exactly},
	}
	for _, test := range tests {
		list, err := parseRules([]string{test.entry})
		if err != nil {
			t.Errorf("%s: %v", test.entry, err)
			continue
		}
		if got := list.match(test.host, test.port); got != test.want {
			t.Errorf("%s matches %s:%s: %d, want %d", test.entry, test.host, test.port, got, test.want)
		}
	}
	for _, entry := range []string{"", "a b", "https://a.test", "a.test/x", "*a.test", "a.*.test", "a.test:", "é.test"} {
		if _, err := parseRules([]string{entry}); err == nil {
			t.Errorf("%q was taken as a host", entry)
		}
	}
}

func TestCloseEndsTunnels(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	socket, _, closer := open(t, &book{}, "127.0.0.1")
	conn, err := dialLong(t.Context(), socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: x\r\n\r\n", server.Addr())
	far, err := server.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	near := bufio.NewReader(conn)
	if response, err := http.ReadResponse(near, &http.Request{Method: http.MethodConnect}); err != nil || response.StatusCode != http.StatusOK {
		t.Fatal(response, err)
	}
	fmt.Fprint(conn, "ping")
	word := make([]byte, 4)
	if _, err := io.ReadFull(far, word); err != nil || string(word) != "ping" {
		t.Fatal(string(word), err)
	}
	if err := closer.Close(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]net.Conn{"client": conn, "server": far} {
		c.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := c.Read(word); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the %s's end of the tunnel is still open: %v", name, err)
		}
	}
	if _, err := os.Stat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
	if err := closer.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
}

// TestHalfClosedTunnel: who has said everything still hears the answer.
func TestHalfClosedTunnel(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	go func() {
		far, err := server.Accept()
		if err != nil {
			return
		}
		defer far.Close()
		b, _ := io.ReadAll(far)
		fmt.Fprintf(far, "%d bytes", len(b))
	}()
	socket, _, _ := open(t, &book{}, "127.0.0.1")
	conn, err := dialLong(t.Context(), socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: x\r\n\r\n", server.Addr())
	near := bufio.NewReader(conn)
	if _, err := http.ReadResponse(near, &http.Request{Method: http.MethodConnect}); err != nil {
		t.Fatal(err)
	}
	conn.Write(make([]byte, 100_000))
	conn.(*net.UnixConn).CloseWrite()
	if b, err := io.ReadAll(near); err != nil || string(b) != "100000 bytes" {
		t.Fatalf("%q %v", b, err)
	}
}

func TestLongPath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("d", 100), strings.Repeat("e", 100))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	server := hello(t, httptest.NewServer)
	socket := filepath.Join(dir, "egress.sock")
	closer, err := New(Config{Allow: []string{"127.0.0.1"}}).Listen(socket, nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if status, _ := get(t, browse(t, socket, nil), server.URL); status != 200 {
		t.Error(status)
	}
	if err := closer.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Error("the socket is still there")
	}
}

// TestEnvironmentIsNotAsked: a proxy of the server's own environment would decide which address is
// dialed.
func TestEnvironmentIsNotAsked(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	server := hello(t, httptest.NewTLSServer)
	names := &book{answers: map[string][]string{"modules.test": {"127.0.0.1"}}}
	socket, _, _ := open(t, names, "modules.test")
	if status, _ := get(t, browse(t, socket, server), "https://modules.test:"+port(t, server)); status != 200 {
		t.Fatal(status)
	}
}

func TestNotAProxyRequest(t *testing.T) {
	socket, _, _ := open(t, &book{}, "*")
	for _, request := range []string{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "GET ftp://x/ HTTP/1.1\r\nHost: x\r\n\r\n", "CONNECT nonsense HTTP/1.1\r\nHost: x\r\n\r\n"} {
		conn, err := dialLong(t.Context(), socket)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(conn, request)
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || response.StatusCode/100 != 4 {
			t.Errorf("%q: %v %v, want 4xx", request, response, err)
		}
		conn.Close()
	}
}

func TestHostsAreBounded(t *testing.T) {
	lines := &log{}
	s := &socket{seen: map[string]struct{}{}, log: lines}
	var last error
	for i := range maxHosts + 10 {
		last = s.note("refused", fmt.Sprintf("h%d.test:443", i), "")
	}
	if _, refused := errors.AsType[*Refusal](last); !refused || strings.Count(lines.String(), "\n") != maxHosts {
		t.Fatalf("%v; %d lines", last, strings.Count(lines.String(), "\n"))
	}
}
