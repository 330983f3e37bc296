package repo

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"time"

	"slipway/deploy"
)

// updater is a running git update-ref, which is told what to do. To start one takes longer than what it is
// started for, and a deployment has two things for it: to keep its revision, and to move its ref. So one
// that has nothing to do stays for a while.
type updater struct {
	cmd    *exec.Cmd
	kill   func()
	stdin  io.WriteCloser
	stdout *bufio.Reader
	stderr *tail
}

// idleTime is how long an updater stays that has nothing to do.
const idleTime = time.Minute

// begin returns an updater of app with an open transaction. It belongs to the caller, who ends it or gives
// it back.
func (s *Store) begin(app deploy.AppName) (*updater, error) {
	if u := s.updaters.take(app); u != nil {
		// It may have been killed meanwhile, and a git before 2.30 does one transaction only.
		if u.exchange("start\x00", "start: ok") == nil {
			return u, nil
		}
	}
	u, err := s.startUpdater(app)
	if err != nil {
		return nil, err
	}
	return u, u.exchange("start\x00", "start: ok")
}

func (s *Store) startUpdater(app deploy.AppName) (*updater, error) {
	// It must outlive the context in which it is started: from the switch on, a pusher who leaves changes
	// nothing.
	ctx, kill := context.WithCancel(context.Background())
	u := &updater{kill: kill, stderr: &tail{limit: 4 << 10}}
	u.cmd = s.in(ctx, app, "update-ref", "-z", "--stdin")
	u.cmd.Stderr = u.stderr
	stdin, err := u.cmd.StdinPipe()
	if err != nil {
		kill()
		return nil, err
	}
	stdout, err := u.cmd.StdoutPipe()
	if err != nil {
		kill()
		return nil, err
	}
	u.stdin, u.stdout = stdin, bufio.NewReader(stdout)
	if err := u.cmd.Start(); err != nil {
		kill()
		return nil, err
	}
	return u, nil
}

// exchange writes input and waits for each of the answers. After an error the updater has ended.
func (u *updater) exchange(input string, answers ...string) error {
	// Many updates are more than a pipe holds, and git answers only after it has read them.
	if _, err := io.WriteString(u.stdin, input); err != nil {
		return u.failure(err)
	}
	for _, want := range answers {
		line, err := u.stdout.ReadString('\n')
		if err != nil {
			return u.failure(err)
		}
		if strings.TrimSuffix(line, "\n") != want {
			return u.failure(fmt.Errorf("answered %q instead of %q", line, want))
		}
	}
	return nil
}

// exchangeWithin is exchange that lets git go, and fails, when ctx ends.
func (u *updater) exchangeWithin(ctx context.Context, input string, answers ...string) error {
	stop := context.AfterFunc(ctx, u.abandon)
	err := u.exchange(input, answers...)
	if !stop() && err == nil {
		_ = u.end()
		err = context.Cause(ctx)
	}
	return err
}

// failure ends git and adds what it said to err.
func (u *updater) failure(err error) error {
	if waitErr := u.end(); waitErr != nil {
		err = waitErr
	}
	return &gitError{command: "git update-ref", stderr: u.stderr.String(), err: err}
}

// end closes git's input, which aborts what is not committed, and waits for git.
func (u *updater) end() error {
	defer u.kill()
	u.stdin.Close()
	return u.cmd.Wait()
}

// abandon has git let go of everything and end, whatever it is doing: at the end of its input it does that by
// itself. Killed it would leave its locks behind, so that is for one that does not end.
func (u *updater) abandon() {
	u.stdin.Close()
	time.AfterFunc(abandonTime, u.kill)
}

// abandonTime is how long git may take for what it was told last.
const abandonTime = 10 * time.Second

// updaters are those that have nothing to do, one for each app. If this process dies they end by
// themselves.
type updaters struct {
	mu   sync.Mutex
	idle map[deploy.AppName]*updater
}

func (p *updaters) take(app deploy.AppName) *updater {
	p.mu.Lock()
	defer p.mu.Unlock()
	u := p.idle[app]
	delete(p.idle, app)
	return u
}

// give keeps an updater without a transaction for the next who asks.
func (p *updaters) give(app deploy.AppName, u *updater) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.idle[app] != nil {
		go func() { _ = u.end() }()
		return
	}
	if p.idle == nil {
		p.idle = map[deploy.AppName]*updater{}
	}
	p.idle[app] = u
	time.AfterFunc(idleTime, func() {
		p.mu.Lock()
		idle := p.idle[app] == u
		if idle {
			delete(p.idle, app)
		}
		p.mu.Unlock()
		if idle {
			_ = u.end()
		}
	})
}

// drop ends the one of an app whose repository is another from now on.
func (p *updaters) drop(app deploy.AppName) {
	if u := p.take(app); u != nil {
		_ = u.end()
	}
}
