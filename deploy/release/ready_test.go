package release

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/deploy"
)

func TestNotReady(t *testing.T) {
	b := newBench(t)
	b.config.Settle = 10 * time.Second // those that end are found out at once
	soon := func(m *deploy.Manifest) { m.Deploy.ReadyTimeout = time.Second }
	for n, c := range []struct {
		args   string
		change func(*deploy.Manifest)
		want   deploy.Rejection // prefixes of its texts
	}{
		{"-up 503", soon, deploy.Rejection{
			Code: deploy.CodeReady, Message: "the new release did not become ready within 1s: GET /up answered 503",
			Line: "not ready: GET /up answered 503", Tail: []string{"app starts"},
		}},
		{"", func(m *deploy.Manifest) { soon(m); m.Health.Path = "/health" }, deploy.Rejection{
			Code: deploy.CodeReady, Message: "the new release did not become ready within 1s: GET /health answered 404",
			Line: "not ready: GET /health answered 404", Tail: []string{"app starts"},
		}},
		{"-deaf", soon, deploy.Rejection{
			Code: deploy.CodeReady, Message: "the new release did not become ready within 1s: process web does not listen on port ",
			Hint: "it has to listen on 127.0.0.1 at the port that the variable PORT names; it was started with PORT=",
			Line: "not ready: process web does not listen on port ", Tail: []string{"app starts"},
		}},
		{"-fail 2", nil, deploy.Rejection{
			Code: deploy.CodeReady, Message: "process web exited with exit status 2 before it was ready",
			Line: "process web exited before it was ready", Tail: []string{"app starts", "panic: out of luck"},
		}},
		{"-fail 0", nil, deploy.Rejection{
			Code: deploy.CodeReady, Message: "process web exited with exit status 0 before it was ready",
			Line: "process web exited before it was ready", Tail: []string{"app starts", "panic: out of luck"},
		}},
		{"", func(m *deploy.Manifest) { m.Processes[0].Run = "echo hello; kill -9 $$" }, deploy.Rejection{
			Code: deploy.CodeReady, Message: "process web was killed by signal 9 before it was ready",
			Line: "process web exited before it was ready", Tail: []string{"hello"},
		}},
		{"", func(m *deploy.Manifest) { m.Processes[0].Run = "./nothing" }, deploy.Rejection{
			Code: deploy.CodeReady, Message: "process web exited with exit status 127 before it was ready",
			Line: "process web exited before it was ready", Tail: []string{"/bin/sh: 1: exec: ./nothing: not found"},
		}},
		{"", func(m *deploy.Manifest) {
			m.Processes = append(m.Processes, deploy.Process{Name: "worker", Run: "echo no queue; exit 9"})
		}, deploy.Rejection{
			Code: deploy.CodeReady, Message: "process worker exited with exit status 9 before it was ready",
			Line: "process worker exited before it was ready", Tail: []string{"no queue"},
		}},
	} {
		job := b.job(deploy.Number(n+1), c.args)
		if c.change != nil {
			c.change(job.Manifest)
		}
		begin := time.Now()
		r := b.rejected(job)
		if r.Code != c.want.Code || !strings.HasPrefix(r.Message, c.want.Message) || !strings.HasPrefix(r.Hint, c.want.Hint) ||
			!strings.HasPrefix(r.Line, c.want.Line) || !slices.Equal(r.Tail, c.want.Tail) {
			t.Errorf("%q: got %+v\nwant %+v", job.Manifest.Processes[0].Run, *r, c.want)
		}
		if d := time.Since(begin); d > 8*time.Second {
			t.Errorf("%q: it took %s", job.Manifest.Processes[0].Run, d)
		}
		if logs, _ := filepath.Glob(filepath.Join(b.layout.Deployment(job.Number), "*.1.log")); len(logs) == 0 {
			t.Error("its last words are lost")
		}
	}
}

