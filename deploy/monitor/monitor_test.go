package monitor

import (
	"context"
	"errors"
	"net/http"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/deploy"
)

// The package's story: a healthy candidate is watched to the end of its bake time and passes every
// check for which there was enough to see.
func TestHealthy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		h.users(1000, 900) // before the watch: not the candidate's doing under this watch
		h.script = func(h *host, at time.Duration) {
			h.state.CPU = at / 2
			h.counts.ByClass[2] = 1000 + int64(at/(100*time.Millisecond))
		}
		path, add := newLog(t, "panic: long ago\n")
		h.state.LogPath = path
		add("")
		w := h.watch(t.Context(), subject())
		if w.err != nil || !w.result.Pass || w.result.Reason != "" {
			t.Fatalf("result = %+v, %v", w.result, w.err)
		}
		if w.took != 15*time.Second || len(w.all) != 61 {
			t.Errorf("%d looks in %s, want 61 in 15s", len(w.all), w.took)
		}
		want := []deploy.Check{
			{Name: "probe", Outcome: deploy.OutcomePass, Detail: "0 of 61 probes failed (0%), the last: 200 in 1 ms"},
			{Name: "errors", Outcome: deploy.OutcomePass, Detail: "0 of 150 requests to users failed with 5xx (0%), at most 1%"},
			{Name: "restarts", Outcome: deploy.OutcomePass, Detail: "0 restarts, at most 0"},
			{Name: "memory", Outcome: deploy.OutcomePass, Detail: "50 MiB at most so far, no limit asked for"},
			{Name: "cpu", Outcome: deploy.OutcomePass, Detail: "0.50 cores on average over 15 s, no limit asked for"},
			{Name: "log", Outcome: deploy.OutcomePass, Detail: "0 new lines, no error pattern asked for"},
			{Name: "identity", Outcome: deploy.OutcomePass, Detail: "release 42, process 4711 since 00:00:00, listening at 127.0.0.1:4042"},
		}
		if d := cmp.Diff(want, w.result.Checks); d != "" {
			t.Errorf("checks (-want +got):\n%s", d)
		}
		last := w.all[60]
		if last.Probe != "200 in 1 ms" || last.Memory != 50<<20 || last.CPU != 7500*time.Millisecond || last.Counts.ByClass[2] != 150 {
			t.Errorf("last measurement = %+v", last)
		}
		readings := []deploy.Reading{{Check: "probe"}, {Check: "errors", Limit: 0.01}, {Check: "memory", Value: 50 << 20}, {Check: "cpu", Value: 0.5}}
		if d := cmp.Diff(readings, last.Readings); d != "" {
			t.Errorf("readings (-want +got):\n%s", d)
		}
		if h.asked[0] != "/up" {
			t.Errorf("asked for %q", h.asked[0])
		}
	})
}

