package gitserver_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"slipway/deploy"
	"slipway/gitserver"
	"slipway/gitserver/repo"
)

// hookProgram is cmd/slipway-hook, built once.
var hookProgram []byte

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "slipway-hook-")
	if err != nil {
		panic(err)
	}
	path := filepath.Join(dir, "slipway-hook")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "slipway/cmd/slipway-hook")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		panic(fmt.Sprintf("building the hook: %v\n%s", err, out))
	}
	if hookProgram, err = os.ReadFile(path); err != nil {
		panic(err)
	}
	os.RemoveAll(dir)
	os.Exit(m.Run())
}

const shop = deploy.AppName("shop")

// world is a server in this process, with one app and a few people.
type world struct {
	*testing.T
	store   *repo.Store
	layout  deploy.Layout
	gate    *gate
	people  *directory
	records *records
	server  *gitserver.Server
	log     *logBuffer
	stop    context.CancelFunc
	stopped chan error
}

type option func(*gitserver.Config)

// both runs a test with each object format.
func both(t *testing.T, test func(*testing.T, *world)) {
	t.Helper()
	for _, format := range []repo.ObjectFormat{repo.SHA1, repo.SHA256} {
		t.Run(string(format), func(t *testing.T) { test(t, newWorld(t, format)) })
	}
}

func newWorld(t testing.TB, format repo.ObjectFormat, options ...option) *world {
	t.Helper()
	layout := deploy.Layout(t.TempDir())
	w := &world{layout: layout, store: repo.New(repo.Config{Layout: layout}), people: &directory{}, records: &records{}, log: &logBuffer{}, stopped: make(chan error, 1)}
	w.T, _ = t.(*testing.T)
	w.gate = &gate{store: w.store}
	must(t, w.store.Create(t.Context(), shop, repo.Options{ObjectFormat: format}))
	config := gitserver.Config{
		Addr: "127.0.0.1:0", HostKeyPath: layout.HostKey(), HooksDir: layout.Hooks(), HookProgram: hookProgram,
		Repos: w.store, Gate: w.gate, Directory: w.people, Commands: commands{}, Recorder: w.records,
		Logger: slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, o := range options {
		o(&config)
	}
	w.server = gitserver.New(config)
	ctx, stop := context.WithCancel(context.Background())
	w.stop = stop
	go func() { w.stopped <- w.server.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-w.stopped; err != nil {
			t.Errorf("the server ended with %v", err)
		}
		w.stopped <- nil
		if t.Failed() {
			t.Logf("server's log:\n%s", w.log)
		}
	})
	select {
	case <-w.server.Ready():
	case err := <-w.stopped:
		w.stopped <- nil
		t.Fatalf("the server did not start: %v", err)
	}
	return w
}

// person is somebody with a key and a working tree.
type person struct {
	testing.TB
	w    *world
	name string
	home string
	dir  string
	env  []string
}

// user makes a person with a registered key.
func (w *world) user(t testing.TB, name string, role, grant deploy.Role) *person {
	t.Helper()
	p, fingerprint := w.stranger(t, name)
	w.people.add(fingerprint, deploy.User{Name: deploy.UserName(name), Role: role}, grant)
	return p
}

// alice is the developer of most tests.
func (w *world) alice(t testing.TB) *person {
	t.Helper()
	return w.user(t, "alice", deploy.RoleDeveloper, deploy.RoleDeveloper)
}

// stranger makes a person whose key is not registered.
func (w *world) stranger(t testing.TB, name string) (p *person, fingerprint string) {
	t.Helper()
	home := t.TempDir()
	fingerprint = makeKey(t, filepath.Join(home, "key"))
	p = &person{TB: t, w: w, name: name, home: home, dir: filepath.Join(home, "work")}
	must(t, os.Mkdir(p.dir, 0o755))
	p.setSSH("-i " + filepath.Join(home, "key"))
	return p, fingerprint
}

