package build

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"slipway/deploy"
	"slipway/deploy/sandbox/egress"
)

func TestTestsHaveNoNetwork(t *testing.T) {
	reached := false
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer server.Close()
	w := newWorld(t)
	log, err := w.test(deploy.TestSet{Name: "unit"}, "test -z \"$HTTP_PROXY\"", tool+" get "+server.URL)
	if w.rejection(err); reached || !strings.Contains(log, "connection refused") {
		t.Errorf("reached: %v, log:\n%s", reached, log)
	}
	_, err = w.test(deploy.TestSet{Name: "unit"}, tool+" get http://modules.test/")
	if got, want := w.rejection(err).Hint, "it seems to need the network, which it has only with network = true in [test.unit]"; got != want {
		t.Errorf("hint %q, want %q", got, want)
	}
}

func TestNetworkGoesThroughTheProxy(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "module list") }))
	defer server.Close()
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("reached what is not allowed") }))
	defer other.Close()
	host, otherHost := strings.TrimPrefix(server.URL, "http://"), strings.TrimPrefix(other.URL, "http://")
	w := newWorld(t, func(c *Config) { c.Egress = egress.New(egress.Config{Allow: []string{host}}) })
	w.job.Manifest.Build.Network = true
	log, err := w.build(tool+" get "+server.URL, "! "+tool+" get "+other.URL, "! DIRECT=1 "+tool+" get "+server.URL, "exit 0")
	if err != nil {
		t.Fatal(err, log)
	}
	has(t, log, "module list", host, otherHost)
	w.noSockets()

	// What the operator granted to the app's hooks is theirs only.
	w = newWorld(t, func(c *Config) { c.EgressFor = func(deploy.AppName) []string { return []string{host} } })
	var out strings.Builder
	step := deploy.Step{Network: true, Commands: []string{tool + " get " + server.URL}}
	if err := w.builder.Run(t.Context(), w.job, "after_accept", step, nil, &out); err != nil {
		t.Error(err, out.String())
	}
	w.job.Manifest.Build.Network = true
	_, err = w.build(tool + " get " + server.URL)
	if got, want := w.rejection(err).Hint, "it was refused to reach "+host+": the operator lists the hosts that may be reached"; got != want {
		t.Errorf("hint %q, want %q", got, want)
	}
}

// ssh knows no HTTP_PROXY, and is what deploy commands mostly go by.
func TestSSHGoesThroughTheProxy(t *testing.T) {
	if _, err := exec.LookPath("ssh"); err != nil {
		t.Skip("there is no ssh on this machine")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(conn, "this is no SSH server\r\n")
			conn.Close()
		}
	}()
	host, port, _ := net.SplitHostPort(l.Addr().String())
	w := newWorld(t, func(c *Config) { c.EgressFor = func(deploy.AppName) []string { return []string{l.Addr().String()} } })
	var log strings.Builder
	step := deploy.Step{Network: true, Commands: []string{"ssh -v -p " + port + " " + host + " true"}}
	w.rejection(w.builder.Run(t.Context(), w.job, "run", step, nil, &log))
	has(t, log.String(), "egress: reached "+l.Addr().String(), "this is no SSH server")

	log.Reset()
	step.Commands = []string{"scp -P 22 x y.test:"}
	w.rejection(w.builder.Run(t.Context(), w.job, "run", step, nil, &log))
	has(t, log.String(), "egress: refused y.test:22", "no way to y.test:22")
}

// noSockets checks that no folder of sockets is left.
func (w *world) noSockets() {
	w.Helper()
	if left, _ := filepath.Glob(filepath.Join(string(w.layout), "slipway-*")); len(left) > 0 {
		w.Errorf("left behind: %v", left)
	}
}

// The server's program may lie where the sandbox's user cannot go.
func TestProgramThatCannotBeReached(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("an ordinary user's sandbox reaches what the user does")
	}
	home := t.TempDir()
	if err := os.Chmod(home, 0o700); err != nil {
		t.Fatal(err)
	}
	hidden := filepath.Join(home, "slipway")
	if err := os.Link(program, hidden); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(c *Config) { c.Executable[0] = hidden })
	w.job.Manifest.Build.Network = true
	for range 2 {
		if log, err := w.build("true"); err != nil {
			t.Error(err, log)
		}
	}
	if copies, _ := filepath.Glob(filepath.Join(string(w.layout), "slipway-*")); len(copies) != 1 {
		t.Errorf("copies: %v", copies)
	}
}