// TestListensElsewhere: the pusher is told where the app listens instead.
func TestListensElsewhere(t *testing.T) {
	b := newBench(t)
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	r := b.rejected(b.job(1, fmt.Sprintf("-port %d", port), func(m *deploy.Manifest) { m.Deploy.ReadyTimeout = time.Second }))
	if want := fmt.Sprintf(" and listens on %d", port); !strings.HasSuffix(r.Hint, want) {
		t.Errorf("hint %q, want it to end in %q", r.Hint, want)
	}
}

func TestReadyAtOnce(t *testing.T) {
	b := newBench(t)
	for n, args := range []string{"-up 404", "-up 302", "-boot 50ms", "-host 0.0.0.0"} {
		c := b.started(b.job(deploy.Number(n+1), args))
		if len(c.Instances) != 1 || !strings.HasPrefix(c.Instances[0].Addr, "127.0.0.1:") {
			t.Errorf("%s: %+v", args, c.Instances)
		}
	}
}

func TestReadyOnTheOtherLoopback(t *testing.T) {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("no IPv6 here: ", err)
	}
	l.Close()
	b := newBench(t)
	c := b.started(b.job(1, "-host ::1"))
	if !strings.HasPrefix(c.Instances[0].Addr, "[::1]:") {
		t.Errorf("%+v", c.Instances)
	}
	if got, err := b.Instances(t.Context(), b.target, 1); err != nil || !slices.Equal(got, c.Instances) {
		t.Errorf("%+v, %v", got, err)
	}
}

// An instance whose port is taken gets another one, whether it says so by ending or somebody else
// answers in its place.
func TestPortTaken(t *testing.T) {
	b := newBench(t)
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	go http.Serve(other, http.NotFoundHandler()) // it would pass for ready
	for n, args := range []string{"", "-deaf"} {
		job := b.job(deploy.Number(n+1), args, func(m *deploy.Manifest) { m.Deploy.ReadyTimeout = time.Second })
		p, err := b.make(job)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.makeStorage(job.App); err != nil {
			t.Fatal(err)
		}
		s, err := b.prepare(p, job.Manifest.Processes[0], 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		s.setPort(other.Addr().(*net.TCPAddr).Port)
		err = b.startReady(t.Context(), s, "it")
		if s.Port == other.Addr().(*net.TCPAddr).Port {
			t.Errorf("%q: it still has the other's port", args)
		}
		if args == "" && err != nil || args != "" && !strings.Contains(err.Error(), "does not listen") {
			t.Errorf("%q: %v", args, err)
		}
		if said, _ := os.ReadFile(b.inspect(s.Instance).LogPath); string(said) != "app starts\n" {
			t.Errorf("%q said %q", args, said)
		}
	}
}

func TestCanceledStart(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("the pusher went away")
	job := b.job(1, "-up 500", func(m *deploy.Manifest) { m.Deploy.ReadyTimeout = time.Minute })
	go func() {
		eventually(t, "the app", func() bool { return len(lastLines(b.folder("shop", 1, "web", 1), 1)) > 0 })
		cancel(gone)
	}()
	begin := time.Now()
	if _, err := b.Start(ctx, job, io.Discard); !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
	if d := time.Since(begin); d > 5*time.Second {
		t.Errorf("it took %s", d)
	}
	b.nothingOf(1)
}

func TestManyProcesses(t *testing.T) {
	b := newBench(t)
	c := b.started(b.job(1, "", func(m *deploy.Manifest) {
		m.Processes = append(m.Processes,
			deploy.Process{Name: "worker", Run: "sleep 1000"},
			deploy.Process{Name: "Clock_2", Run: "while :; do sleep 1; done"})
	}))
	var names []string
	for _, i := range c.Instances {
		names = append(names, i.Process)
		if s := b.inspect(i); !s.Running || s.Listening != (i.Process == "web") {
			t.Errorf("%s: %+v", i.Process, s)
		}
	}
	if !slices.Equal(names, []string{"web", "worker", "Clock_2"}) {
		t.Errorf("%q", names)
	}
	if err := b.Switch(t.Context(), b.target, 0, 1); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(b.router.upstreams, c.Instances[:1]) {
		t.Errorf("routed to %v", b.router.upstreams)
	}
}