func (p *person) setSSH(options string) {
	p.env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + p.home, "LC_ALL=C", "TERM=dumb",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=" + p.name, "GIT_AUTHOR_EMAIL=" + p.name + "@example.org",
		"GIT_COMMITTER_NAME=" + p.name, "GIT_COMMITTER_EMAIL=" + p.name + "@example.org",
		"GIT_SSH_COMMAND=" + strings.Join(p.ssh(options), " "),
	}
}

func (p *person) ssh(options string) []string {
	return append([]string{"ssh", "-F", "none", "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "UserKnownHostsFile=" + filepath.Join(p.home, "known_hosts"), "-o", "StrictHostKeyChecking=accept-new"}, strings.Fields(options)...)
}

func makeKey(t testing.TB, path string) (fingerprint string) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	block, err := gossh.MarshalPrivateKey(private, "")
	must(t, err)
	must(t, os.WriteFile(path, pem.EncodeToMemory(block), 0o600))
	key, err := gossh.NewPublicKey(public)
	must(t, err)
	return gossh.FingerprintSHA256(key)
}

// url is an app's address.
func (p *person) url(path string) string {
	return "ssh://git@" + p.w.server.Addr() + path
}

// outcome is what a program left.
type outcome struct {
	stdout, stderr string
	status         int
}

func (p *person) run(args ...string) outcome {
	p.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir, cmd.Env = p.dir, p.env
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		p.Fatalf("%q: %v", args, err)
	}
	if ctx.Err() != nil {
		p.Fatalf("%q did not end\n%s\n%s", args, stderr.String(), p.w.log)
	}
	return outcome{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// git runs git, which has to succeed, and returns what it printed.
func (p *person) git(args ...string) string {
	p.Helper()
	o := p.run(append([]string{"git"}, args...)...)
	if o.status != 0 {
		p.Fatalf("git %s: exit status %d\n%s%s", strings.Join(args, " "), o.status, o.stdout, o.stderr)
	}
	return strings.TrimSuffix(o.stdout, "\n")
}

// fail runs git, which has to fail, and returns everything that it printed.
func (p *person) fail(args ...string) string {
	p.Helper()
	o := p.run(append([]string{"git"}, args...)...)
	if o.status == 0 {
		p.Fatalf("git %s succeeded\n%s%s", strings.Join(args, " "), o.stdout, o.stderr)
	}
	return o.stdout + o.stderr
}

// command runs ssh host COMMAND.
func (p *person) command(line ...string) outcome {
	p.Helper()
	host, port, _ := strings.Cut(p.w.server.Addr(), ":")
	args := append(p.ssh("-T -i "+filepath.Join(p.home, "key")), "-p", port, "someone@"+host)
	return p.run(append(args, line...)...)
}

// start makes a working tree with one commit, with the server as its remote.
func (p *person) start(format string) deploy.OID {
	p.Helper()
	p.git("init", "-q", "-b", "main", "--object-format="+format, ".")
	p.git("remote", "add", "production", p.url("/shop"))
	return p.commit("first")
}

func (p *person) commit(subject string) deploy.OID {
	p.Helper()
	must(p, os.WriteFile(filepath.Join(p.dir, "file"), []byte(subject+"\n"), 0o644))
	p.git("add", "-A")
	p.git("commit", "-q", "-m", subject)
	return deploy.OID(p.git("rev-parse", "HEAD"))
}

// format is the object format of the world's repository.
func (w *world) format() string {
	b, _ := os.ReadFile(filepath.Join(w.store.Dir(shop), "config"))
	if bytes.Contains(b, []byte("sha256")) {
		return "sha256"
	}
	return "sha1"
}

func (w *world) ref(name deploy.RefName) deploy.OID {
	w.Helper()
	oid, err := w.store.Resolve(context.Background(), shop, name)
	must(w.T, err)
	return oid
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func contains(t testing.TB, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("lacks %q:\n%s", part, text)
		}
	}
}

// gate accepts everything and moves the ref, unless it is told otherwise.
type gate struct {
	store *repo.Store
	check func(context.Context, deploy.Offer) error
	admit func(context.Context, deploy.Offer, io.Writer) deploy.Answer

	mu     sync.Mutex
	offers []deploy.Offer
}

func (g *gate) Check(ctx context.Context, o deploy.Offer) error {
	if g.check == nil {
		return nil
	}
	return g.check(ctx, o)
}

func (g *gate) Admit(ctx context.Context, o deploy.Offer, progress io.Writer) deploy.Answer {
	g.mu.Lock()
	g.offers = append(g.offers, o)
	n := deploy.Number(len(g.offers))
	g.mu.Unlock()
	if g.admit != nil {
		return g.admit(ctx, o, progress)
	}
	return g.accept(ctx, o, n)
}

// accept moves the ref from where it is.
func (g *gate) accept(ctx context.Context, o deploy.Offer, n deploy.Number) deploy.Answer {
	u := o.Update
	old, err := g.store.Resolve(ctx, o.App, u.Ref)
	if err != nil {
		return deploy.Answer{Number: n, Line: err.Error()}
	}
	u.Old = old
	tx, err := g.store.Prepare(ctx, o.App, u)
	if err != nil {
		return deploy.Answer{Number: n, Line: err.Error()}
	}
	if err := tx.Commit(ctx); err != nil {
		return deploy.Answer{Number: n, Line: err.Error()}
	}
	return deploy.Answer{Number: n, Accepted: true}
}

func (g *gate) seen() []deploy.Offer {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]deploy.Offer(nil), g.offers...)
}

