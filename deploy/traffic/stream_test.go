package traffic

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
)

// Every part of an answer is there as soon as the app has sent it.
func TestStreaming(t *testing.T) {
	for name, header := range map[string]http.Header{
		"unknown length": {},
		"events":         {"Content-Type": {"text/event-stream; charset=utf-8"}},
		"known length":   {"Content-Length": {"8"}},
	} {
		t.Run(name, func(t *testing.T) {
			next := make(chan bool)
			r := newTestRouter(t)
			r.route("shop", 1, backend(t, func(w http.ResponseWriter, _ *http.Request) {
				for k, v := range header {
					w.Header()[k] = v
				}
				for _, part := range []string{"", "one.", "two."} {
					io.WriteString(w, part)
					http.NewResponseController(w).Flush()
					<-next
				}
			}))
			res, err := http.DefaultClient.Do(r.request("GET", "shop.localhost", "/", nil))
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			next <- true
			for _, want := range []string{"one.", "two."} {
				got := make([]byte, 4)
				if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != want {
					t.Fatalf("%q, %v", got, err)
				}
				next <- true
			}
			if rest := readAll(t, res.Body, 10); rest != "" {
				t.Errorf("after the end: %q", rest)
			}
		})
	}
}

// An app may answer while it still reads, and a client may wait for that.
func TestBothDirectionsAtOnce(t *testing.T) {
	r := newTestRouter(t)
	r.route("shop", 1, backend(t, func(w http.ResponseWriter, req *http.Request) {
		rc := http.NewResponseController(w)
		rc.EnableFullDuplex()
		in := bufio.NewScanner(req.Body)
		for in.Scan() {
			fmt.Fprintln(w, "echo", in.Text())
			rc.Flush()
		}
	}))
	pr, pw := io.Pipe()
	go pw.Write([]byte("1\n"))
	res, err := http.DefaultClient.Do(r.request("POST", "shop.localhost", "/", pr))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	out := bufio.NewScanner(res.Body)
	for i := range 5 {
		if !out.Scan() || out.Text() != fmt.Sprint("echo ", i+1) {
			t.Fatalf("%d: %q %v", i, out.Text(), out.Err())
		}
		fmt.Fprintln(pw, i+2)
	}
	pw.Close()
}

func TestTrailersAndInformationalAnswers(t *testing.T) {
	r := newTestRouter(t)
	r.route("shop", 1, backend(t, func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		b, _ := io.ReadAll(req.Body)
		w.Header().Set("Trailer", "X-Announced")
		fmt.Fprintf(w, "%s %s", b, req.Trailer.Get("X-Sum"))
		w.Header().Set("X-Announced", "a")
		w.Header().Set(http.TrailerPrefix+"X-Surprise", "s")
	}))
	_, br := raw(t, r.addr, "POST / HTTP/1.1\r\nHost: shop.localhost\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"+
		"3\r\nabc\r\n0\r\nX-Sum: 99\r\n\r\n")
	hints, err := http.ReadResponse(br, nil)
	if err != nil || hints.StatusCode != http.StatusEarlyHints || hints.Header.Get("Link") == "" {
		t.Fatalf("%v %v", hints, err)
	}
	res, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	body := readAll(t, res.Body, 100)
	if body != "abc 99" || res.Trailer.Get("X-Announced") != "a" || res.Trailer.Get("X-Surprise") != "s" || res.Header.Get("Link") != "" {
		t.Errorf("%q %v %v", body, res.Header, res.Trailer)
	}
}

func TestExpectContinue(t *testing.T) {
	r := newTestRouter(t)
	r.route("shop", 1, backend(t, func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/no" {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		b, _ := io.ReadAll(req.Body)
		w.Write(b)
	}))
	const head = " HTTP/1.1\r\nHost: shop.localhost\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
	conn, br := raw(t, r.addr, "PUT /yes"+head)
	if res, err := http.ReadResponse(br, nil); err != nil || res.StatusCode != http.StatusContinue {
		t.Fatalf("%v %v", res, err)
	}
	io.WriteString(conn, "hello")
	res, err := http.ReadResponse(br, nil)
	if err != nil || readAll(t, res.Body, 10) != "hello" {
		t.Fatalf("%v %v", res, err)
	}
	_, br = raw(t, r.addr, "PUT /no"+head)
	if res, err := http.ReadResponse(br, nil); err != nil || res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Fatalf("the app refuses before it has seen the body: %v %v", res, err)
	}
}