// Each case breaks a candidate in one way at one moment, and says when and how the watch ends.
func TestVerdicts(t *testing.T) {
	after := func(moment time.Duration, do func(h *host)) func(*host, time.Duration) {
		done := false
		return func(h *host, at time.Duration) {
			if at >= moment && !done {
				done = true
				do(h)
			}
		}
	}
	for _, c := range []struct {
		name   string
		plan   func(*deploy.Manifest)
		script func(*host, time.Duration)
		pass   bool
		reason string
		took   time.Duration
	}{
		{name: "users get 500 although /up answers",
			script: func(h *host, at time.Duration) {
				if at > 0 {
					h.counts.ByClass[2], h.counts.ByClass[5] = 2, int64(at/(100*time.Millisecond))
				}
			},
			reason: "5 of 7 requests to users failed with 5xx (71%), at most 1% allowed", took: 500 * time.Millisecond},
		{name: "users get no answer",
			script: after(time.Second, func(h *host) { h.counts.ByClass[0] = 3 }),
			reason: "3 of 3 requests to users failed with 5xx (100%), at most 1% allowed", took: time.Second},
		{name: "one bad request among few proves nothing",
			script: after(time.Second, func(h *host) { h.users(9, 1) }), pass: true, took: 15 * time.Second},
		{name: "few bad requests among many",
			script: func(h *host, at time.Duration) {
				n := int64(at / time.Millisecond)
				h.counts.ByClass[2], h.counts.ByClass[5] = n, n/200
			},
			pass: true, took: 15 * time.Second},
		{name: "it breaks after thousands of good requests",
			script: func(h *host, at time.Duration) {
				h.counts.ByClass[2] = min(int64(at/time.Millisecond), 5000)
				h.counts.ByClass[5] = max(int64(at/time.Millisecond)-5000, 0) / 250
			},
			reason: "5 of the last 5 requests to users failed with 5xx (100%), at most 1% allowed", took: 6250 * time.Millisecond},
		{name: "errors are allowed",
			plan:   func(m *deploy.Manifest) { m.Monitor.MaxErrorRate = 1 },
			script: after(time.Second, func(h *host) { h.users(0, 50) }), pass: true, took: 15 * time.Second},
		{name: "no error is allowed",
			plan:   func(m *deploy.Manifest) { m.Monitor.MaxErrorRate = 0 },
			script: after(time.Second, func(h *host) { h.users(500, 1) }),
			reason: "1 of 501 requests to users failed with 5xx (0.2%), at most 0% allowed", took: time.Second},
		{name: "the router was started anew",
			script: after(time.Second, func(h *host) { h.counts = deploy.TrafficCounts{}; h.users(5, 0) }), pass: true, took: 15 * time.Second},
		{name: "probes answered 500",
			script: after(time.Second, func(h *host) { h.answer = always(500) }),
			reason: "web did not answer 3 probes in a row: GET /up answered 500", took: 1500 * time.Millisecond},
		{name: "nobody there",
			script: after(0, func(h *host) { h.answer = func(*http.Request) (int, error) { return 0, syscall.ECONNREFUSED } }),
			reason: "web did not answer 3 probes in a row: GET /up: connection refused", took: 500 * time.Millisecond},
		{name: "every third probe fails",
			script: func(h *host, _ time.Duration) {
				h.answer = always(200)
				if len(h.asked)%3 == 2 {
					h.answer = always(503)
				}
			},
			reason: "3 of 9 probes of web failed (33%), at most 1% allowed: GET /up answered 503", took: 2 * time.Second},
		{name: "one probe fails",
			script: func(h *host, _ time.Duration) {
				h.answer = always(200)
				if len(h.asked) == 20 {
					h.answer = always(503)
				}
			}, pass: true, took: 15 * time.Second},
		{name: "it hangs",
			plan:   func(m *deploy.Manifest) { m.Health.Path = "/health?full=1" },
			script: after(0, func(h *host) { h.answer = hang }),
			reason: "web did not answer 3 probes in a row: GET /health?full=1: no answer within 3 s", took: 9 * time.Second},
		{name: "the last probe fails, and the one after it does not",
			script: func(h *host, at time.Duration) {
				h.answer = always(200)
				if at == 15*time.Second {
					h.answer = always(503)
				}
			}, pass: true, took: 15*time.Second + 250*time.Millisecond},
		{name: "it breaks at the very end",
			script: after(15*time.Second, func(h *host) { h.answer = always(502) }),
			reason: "web did not answer 3 probes in a row: GET /up answered 502", took: 15*time.Second + 500*time.Millisecond},
		{name: "one look", plan: func(m *deploy.Manifest) { m.Monitor.BakeTime = 0 }, pass: true},
		{name: "one look at what does not answer",
			plan:   func(m *deploy.Manifest) { m.Monitor.BakeTime = 0 },
			script: after(0, func(h *host) { h.answer = always(500) }),
			reason: "web did not answer the probe: GET /up answered 500"},
		{name: "the front page fails where there is no /up",
			script: after(time.Second, func(h *host) {
				h.answer = func(r *http.Request) (int, error) {
					if r.URL.Path == "/up" {
						return 404, nil
					}
					return 500, nil
				}
			}),
			reason: "web did not answer 3 probes in a row: GET / answered 500", took: 1500 * time.Millisecond},
		{name: "it crashes",
			script: after(2*time.Second, func(h *host) {
				h.state.Running, h.state.LastExit = false, "exit status 2"
				h.answer = func(*http.Request) (int, error) { return 0, syscall.ECONNREFUSED }
			}),
			reason: "web ended by itself (exit status 2)", took: 2 * time.Second},
		{name: "it was restarted between two looks",
			script: after(2*time.Second, func(h *host) { h.state.Restarts, h.state.LastExit = 1, "memory limit of 256 MiB reached" }),
			reason: "web ended by itself (memory limit of 256 MiB reached)", took: 2 * time.Second},
		{name: "it is restarted too often",
			plan: func(m *deploy.Manifest) { m.Monitor.MaxRestarts = 2 },
			script: func(h *host, at time.Duration) {
				h.state.Restarts, h.state.LastExit = int(at/time.Second), "exit status 1"
			},
			reason: "web ended by itself 3 times (exit status 1), at most twice allowed", took: 3 * time.Second},
		{name: "it is restarted as often as allowed",
			plan:   func(m *deploy.Manifest) { m.Monitor.MaxRestarts = 2 },
			script: after(time.Second, func(h *host) { h.state.Restarts = 2 }), pass: true, took: 15 * time.Second},
		{name: "memory",
			plan:   func(m *deploy.Manifest) { m.Monitor.MaxMemory = 100 << 20 },
			script: func(h *host, at time.Duration) { h.state.Memory = int64(at/time.Second) * 30 << 20 },
			reason: "web uses 120 MiB of memory, at most 100 MiB allowed", took: 4 * time.Second},
		{name: "CPU, certain before the end",
			plan:   func(m *deploy.Manifest) { m.Monitor.MaxCPU = 0.5 },
			script: func(h *host, at time.Duration) { h.state.CPU = at },
			reason: "web used 1.00 cores on average over 8 s, at most 0.5 allowed", took: 7750 * time.Millisecond},
		{name: "CPU, at the start only",
			plan:   func(m *deploy.Manifest) { m.Monitor.MaxCPU = 0.5 },
			script: func(h *host, at time.Duration) { h.state.CPU = min(at*2, 5*time.Second) }, pass: true, took: 15 * time.Second},
		{name: "another directory",
			script: after(time.Second, func(h *host) { h.state.Dir = "/data/apps/shop/releases/41" }),
			reason: "web does not run from release 42 but from /data/apps/shop/releases/41", took: time.Second},
		{name: "an older process",
			script: after(0, func(h *host) { h.state.StartedAt = h.start.Add(-time.Minute) }),
			reason: "web was started at 23:59:00, before release 42 was made"},
		{name: "another process owns the socket",
			script: after(time.Second, func(h *host) { h.state.Listening = false }),
			reason: "web does not listen at 127.0.0.1:4042 itself", took: 1500 * time.Millisecond},
		{name: "the cause is told, not the symptom",
			script: func(h *host, at time.Duration) {
				h.answer = always(500)
				h.state.Listening = false
				if at >= 500*time.Millisecond {
					h.counts.ByClass[5], h.state.Restarts, h.state.LastExit = 9, 1, "killed"
				}
			},
			reason: "web ended by itself (killed)", took: 500 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, s := newHost(), subject()
				h.script = c.script
				if c.plan != nil {
					c.plan(s.Manifest)
				}
				w := h.watch(t.Context(), s)
				if w.err != nil {
					t.Fatal(w.err)
				}
				if w.result.Pass != c.pass || w.result.Reason != c.reason {
					t.Errorf("pass = %v, reason = %q, want %v, %q", w.result.Pass, w.result.Reason, c.pass, c.reason)
				}
				if w.took != c.took {
					t.Errorf("took %s, want %s", w.took, c.took)
				}
				if len(w.all) == 0 {
					t.Error("nothing was reported")
				}
			})
		})
	}
}

