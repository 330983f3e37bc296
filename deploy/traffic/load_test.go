package traffic

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// load is clients that send requests and never try again: over connections that they keep, over a new
// connection each time, and over HTTP/2; GETs, and POSTs with a body that must come back.
type load struct {
	addr, host string
	left       atomic.Int64
	total      atomic.Int64
	done       chan struct{}

	mu   sync.Mutex
	lost []string
}

func startLoad(t testing.TB, addr, host string, requests int64) *load {
	l := &load{addr: addr, host: host, done: make(chan struct{})}
	l.left.Store(requests)
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() { l.overOneConnection(i) })
	}
	for range 2 {
		all.Go(l.overNewConnections)
	}
	for range 2 {
		all.Go(l.overHTTP2)
	}
	go func() {
		all.Wait()
		close(l.done)
	}()
	t.Cleanup(func() { l.left.Store(0); <-l.done })
	return l
}

func (l *load) finished() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

func (l *load) next() bool { return l.left.Add(-1) >= 0 }

func (l *load) lose(how string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost = append(l.lost, fmt.Sprintf("%s: %v", how, err))
}

func (l *load) check(t testing.TB) {
	t.Helper()
	<-l.done
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.lost); n > 0 {
		t.Errorf("%d of %d requests lost:\n%s", n, l.total.Load(), strings.Join(l.lost[:min(n, 10)], "\n"))
	}
}

// overOneConnection keeps a connection as long as the router does. A connection that the router
// closes without having been asked anything is no loss; it is one if a request was sent.
func (l *load) overOneConnection(client int) {
	var conn net.Conn
	var br *bufio.Reader
	for i := 0; l.next(); i++ {
		if conn == nil {
			c, err := net.Dial("tcp", l.addr)
			if err != nil {
				l.lose("connecting", err)
				continue
			}
			conn, br = c, bufio.NewReader(c)
		}
		keep, err := l.exchange(conn, br, fmt.Sprintf("%d-%d", client, i))
		if err != nil {
			l.lose("kept connection", err)
		}
		if err != nil || !keep {
			conn.Close()
			conn = nil
		}
	}
	if conn != nil {
		conn.Close()
	}
}

func (l *load) exchange(conn net.Conn, br *bufio.Reader, word string) (keep bool, err error) {
	l.total.Add(1)
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n%s", l.host, len(word), word); err != nil {
		return false, err
	}
	res, err := http.ReadResponse(br, nil)
	if err != nil {
		return false, err
	}
	return !res.Close, answered(res, word)
}

func answered(res *http.Response, word string) error {
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK || !strings.HasSuffix(string(b), " "+word) {
		return fmt.Errorf("%s %q", res.Status, b)
	}
	return nil
}

func (l *load) overNewConnections() {
	for l.next() {
		conn, err := net.Dial("tcp", l.addr)
		if err != nil {
			l.lose("connecting", err)
			continue
		}
		if _, err := l.exchange(conn, bufio.NewReader(conn), "new"); err != nil {
			l.lose("new connection", err)
		}
		conn.Close()
	}
}

func (l *load) overHTTP2() {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	tr := &http.Transport{Protocols: p}
	defer tr.CloseIdleConnections()
	for l.next() {
		l.total.Add(1)
		req, _ := http.NewRequest(http.MethodGet, "http://"+l.addr+"/", nil)
		req.Host = l.host
		res, err := tr.RoundTrip(req)
		if err == nil {
			err = errors.Join(answered(res, ""), res.Body.Close())
		}
		if err != nil {
			l.lose("HTTP/2", err)
		}
	}
}

// connStates tells of every connection that closes.
func connStates(closed chan<- bool) func(net.Conn, http.ConnState) {
	return func(_ net.Conn, s http.ConnState) {
		if s == http.StateClosed {
			select {
			case closed <- true:
			default:
			}
		}
	}
}