// directory knows people by their keys, and one app.
type directory struct {
	mu      sync.Mutex
	users   map[string]deploy.User
	grants  map[deploy.UserName]deploy.Role
	failure error
}

func (d *directory) add(fingerprint string, u deploy.User, grant deploy.Role) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.users == nil {
		d.users, d.grants = map[string]deploy.User{}, map[deploy.UserName]deploy.Role{}
	}
	d.users[fingerprint], d.grants[u.Name] = u, grant
}

func (d *directory) remove(fingerprint string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.users, fingerprint)
}

func (d *directory) UserByKey(_ context.Context, fingerprint string) (deploy.User, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failure != nil {
		return deploy.User{}, d.failure
	}
	if u, ok := d.users[fingerprint]; ok {
		return u, nil
	}
	return deploy.User{}, fmt.Errorf("key: %w", deploy.ErrNotFound)
}

func (d *directory) Access(_ context.Context, u deploy.UserName, a deploy.AppName) (deploy.App, deploy.Role, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if a != shop {
		return deploy.App{}, "", fmt.Errorf("app: %w", deploy.ErrNotFound)
	}
	return deploy.App{Name: shop, ID: 1, GatedRef: "refs/heads/main"}, d.grants[u], nil
}

// commands prints its arguments; its exit status is their number, but "read" copies its input, "wait"
// waits for the client to leave, and "panic" does.
type commands struct{}

func (commands) Run(ctx context.Context, caller gitserver.Caller, argv []string, stdio gitserver.Stdio) int {
	switch argv[0] {
	case "read":
		_, _ = io.Copy(stdio.Out, stdio.In)
		return 0
	case "wait":
		fmt.Fprintln(stdio.Out, "waiting")
		<-ctx.Done()
		return 0
	case "panic":
		panic("as asked")
	}
	fmt.Fprintf(stdio.Out, "%s runs %q\x1b]0;title\x07\n", caller.User.Name, argv)
	fmt.Fprintln(stdio.Err, "on stderr")
	return len(argv)
}

// records keeps events.
type records struct {
	refuse func(deploy.Event) error // nil for nothing
	mu     sync.Mutex
	events []deploy.Event
}

func (r *records) Record(_ context.Context, e deploy.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refuse != nil {
		if err := r.refuse(e); err != nil {
			return err
		}
	}
	r.events = append(r.events, e)
	return nil
}

func (r *records) of(kind deploy.EventType) []deploy.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []deploy.Event
	for _, e := range r.events {
		if e.Type == kind {
			found = append(found, e)
		}
	}
	return found
}

// logBuffer is the server's log.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// within fails the test if done is not closed soon.
func within(t testing.TB, d time.Duration, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(d):
		t.Fatalf("%s did not happen within %v", what, d)
	}
}

var _ net.Addr = (*net.TCPAddr)(nil)