func hang(r *http.Request) (int, error) {
	<-r.Context().Done()
	return 0, r.Context().Err()
}

// A bypass is watched to the end whatever happens, and the record says what would have failed.
func TestBypass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s := newHost(), subject()
		s.Decide = false
		h.answer = always(500)
		h.broken = errors.New("keeper is away")
		w := h.watch(t.Context(), s)
		if w.err != nil || w.result.Pass || w.result.Reason == "" {
			t.Errorf("result = %+v, %v", w.result, w.err)
		}
		if w.took < 15*time.Second {
			t.Errorf("ended after %s", w.took)
		}
	})
}

func TestCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3100*time.Millisecond)
		defer cancel()
		w := newHost().watch(ctx, subject())
		if !errors.Is(w.err, context.DeadlineExceeded) || w.took != 3100*time.Millisecond {
			t.Errorf("error = %v after %s", w.err, w.took)
		}
		if len(w.result.Checks) != 7 {
			t.Errorf("what was seen so far is lost: %+v", w.result)
		}
	})
}

// What cannot be seen at the end is our fault, not a verdict; for a moment it does not matter.
func TestBlind(t *testing.T) {
	for name, c := range map[string]struct {
		script func(h *host, at time.Duration)
		want   string
		took   time.Duration
	}{
		"for a moment": {script: func(h *host, at time.Duration) {
			h.broken, h.lost = nil, nil
			if at > time.Second && at < 14*time.Second {
				h.broken, h.lost = errors.New("restarting"), errors.New("restarting")
			}
		}, took: 15 * time.Second},
		"at the end": {
			script: func(h *host, _ time.Duration) { h.lost = errors.New("no router") },
			want:   "watching release 42: web: reading what was passed to it: no router", took: 15 * time.Second,
		},
		"at the very end only": {script: func(h *host, at time.Duration) {
			h.broken = nil
			if at == 15*time.Second {
				h.broken = errors.New("busy")
			}
		}, took: 15*time.Second + 250*time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHost()
				h.script = c.script
				w := h.watch(t.Context(), subject())
				got := ""
				if w.err != nil {
					got = w.err.Error()
				}
				if got != c.want || w.took != c.took {
					t.Errorf("error %q after %s, want %q after %s", got, w.took, c.want, c.took)
				}
			})
		})
	}
}

