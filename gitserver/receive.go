package gitserver

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"slipway/deploy"
	"slipway/gitserver/hook"
	"slipway/gitserver/repo"
)

// push is a git receive-pack that is running.
type push struct {
	session  *session
	app      deploy.App
	token    string
	reader   *repo.Reader
	commands commandList
	sent     atomic.Int64 // bytes by the client
	handedOn atomic.Bool  // to the hook, which has called: git has everything
}

// pushes finds the push that a hook belongs to by its token.
type pushes struct {
	mu      sync.Mutex
	byToken map[string]*push
}

func (p *pushes) open(one *push) (closePush func()) {
	one.token = rand.Text()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byToken == nil {
		p.byToken = map[string]*push{}
	}
	p.byToken[one.token] = one
	return func() { p.take(one.token) }
}

// take returns a push once.
func (p *pushes) take(token string) *push {
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.byToken[token]
	delete(p.byToken, token)
	return one
}

// receiveSettings make git hand every ref update to the proc-receive hook, which is this server, and
// refuse what it can refuse by itself.
func (s *Server) receiveSettings() []string {
	var args []string
	for _, setting := range []string{
		"core.hooksPath=" + s.config.HooksDir,
		"receive.procReceiveRefs=refs",
		"receive.advertisePushOptions=true",
		"receive.advertiseAtomic=true",
		"receive.hideRefs=refs/slipway",
		"receive.autogc=false",
		// The quarantine's alternate is this repository, whose refs git knows: it need not list them again.
		"core.alternateRefsCommand=true",
		"receive.keepAlive=5",
		"receive.shallowUpdate=false",
		"receive.unpackLimit=1", // a pack is two files to put on disk, however many objects
		"receive.maxInputSize=" + strconv.FormatInt(s.config.Limits.PackBytes, 10),
		"receive.fsckObjects=true",
		// Old histories hold these, and nobody can mend a history.
		"receive.fsck.badTimezone=ignore",
		"receive.fsck.missingSpaceBeforeDate=ignore",
		"receive.fsck.zeroPaddedFilemode=ignore",
	} {
		args = append(args, "-c", setting)
	}
	return args
}

// receive serves a push. Git is never killed, because its hook would go on without it; whatever
// becomes of the client, git can write, and reads what the client has sent.
func (s *session) receive(app deploy.App) int {
	server := s.server
	p := &push{session: s, app: app, commands: commandList{limit: server.config.Limits.RefUpdates}}
	p.reader = server.config.Repos.Reader(context.WithoutCancel(s.ctx), app.Name)
	defer p.reader.Close()
	defer server.pushes.open(p)()

	args := append(server.receiveSettings(), string(receivePack), server.config.Repos.Dir(app.Name))
	cmd := server.config.Repos.Command(context.WithoutCancel(s.ctx), args...)
	cmd.Env = append(cmd.Env, hook.TokenVariable+"="+p.token)
	stdout := newDrain(s.channel, server.config.Limits.Stall, s.end)
	stderr := newDrain(s.channel.Stderr(), server.config.Limits.Stall, s.end)
	own := server.folders(app.Name)
	packets, words := newSideband(stdout, own), newCloak(stderr, own)
	cmd.Stdout, cmd.Stderr = packets, newTerminal(words)
	stdin, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		s.fault("starting git receive-pack", err)
		return 1
	}
	if err := bound(cmd.Process.Pid, server.config.Limits.GitMemory); err != nil {
		server.logger.Error("a push goes on without limits", "app", app.Name, "error", err)
	}
	refused, sent := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(sent)
		p.send(stdin, refused)
	}()
	status := exitStatus(wait(cmd))
	_, _ = packets.flush(), words.flush() // a drain takes everything
	stdout.finish()
	stderr.finish()
	server.maintain(s.base, app.Name)
	if err := p.refusal(refused); err != nil {
		if r, ok := deploy.AsRejection(err); ok {
			s.recordRefused(app, r)
		}
		if !stderr.isGone() { // its writer may still be at it
			s.say("slipway: %v", err)
		}
		return 1
	}
	p.recordNotHandedOn()
	if p.commands.count() == 0 {
		s.hearOut(sent)
	}
	return status
}

