package traffic

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"slipway/deploy"
)

// backendMain is an app: the smallest that is worth a proxy. It tells its address.
func backendMain() int {
	return listenAndServe("127.0.0.1:0", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "hello, world\n")
	}))
}

// plainMain is what the router is measured against: httputil.ReverseProxy with nothing around it,
// with http.DefaultTransport or with one that keeps as many connections as the router's.
func plainMain(args []string) int {
	flags := flag.NewFlagSet("plain", flag.ExitOnError)
	backend := flags.String("backend", "", "")
	tuned := flags.Bool("tuned", false, "")
	_ = flags.Parse(args)
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: *backend})
	if *tuned {
		proxy.Transport = newTransport()
		proxy.BufferPool = &buffers{}
	}
	return listenAndServe("127.0.0.1:0", proxy)
}

func listenAndServe(addr string, h http.Handler) int {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(l.Addr())
	_ = http.Serve(l, h)
	return 0
}

// addressOf starts the test binary in a role that tells its address.
func addressOf(b *testing.B, role string, args ...string) string {
	b.Helper()
	cmd := startProcess(b, role, args...)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		b.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// nginxConfig is nginx as people set it up before an app, keeping its connections.
const nginxConfig = `worker_processes auto;
pid %[1]s/nginx.pid;
error_log stderr;
events { worker_connections 1024; }
http {
	access_log off;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	keepalive_requests 1000000000;
	upstream app { server %[2]s; keepalive 32; keepalive_requests 1000000000; }
	server {
		listen %[3]s;
		location / {
			proxy_pass http://app;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_set_header Host $host;
			proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
		}
	}
}
`

// startNginx starts Debian's nginx, if it is installed, and returns its address.
func startNginx(b *testing.B, backend string) (addr string, ok bool) {
	b.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil {
		program = "/usr/sbin/nginx" // not in everybody's PATH
	}
	if _, err := os.Stat(program); err != nil {
		return "", false
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	addr = l.Addr().String()
	l.Close()
	dir := b.TempDir()
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, fmt.Appendf(nil, nginxConfig, dir, backend, addr), 0o600); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(program, "-c", file, "-e", "stderr", "-g", "daemon off;")
	cmd.Stderr = b.Output()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it ends its workers
		_ = cmd.Wait()
	})
	for range 500 {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return addr, true
		}
		<-time.After(10 * time.Millisecond)
	}
	b.Fatal("nginx does not answer")
	return "", false
}

// BenchmarkRouter sends the same requests over 32 kept connections through the router, through two
// plain reverse proxies and through nginx, each a process of its own, in turn, and reports the median
// rates and ratios, and their 10th and 90th percentiles.
func BenchmarkRouter(b *testing.B) {
	backend := addressOf(b, "backend")
	dir := b.TempDir()
	socket := filepath.Join(dir, "router.sock")
	if err := startProcess(b, "router", "-listen", "127.0.0.1:0", "-socket", socket, "-state", filepath.Join(dir, "state.json")).Start(); err != nil {
		b.Fatal(err)
	}
	client := NewClient(socket)
	err := client.Route(b.Context(), Route{App: "shop", Release: 1, Upstreams: []deploy.Instance{{App: "shop", Release: 1, Process: "web", Index: 1, Addr: backend}}})
	if err != nil {
		b.Fatal(err)
	}
	h, err := client.Health(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	names := []string{"direct", "plain", "tuned", "router"}
	addresses := map[string]string{
		"direct": backend,
		"plain":  addressOf(b, "plain", "-backend", backend),
		"tuned":  addressOf(b, "plain", "-backend", backend, "-tuned"),
		"router": h.Listen,
	}
	if addr, ok := startNginx(b, backend); ok {
		names = append(names, "nginx")
		addresses["nginx"] = addr
	}
	loads, rates := map[string]*benchLoad{}, map[string][]float64{}
	for name, addr := range addresses {
		loads[name] = newBenchLoad(b, addr)
	}
	for b.Loop() {
		for _, name := range names {
			const requests = 4000
			rates[name] = append(rates[name], requests/loads[name].run(b, requests).Seconds())
		}
	}
	ratios := map[string][]float64{}
	for _, name := range names {
		for i, rate := range rates[name] {
			ratios[name] = append(ratios[name], rates["router"][i]/rate)
		}
	}
	for _, name := range names {
		reportSpread(b, name+"-req/s", rates[name])
	}
	for _, name := range names[1:] {
		if name != "router" {
			reportSpread(b, "x-"+name, ratios[name])
			b.ReportMetric(rates["router"][len(rates["router"])/2]/rates[name][len(rates[name])/2], "x-"+name)
		}
	}
	b.ReportMetric(0, "ns/op")
}

// reportSpread sorts what it is given and reports the median, and the 10th and 90th percentile.
func reportSpread(b *testing.B, unit string, all []float64) {
	slices.Sort(all)
	b.ReportMetric(all[len(all)/2], unit)
	b.ReportMetric(all[len(all)/10], "p10-"+unit)
	b.ReportMetric(all[len(all)*9/10], "p90-"+unit)
}

type benchLoad struct {
	conns []net.Conn
	reads []*bufio.Reader
}

func newBenchLoad(b *testing.B, addr string) *benchLoad {
	l := &benchLoad{}
	for range 32 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { c.Close() })
		l.conns = append(l.conns, c)
		l.reads = append(l.reads, bufio.NewReader(c))
	}
	return l
}

var benchRequest = []byte("GET /index.html?x=1 HTTP/1.1\r\nHost: shop.localhost:8000\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n" +
	"Accept: text/html,application/xhtml+xml\r\nAccept-Language: en\r\nAccept-Encoding: gzip, deflate, br\r\nCookie: session=0123456789abcdef\r\n\r\n")

func (l *benchLoad) run(b *testing.B, requests int) time.Duration {
	start := time.Now()
	var all sync.WaitGroup
	for i, c := range l.conns {
		all.Go(func() {
			for range requests / len(l.conns) {
				if err := benchExchange(c, l.reads[i]); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	return time.Since(start)
}

// benchExchange reads an answer with as little work as can be, since all share the machine.
func benchExchange(c net.Conn, r *bufio.Reader) error {
	if _, err := c.Write(benchRequest); err != nil {
		return err
	}
	length := -1
	for first := true; ; first = false {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if first && !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
			return fmt.Errorf("answered %q", line)
		}
		if v, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			length, err = strconv.Atoi(string(bytes.TrimSpace(v)))
			if err != nil {
				return err
			}
		}
		if len(line) == 2 {
			break
		}
	}
	_, err := r.Discard(length)
	return err
}
