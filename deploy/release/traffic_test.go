package release

import (
	"context"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"slipway/deploy"
	"slipway/deploy/sandbox"
	"slipway/deploy/traffic"
)

// routerOf makes the real router's client the engine's router.
type routerOf struct{ *traffic.Client }

func (r routerOf) Route(ctx context.Context, app deploy.AppName, n deploy.Number, up []deploy.Instance) error {
	return r.Client.Route(ctx, traffic.Route{App: app, Release: n, Upstreams: up})
}

// realRouter runs a router and returns a client of it and where it listens.
func realRouter(t *testing.T) (*traffic.Client, string) {
	t.Helper()
	dir := t.TempDir()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- traffic.Serve(ctx, traffic.Config{
			Listen: address("127.0.0.1", port), Socket: filepath.Join(dir, "sock"),
			StateFile: filepath.Join(dir, "table.json"), Domain: "localhost",
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	client := traffic.NewClient(filepath.Join(dir, "sock"))
	eventually(t, "the router", func() bool { _, err := client.Health(t.Context()); return err == nil })
	return client, address("127.0.0.1", port)
}

// Releases come and go behind the real router, and a client that asks all the time loses nothing and
// sees whole answers only.
func TestNoRequestIsLost(t *testing.T) {
	b := newBench(t)
	client, addr := realRouter(t)
	b.Local = engine(b.layout, sandbox.ModeBubblewrap, b.group, routerOf{client})
	b.started(b.job(1, ""))
	if err := b.Switch(t.Context(), b.target, 0, 1); err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	var asked, lost atomic.Int64
	done := make(chan struct{})
	for range 2 {
		go func() {
			defer func() { done <- struct{}{} }()
			for ctx.Err() == nil {
				asked.Add(1)
				if answer := askShop(addr); !strings.HasPrefix(answer, "000000000000000000000000000000000abc000") {
					lost.Add(1)
					t.Errorf("answer %q", answer)
				}
			}
		}()
	}
	for _, change := range []func() error{
		func() error { b.started(b.job(2, "")); return b.Switch(ctx, b.target, 1, 2) },
		func() error { return b.Stop(ctx, b.target, 1, time.Minute) },
		func() error { return b.Restart(ctx, b.target) },
		func() error { return b.Switch(ctx, b.target, 2, 1) },
		func() error { return b.Stop(ctx, b.target, 2, time.Minute) },
	} {
		if err := change(); err != nil {
			t.Error(err)
		}
	}
	cancel()
	<-done
	<-done
	if lost.Load() > 0 || asked.Load() < 20 {
		t.Errorf("%d of %d requests were lost", lost.Load(), asked.Load())
	}
	if n, err := b.Serving(t.Context(), b.target); n != 1 || err != nil {
		t.Errorf("serving %s, %v", n, err)
	}
	counts, err := client.Counts(t.Context(), mustInstance(b, 1))
	if err != nil || counts.ByClass[2] == 0 || counts.ByClass[5]+counts.ByClass[0] > 0 {
		t.Errorf("counts %+v, %v", counts, err)
	}
	if err := b.Switch(t.Context(), b.target, 1, 0); err != nil {
		t.Fatal(err)
	}
	if n, err := b.Serving(t.Context(), b.target); n != 0 || err != nil {
		t.Errorf("serving %s, %v", n, err)
	}
}

func mustInstance(b *bench, n deploy.Number) deploy.Instance {
	b.Helper()
	all, err := b.Instances(b.Context(), b.target, n)
	if err != nil || len(all) != 1 {
		b.Fatalf("instances of %s: %v, %v", n, all, err)
	}
	return all[0]
}

func askShop(addr string) string {
	req, err := http.NewRequest(http.MethodGet, "http://"+addr+"/", nil)
	if err != nil {
		return err.Error()
	}
	req.Host = "shop.localhost"
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return string(body)
}
