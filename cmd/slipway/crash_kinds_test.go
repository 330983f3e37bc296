package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// kind is a way to use the server during which it is killed. Whatever the server is asked to do that has
// a transition of its own belongs here.
type kind struct {
	name    string
	prepare func(*crashWorld) attempt
}

// attempt is one use, prepared.
type attempt struct {
	instead  []string     // what runs in the server's place, and is killed as it; nil for the server
	run      func() error // returns when all who asked have their answers
	visible  []string     // revisions that visitors may see because of it
	accepted []string     // revisions that may be in production after it; the last one is, if run returns nil
}

func kinds() []kind {
	return []kind{
		{"accepted", func(w *crashWorld) attempt {
			return w.pushes(w.commit(), "alice")
		}},
		{"rolled back", func(w *crashWorld) attempt {
			a := w.pushes(w.commit("sick"), "alice")
			a.accepted = nil
			return a
		}},
		{"rejected", func(w *crashWorld) attempt {
			a := w.pushes(w.commit("broken"), "alice")
			a.visible, a.accepted = nil, nil
			return a
		}},
		{"bypassed", func(w *crashWorld) attempt {
			return w.pushes(w.commit("broken"), "olga", "-o", "bypass", "-o", "reason=the test is wrong")
		}},
		{"forced", func(w *crashWorld) attempt {
			w.run(w.git("reset", "-q", "--soft", "HEAD~1"))
			return w.pushes(w.commit(), "olga", "--force")
		}},
		{"rolled back by hand", func(w *crashWorld) attempt {
			return w.asks(w.before.revision, "rollback", "visited", w.before.release.String(), "-reason", "it was better")
		}},
		{"redeployed", func(w *crashWorld) attempt { return w.asks(w.serving.revision, "redeploy", "visited") }},
		{"restarted", func(w *crashWorld) attempt { return w.asks(w.serving.revision, "restart", "visited") }},
		{"variables set", func(w *crashWorld) attempt {
			// More than one, since each has a record of its own.
			return w.asks(w.serving.revision, "config", "set", "visited", fmt.Sprintf("FIRST_%d=x", w.commits), fmt.Sprintf("SECOND_%d=x", w.commits))
		}},
		{"stacked", stacked},
		{"canceled", canceled},
		{"another app", anotherApp},
		{"deployed with the server dead", func(w *crashWorld) attempt { return w.byHand(w.commit("broken")) }},
		{"put back with the server dead", func(w *crashWorld) attempt { return w.byHand(w.before.revision) }},
		{"a branch beside", func(w *crashWorld) attempt {
			push := w.git("push", "-q", "--force", "alice", w.commit()+":refs/heads/beside")
			return attempt{accepted: []string{w.serving.revision}, run: func() error { return w.try(push) }}
		}},
	}
}

// pushes is a push of a revision, which may be accepted.
func (w *crashWorld) pushes(revision, who string, options ...string) attempt {
	args := append([]string{"push", "-q"}, options...)
	return attempt{
		visible: []string{revision}, accepted: []string{revision},
		run: func() error { return w.try(w.git(append(args, who, revision+":refs/heads/main")...)) },
	}
}

// asks is a command after which a revision is in production.
func (w *crashWorld) asks(revision string, args ...string) attempt {
	return attempt{
		visible: []string{revision}, accepted: []string{revision},
		run: func() error { return w.try(w.slipway(args...)) },
	}
}

// byHand is a command that puts a revision into production while no server runs.
func (w *crashWorld) byHand(revision string) attempt {
	w.run(w.git("push", "-q", "--force", filepath.Join(w.data, "repos", "visited.git"), revision+":refs/heads/by-hand"))
	return attempt{
		visible: []string{revision}, accepted: []string{revision},
		instead: []string{"deploy", "visited", "by-hand", "-manual", "-reason", "the server is dead", "-proxy", w.at(w.ports[2])},
		run: func() error {
			<-w.ended
			if !w.server.ProcessState.Success() {
				return fmt.Errorf("%v: %v", w.server.Args, w.server.ProcessState)
			}
			return nil
		},
	}
}

// commandTime is how long a command may take. It is far longer than any should.
const commandTime = 90 * time.Second

// try runs a command that may fail, and that has to end.
func (w *crashWorld) try(cmd *exec.Cmd) error {
	ctx, cancel := context.WithTimeout(context.Background(), commandTime)
	defer cancel()
	bound := exec.CommandContext(ctx, cmd.Path, cmd.Args[1:]...)
	bound.Dir, bound.Env = cmd.Dir, cmd.Env
	bound.WaitDelay = time.Second
	out, err := bound.CombinedOutput()
	if ctx.Err() != nil {
		w.t.Errorf("%v does not end", cmd.Args)
	}
	if err != nil {
		return fmt.Errorf("%v: %w: %s", cmd.Args, err, out)
	}
	return nil
}

// stacked is two pushes at once, of which the second one builds on the first.
func stacked(w *crashWorld) attempt {
	first := w.pushes(w.commit(), "alice")
	second := w.pushes(w.commit(), "alice")
	both := []string{first.accepted[0], second.accepted[0]}
	return attempt{visible: both, accepted: both, run: func() error {
		var other sync.WaitGroup
		other.Go(func() { _ = first.run() }) // it may be overtaken
		err := second.run()
		other.Wait()
		return err
	}}
}

// canceled is a push that an operator cancels as soon as it has a number. It may be too late for that.
func canceled(w *crashWorld) attempt {
	a := w.pushes(w.commit(), "alice")
	push, n := a.run, strconv.Itoa(w.last+1)
	a.accepted = nil
	a.run = func() error {
		ended := make(chan error, 1)
		go func() { ended <- push() }()
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case err := <-ended:
				return err
			case <-tick.C:
			}
			if w.try(w.slipway("cancel", n)) == nil {
				return errors.Join(errors.New("canceled"), <-ended)
			}
		}
	}
	return a
}

// anotherApp is an app that comes and goes beside the one that is visited.
func anotherApp(w *crashWorld) attempt {
	app := "other" + strconv.Itoa(w.commits)
	revision := w.commit()
	return attempt{accepted: []string{w.serving.revision}, run: func() error {
		for _, cmd := range []*exec.Cmd{
			w.slipway("app", "create", app), w.git("push", "-q", "ssh://olga/"+app, revision+":refs/heads/main"),
			w.slipway("app", "remove", app, "-confirm", app),
		} {
			if err := w.try(cmd); err != nil {
				return err
			}
		}
		return nil
	}}
}
