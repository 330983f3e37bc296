package traffic

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"strings"
	"sync"
	"time"
)

const requestIDHeader = "X-Request-Id"

var (
	errUnknownHost = errors.New("no app has that host name")
	errNoTable     = errors.New("the router has no table yet")
)

func (r *router) newProxy() *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite:        r.rewrite,
		Transport:      r,
		ModifyResponse: r.finish,
		ErrorHandler:   r.explain,
		BufferPool:     &buffers{},
		// Answers of unknown length and server-sent events are flushed at once; this is for those
		// that announce their length and then take their time.
		FlushInterval: 5 * time.Millisecond,
		ErrorLog:      slog.NewLogLogger(r.log.Handler(), slog.LevelDebug),
	}
}

// ServeHTTP passes a request to the app that its host names.
func (r *router) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.serving.enter()
	defer r.serving.leave()
	if req.Method == http.MethodConnect {
		r.page(w, req, http.StatusMethodNotAllowed, "this is not a forward proxy")
		return
	}
	if req.ProtoMajor == 1 && req.ContentLength != 0 {
		// Some apps answer while they still read; without this the server swallows the rest of the
		// request first. It cannot fail on the server's own writer.
		_ = http.NewResponseController(w).EnableFullDuplex()
	}
	r.proxy.ServeHTTP(w, req)
}

// rewrite makes the request that the app gets. The reverse proxy has taken out what is meant for one
// hop only (RFC 9110, section 7.6.1).
func (r *router) rewrite(pr *httputil.ProxyRequest) {
	in, out := pr.In, pr.Out
	out.URL.Scheme = "http"
	out.URL.RawQuery = in.URL.RawQuery // as it came: the app parses it, not the router
	out.Trailer = in.Trailer           // the same map, because its values come after the body
	if strings.EqualFold(out.Header.Get("Upgrade"), "h2c") {
		// Inside such a connection requests would pass by the router unseen.
		out.Header.Del("Upgrade")
		out.Header.Del("Connection")
	}
	dropForwarding(out.Header)
	trusted := r.trusts(in.RemoteAddr)
	if trusted {
		out.Header["X-Forwarded-For"] = in.Header["X-Forwarded-For"]
	}
	pr.SetXForwarded()
	if trusted {
		keep(out.Header, in.Header, "X-Forwarded-Host")
		keep(out.Header, in.Header, "X-Forwarded-Proto")
	}
	if !validRequestID(out.Header.Get(requestIDHeader)) {
		out.Header.Set(requestIDHeader, newRequestID())
	}
}

// dropForwarding takes out every header by which an app could be told a false origin, also those that
// become the same variable when an app server turns "-" into "_".
func dropForwarding(h http.Header) {
	for name := range h {
		plain := name
		if strings.IndexByte(name, '_') >= 0 {
			plain = http.CanonicalHeaderKey(strings.ReplaceAll(name, "_", "-"))
		}
		if strings.HasPrefix(plain, "X-Forwarded-") || plain == "X-Real-Ip" || plain == "Forwarded" {
			delete(h, name)
		}
	}
}

func keep(out, in http.Header, name string) {
	if v := in.Get(name); v != "" {
		out.Set(name, v)
	}
}

// trusts tells whether a request came from a proxy that the operator named, whose word on where it
// got the request from is passed on.
func (r *router) trusts(remote string) bool {
	if len(r.config.TrustedProxies) == 0 {
		return false
	}
	addr, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false
	}
	for _, prefix := range r.config.TrustedProxies {
		if prefix.Contains(addr.Addr().Unmap()) {
			return true
		}
	}
	return false
}

// validRequestID tells whether a client's id can be passed on: printable, without blanks, not long.
func validRequestID(id string) bool {
	for i := range len(id) {
		if id[i] <= ' ' || id[i] > '~' {
			return false
		}
	}
	return id != "" && len(id) <= 200
}

func newRequestID() string {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:8], rand.Uint64())
	binary.LittleEndian.PutUint64(b[8:], rand.Uint64())
	return hex.EncodeToString(b[:])
}

// finish asks the client to come back on another connection once another router has taken over.
func (r *router) finish(res *http.Response) error {
	if r.isLeaving() && res.StatusCode != http.StatusSwitchingProtocols {
		res.Header.Set("Connection", "close")
	}
	return nil
}

// explain answers a request that no app has answered. What it says is for anybody; what is behind it
// goes to the log.
func (r *router) explain(w http.ResponseWriter, req *http.Request, err error) {
	unserved, isUnserved := errors.AsType[*unservedError](err)
	switch {
	case req.Context().Err() != nil:
		panic(http.ErrAbortHandler) // nobody reads an answer any more
	case errors.Is(err, errUnknownHost):
		r.page(w, req, http.StatusNotFound, r.unknownHost(req.Host))
	case errors.Is(err, errNoTable):
		w.Header().Set("Retry-After", "1")
		r.page(w, req, http.StatusServiceUnavailable, "the router is starting and does not know its apps yet; please try again")
	case isUnserved && unserved.tried == 0 && unserved.release == 0:
		r.page(w, req, http.StatusServiceUnavailable, fmt.Sprintf("nothing is deployed to %q yet", unserved.app))
	case isUnserved && unserved.tried == 0:
		r.page(w, req, http.StatusServiceUnavailable, fmt.Sprintf("%q has no process that answers HTTP", unserved.app))
	case isUnserved:
		r.page(w, req, http.StatusBadGateway, fmt.Sprintf("%q is down: it takes no connections", unserved.app))
	case errors.Is(err, errBrokenRequest):
		r.page(w, req, http.StatusBadRequest, "the request broke off in its middle")
	default:
		r.page(w, req, http.StatusBadGateway, fmt.Sprintf("%q broke off without an answer", r.appOf(req.Host)))
	}
}

// unknownHost names the form of the addresses that exist, with the port that the client used.
func (r *router) unknownHost(host string) string {
	port := ""
	if _, p, err := net.SplitHostPort(host); err == nil && p != "" {
		port = ":" + p
	}
	return fmt.Sprintf("no app answers at %.100q: apps answer at http://<app>.%s%s/", hostName(host), r.config.Domain, port)
}

func (r *router) appOf(host string) string {
	return strings.TrimSuffix(hostName(host), "."+r.config.Domain)
}

// page writes a plain text. The request id is what an operator finds the cause by.
func (r *router) page(w http.ResponseWriter, req *http.Request, status int, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	if id := req.Header.Get(requestIDHeader); id != "" {
		h.Set(requestIDHeader, id)
	}
	if r.isLeaving() {
		h.Set("Connection", "close")
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n") // the client may be gone
}

// report logs why an instance gave no answer, unless the client is the reason.
func (r *router) report(u *upstream, req *http.Request, err error) {
	if failureClass(req.Context(), err) == classNone && u.mayLog() {
		r.log.Warn("instance gave no answer", "app", u.instance.App, "release", u.instance.Release,
			"addr", u.instance.Addr, "request", req.Header.Get(requestIDHeader), "error", err)
	}
}

// buffers lends the reverse proxy its copy buffers.
type buffers struct{ pool sync.Pool }

const bufferSize = 32 << 10

// Get returns a buffer.
func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[bufferSize]byte); ok {
		return p[:]
	}
	return make([]byte, bufferSize)
}

// Put takes a buffer back.
func (b *buffers) Put(p []byte) { b.pool.Put((*[bufferSize]byte)(p)) }