// hearOutTime is how long a client that has asked for nothing may take to say so.
const hearOutTime = 5 * time.Second

// hearOut waits until the client has sent its last. One that refuses by itself what its user wants pushed ("fetch
// first") asks for no update, and our git ends with the first packet that says so; with push options the client sends
// two more. If the connection ended before, it would die of SIGPIPE with its reasons untold.
func (s *session) hearOut(sent <-chan struct{}) {
	select {
	case <-sent:
	case <-s.ctx.Done():
	case <-time.After(hearOutTime):
	}
}

// refusal says why a push that has ended was cut short by this server or by git, or nil: git's own words
// do not tell what to do about a pack that is too large, nor always that there was no room for it.
func (p *push) refusal(refused <-chan error) error {
	limit := p.session.server.config.Limits.PackBytes
	select {
	case err := <-refused:
		return err
	default:
	}
	switch {
	case p.handedOn.Load() || p.commands.count() == 0:
		return nil
	case p.sent.Load() <= limit:
		if full, ok := p.session.full(p.app); ok {
			return full
		}
		return nil
	}
	return deploy.Reject(deploy.CodeSize, "a push may bring %s at most", inMiB(limit)).WithHint("push in parts, or ask an admin to raise max_push")
}

func inMiB(n int64) string {
	if n < 1<<20 {
		return fmt.Sprintf("%d bytes", n)
	}
	return fmt.Sprintf("%d MiB", n>>20)
}

// folders are those that git may tell of, to people who are not to know them: /shop.git is left of the
// repository's.
func (s *Server) folders(app deploy.AppName) folders {
	return folders{}.hide(filepath.Dir(s.config.Repos.Dir(app)), "").hide(s.config.HooksDir, "hooks")
}

// maintain joins a repository's packs, every few dozen pushes. Nobody waits for it.
func (s *Server) maintain(ctx context.Context, app deploy.AppName) {
	if !s.config.Repos.NeedsMaintenance(app) {
		return
	}
	go func() {
		if err := s.config.Repos.Maintain(ctx, app); err != nil && ctx.Err() == nil {
			s.logger.Error("maintaining a repository", "app", app, "error", err)
		}
	}()
}

// wait is cmd.Wait, but a copying that outlives git is no failure of git.
func wait(cmd *exec.Cmd) error {
	err := cmd.Wait()
	if err != nil && cmd.ProcessState != nil && cmd.ProcessState.Success() {
		return nil
	}
	return err
}

// send passes on what the client sends, to its end. Long silences are no sign of anything: clients
// count objects, and run hooks of their own.
func (p *push) send(stdin io.WriteCloser, refused chan<- error) {
	defer stdin.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := p.session.channel.Read(buf)
		p.sent.Add(int64(n))
		if refusal := p.commands.feed(buf[:n]); refusal != nil {
			refused <- refusal
			return
		}
		if _, err := stdin.Write(buf[:n]); err != nil {
			_, _ = io.Copy(io.Discard, p.session.channel) // git has ended
			return
		}
		if err != nil {
			return
		}
	}
}

// serveHook answers git's hooks. There is one.
func (s *Server) serveHook(ctx context.Context, call *hook.Call) int {
	p := s.pushes.take(call.Token)
	if p == nil || call.Name != procReceive {
		s.logger.Error("a hook that belongs to no push", "hook", call.Name)
		fmt.Fprintln(call.Stderr(), "slipway: this hook belongs to no push")
		return 1
	}
	p.handedOn.Store(true)
	if err := p.procReceive(ctx, call); err != nil {
		s.logger.Error("answering a push", "app", p.app.Name, "user", p.session.caller.User.Name, "error", err)
		fmt.Fprintln(call.Stderr(), "slipway: internal error")
		return 1
	}
	return 0
}