func TestBigBodies(t *testing.T) {
	r := newTestRouter(t)
	r.route("shop", 1, backend(t, func(w http.ResponseWriter, req *http.Request) {
		h := sha256.New()
		n, _ := io.Copy(h, req.Body)
		w.Header().Set("X-Sum", fmt.Sprintf("%d %x", n, h.Sum(nil)))
		w.Write(bytes.Repeat([]byte("0123456789abcdef"), 2<<20))
	}))
	in := bytes.Repeat([]byte("fedcba9876543210"), 2<<20)
	res, err := http.DefaultClient.Do(r.request("POST", "shop.localhost", "/", bytes.NewReader(in)))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	out, err := io.ReadAll(res.Body)
	if want := fmt.Sprintf("%d %x", len(in), sha256.Sum256(in)); res.Header.Get("X-Sum") != want {
		t.Errorf("the app got %s, want %s", res.Header.Get("X-Sum"), want)
	}
	if err != nil || !bytes.Equal(out, bytes.Repeat([]byte("0123456789abcdef"), 2<<20)) {
		t.Errorf("got %d bytes, %v", len(out), err)
	}
}

// An app that refuses an upload early is heard, and the router goes on.
func TestEarlyAnswerToABigUpload(t *testing.T) {
	r := newTestRouter(t)
	up := r.route("shop", 1, backend(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
	}))
	for range 20 {
		conn, br := raw(t, r.addr, "POST / HTTP/1.1\r\nHost: shop.localhost\r\nContent-Length: 100000000\r\n\r\n")
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			defer cancel()
			for _, err := conn.Write(make([]byte, 64<<10)); err == nil; _, err = conn.Write(make([]byte, 64<<10)) {
			}
		}()
		res, err := http.ReadResponse(br, nil)
		if err != nil || res.StatusCode != http.StatusRequestEntityTooLarge {
			t.Fatalf("%v %v", res, err)
		}
		conn.Close()
		<-ctx.Done()
	}
	c := settled(t, r, up[0])
	if c.ByClass[4] != 20 || c.ByClass[0] != 0 {
		t.Errorf("%+v", c)
	}
}

// upgrader switches to a protocol that echoes lines.
func upgrader(w http.ResponseWriter, req *http.Request) {
	if req.Header.Get("Upgrade") != "websocket" || req.Header.Get("Sec-WebSocket-Key") == "" {
		http.Error(w, "no upgrade", http.StatusBadRequest)
		return
	}
	conn, brw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	for line, err := brw.ReadString('\n'); err == nil; line, err = brw.ReadString('\n') {
		io.WriteString(conn, "echo "+line)
	}
	io.WriteString(conn, "bye\n")
}

const upgradeRequest = "GET /ws HTTP/1.1\r\nHost: shop.localhost\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n"

func upgrade(t *testing.T, addr string) (*net.TCPConn, *bufio.Reader) {
	t.Helper()
	conn, br := raw(t, addr, upgradeRequest)
	res, err := http.ReadResponse(br, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols || res.Header.Get("Upgrade") != "websocket" {
		t.Fatalf("%v %v", res, err)
	}
	return conn.(*net.TCPConn), br
}

func echoes(t *testing.T, conn net.Conn, br *bufio.Reader, word string) {
	t.Helper()
	io.WriteString(conn, word+"\n")
	if line, err := br.ReadString('\n'); line != "echo "+word+"\n" {
		t.Fatalf("%q %v", line, err)
	}
}

func TestUpgradedConnections(t *testing.T) {
	r := newTestRouter(t)
	up := r.route("shop", 1, backend(t, upgrader))
	conn, br := upgrade(t, r.addr)
	for i := range 3 {
		echoes(t, conn, br, fmt.Sprint("line ", i))
	}
	c, err := r.Counts(t.Context(), up[0])
	if err != nil || c.InFlight != 1 || c.Requests != 1 || len(c.Latencies) != 1 {
		t.Errorf("while it lasts: %+v %v", c, err)
	}
	conn.CloseWrite() // the app still has a word to say
	if rest := readAll(t, br, 100); rest != "bye\n" {
		t.Errorf("after the client's end: %q", rest)
	}
	if c := settled(t, r, up[0]); c.ByClass[1] != 1 {
		t.Errorf("at the end: %+v", c)
	}
}