// Every instance has to be well, and the reason names the one that is not.
func TestSeveralInstances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s := newHost(), subject()
		s.Candidate.Instances = append(s.Candidate.Instances,
			deploy.Instance{App: "shop", Release: 42, Process: "web", Index: 2, Addr: "127.0.0.1:4043"},
			deploy.Instance{App: "shop", Release: 42, Process: "worker", Index: 1})
		h.answer = func(r *http.Request) (int, error) {
			if r.URL.Host == "127.0.0.1:4043" {
				return 500, nil
			}
			return 200, nil
		}
		w := h.watch(t.Context(), s)
		if want := "web.2 did not answer 3 probes in a row: GET /up answered 500"; w.result.Reason != want {
			t.Errorf("reason = %q, want %q", w.result.Reason, want)
		}
		if want := "web.1 200 in 1 ms, web.2 500 in 1 ms"; w.all[0].Probe != want {
			t.Errorf("probe = %q, want %q", w.all[0].Probe, want)
		}
		if w.all[0].Memory != 150<<20 {
			t.Errorf("memory = %d", w.all[0].Memory)
		}
	})
}

func TestWorkerOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s := newHost(), subject()
		s.Candidate.Instances[0] = deploy.Instance{App: "shop", Release: 42, Process: "worker", Index: 1}
		h.state.Listening = false
		w := h.watch(t.Context(), s)
		if !w.result.Pass || w.check("probe").Outcome != deploy.OutcomeNoData || w.check("errors").Outcome != deploy.OutcomeNoData {
			t.Errorf("result = %+v", w.result)
		}
		if len(h.asked) > 0 {
			t.Errorf("a process without traffic was asked for %q", h.asked)
		}
	})
}

func TestNothingToWatch(t *testing.T) {
	s := subject()
	s.Candidate.Instances = nil
	if w := newHost().watch(t.Context(), s); w.err == nil {
		t.Error("a candidate without instances was watched")
	}
	s = subject()
	s.Manifest.Monitor.ErrorPattern = "("
	if w := newHost().watch(t.Context(), s); w.err == nil {
		t.Error("a pattern that does not compile was used")
	}
}
