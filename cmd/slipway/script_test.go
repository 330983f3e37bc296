package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// The scripts under testdata/script drive the real program with the real git and ssh: each is a
// chapter of the manual. In a script these hosts are people, by their keys: alice (a developer), bob
// (another one), olga (an admin), vera (a viewer), and carol, dave and stranger (unknown):
//
//	git remote add production ssh://alice/shop
//	exec ssh olga status
//
// and these are commands:
//
//	serve             starts the server on $DATA and waits until it answers
//	sigterm, sigkill  ends it
//	people            registers the people, and the app shop with their grants
//	get APP PATH      asks an app through the router; the answer is stdout, its status line first
//	await-log N TEXT  waits until a log of deployment N has the text
//	await-get APP TEXT  waits until an app answers with the text
//
// $FOREVER is a command that does not end by itself and whose arguments are this script's alone, so that what
// pgrep finds of it is not another's. Whoever kills by path ends it with a slash: $WORK is also the beginning
// of other scripts' folders.
func TestScripts(t *testing.T) {
	t.Parallel()
	bin := buildProgram(t)
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "",
		Setup:         func(env *testscript.Env) error { return setUp(env, bin) },
		Condition: func(name string) (bool, error) {
			if name != "root" {
				return false, fmt.Errorf("unknown condition %q", name)
			}
			return os.Getuid() == 0, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve": serveInScript, "sigterm": stopInScript, "sigkill": killInScript,
			"people": peopleInScript, "get": getInScript, "await-log": awaitLog, "await-get": awaitGet,
			"old-audit": oldAudit, "small-audit": smallAudit, "fill-audit": fillAudit, "room-for-audit": roomForAudit,
			"small-disk": smallDisk, "push-into-little": pushIntoLittle, "push-full": pushFull,
			"push-through": pushThrough, "push-into-inodes": pushIntoInodes, "push-with-inodes": pushWithInodes,
			"push-beside-clearing": pushBesideClearing, "leave": leaveBytes, "leave-inodes": leaveInodes, "give-back": giveBack, "pruned": pruned,
			"harm": harm, "unharmed": unharmed, "postgres": postgres,
		},
	})
}

// scriptServer is the server of one script.
type scriptServer struct {
	env     *testscript.Env
	program string
	mu      sync.Mutex
	cmd     *exec.Cmd
	done    chan struct{} // closed when cmd has ended
}

type serverKey struct{}

var people = []string{"alice", "bob", "olga", "vera", "carol", "dave", "stranger"}

func setUp(env *testscript.Env, bin string) error {
	s, err := newScriptServer(env, bin)
	if err != nil {
		return err
	}
	env.Values[serverKey{}] = s
	env.Defer(s.cleanUp)
	return nil
}

// newScriptServer prepares a server, and people who can reach it, in env's folder. It starts nothing.
func newScriptServer(env *testscript.Env, bin string) (*scriptServer, error) {
	if err := os.Chmod(filepath.Dir(env.WorkDir), 0o711); err != nil {
		return nil, err // a sandboxed process must be able to pass through
	}
	ports, err := freePorts(4)
	if err != nil {
		return nil, err
	}
	home := filepath.Join(env.WorkDir, "home")
	if err := os.MkdirAll(filepath.Join(home, ".ssh"), 0o700); err != nil {
		return nil, err
	}
	env.Setenv("HOME", home)
	own := filepath.Join(env.WorkDir, "bin")
	env.Setenv("PATH", own+":"+bin+":"+os.Getenv("PATH"))
	env.Setenv("DATA", filepath.Join(env.WorkDir, "data"))
	env.Setenv("SLIPWAY_DATA", filepath.Join(env.WorkDir, "data"))
	env.Setenv("EXAMPLES", filepath.Join(filepath.Dir(bin), "examples"))
	env.Setenv("HELP", filepath.Join(filepath.Dir(bin), "cmd", "slipway", "help"))
	env.Setenv("FOREVER", fmt.Sprintf("sleep 10000.%07d%05s", os.Getpid(), ports[0]))
	for i, name := range []string{"SSH_PORT", "HTTP_PORT", "PROXY_PORT", "ELSEWHERE_PORT"} {
		env.Setenv(name, ports[i])
	}
	env.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	env.Setenv("GIT_CONFIG_GLOBAL", filepath.Join(home, ".gitconfig"))
	env.Setenv("GIT_TERMINAL_PROMPT", "0")
	env.Setenv("LC_ALL", "C.UTF-8")
	if err := os.WriteFile(filepath.Join(home, ".gitconfig"), []byte("[user]\nname = Alice\nemail = alice@example.org\n[init]\ndefaultBranch = main\n[advice]\npushUpdateRejected = false\n"), 0o600); err != nil {
		return nil, err
	}
	if err := makeKeys(home, ports[0]); err != nil {
		return nil, err
	}
	if err := wrapSSH(own, home); err != nil {
		return nil, err
	}
	if err := withoutBubblewrap(filepath.Join(env.WorkDir, "nobwrap"), own); err != nil {
		return nil, err
	}
	env.Setenv("SLIPWAY", filepath.Join(bin, "slipway"))
	return &scriptServer{env: env, program: filepath.Join(bin, "slipway")}, nil
}

// wrapSSH puts an ssh first in the path that reads the script's configuration: the real one looks for
// it in the home folder of the user who runs the tests.
func wrapSSH(dir, home string) error {
	real, err := exec.LookPath("ssh")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	script := fmt.Sprintf("#!/bin/sh\nexec %s -F %s \"$@\"\n", real, filepath.Join(home, ".ssh", "config"))
	return os.WriteFile(filepath.Join(dir, "ssh"), []byte(script), 0o755)
}

// withoutBubblewrap makes a folder that serves as a PATH in which bwrap cannot be found.
func withoutBubblewrap(dir, own string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, name := range []string{"sh", "git", "sleep"} {
		path, err := exec.LookPath(name)
		if err != nil {
			return err
		}
		if err := os.Symlink(path, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return os.Symlink(filepath.Join(own, "ssh"), filepath.Join(dir, "ssh"))
}

// makeKeys gives every person a key and a host name in ssh's configuration.
func makeKeys(home, port string) error {
	var config strings.Builder
	for _, name := range people {
		key := filepath.Join(home, ".ssh", name)
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name+"@laptop", "-f", key).CombinedOutput(); err != nil {
			return fmt.Errorf("ssh-keygen: %w: %s", err, out)
		}
		fmt.Fprintf(&config, "Host %s\n  HostName 127.0.0.1\n  Port %s\n  User git\n  IdentityFile %s\n  IdentitiesOnly yes\n  UserKnownHostsFile %s\n  StrictHostKeyChecking accept-new\n", name, port, key, filepath.Join(home, ".ssh", "known_hosts"))
	}
	return os.WriteFile(filepath.Join(home, ".ssh", "config"), []byte(config.String()), 0o600)
}

var givenPorts sync.Map

// freePorts returns ports that stay free while a server that has them is killed and started again: above those
// that the kernel gives to outgoing connections and an instance gets, and each only once.
func freePorts(n int) ([]string, error) {
	var ports []string
	for port := 61000 + rand.IntN(3000); len(ports) < n; port++ {
		if port > 65535 {
			return nil, errors.New("no port is free")
		}
		if _, taken := givenPorts.LoadOrStore(port, true); taken {
			continue
		}
		if l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			ports = append(ports, strconv.Itoa(port))
			l.Close()
		}
	}
	return ports, nil
}

func theServer(ts *testscript.TestScript) *scriptServer {
	return ts.Value(serverKey{}).(*scriptServer)
}

// start runs the server and returns when it answers.
func (s *scriptServer) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	log, err := os.OpenFile(filepath.Join(s.env.WorkDir, "server.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	local := "127.0.0.1:"
	cmd := s.command("serve", "-ssh", local+s.env.Getenv("SSH_PORT"), "-http", local+s.env.Getenv("HTTP_PORT"), "-proxy", local+s.env.Getenv("PROXY_PORT"))
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmd, s.done = cmd, make(chan struct{})
	go func(done chan struct{}) {
		_ = cmd.Wait()
		close(done)
	}(s.done)
	return until(20*time.Second, func() error {
		select {
		case <-s.done:
			return permanent{errors.New("the server ended at once")}
		default:
		}
		out, err := s.command("status").CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
}

func (s *scriptServer) command(args ...string) *exec.Cmd {
	cmd := exec.Command(s.program, args...)
	cmd.Env = s.env.Vars
	return cmd
}

func (s *scriptServer) signal(sig syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return errors.New("no server runs")
	}
	if err := s.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-s.done: // also if it ended just before
		s.cmd = nil
		return nil
	case <-time.After(30 * time.Second):
		return errors.New("the server did not end within 30 s")
	}
}

// cleanUp ends whatever a script left running. A server that was killed is started once more, so that
// it ends what outlived it.
func (s *scriptServer) cleanUp() {
	if _, err := os.Stat(s.env.Getenv("DATA")); err != nil {
		return
	}
	s.mu.Lock()
	running := s.cmd != nil
	s.mu.Unlock()
	if !running {
		if err := s.start(); err != nil {
			return
		}
	}
	_ = s.command("shutdown").Run()
	select {
	case <-s.done:
	case <-time.After(30 * time.Second):
		_ = s.cmd.Process.Kill()
	}
}

// permanent is an error that waiting does not mend.
type permanent struct{ error }

// until tries again until it works or the time is over.
func until(limit time.Duration, try func() error) error {
	deadline := time.After(limit)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		if p, ok := errors.AsType[permanent](err); ok {
			return p.error
		}
		select {
		case <-tick.C:
		case <-deadline:
			return fmt.Errorf("not within %s: %w", limit, err)
		}
	}
}

func serveInScript(ts *testscript.TestScript, neg bool, _ []string) {
	s := theServer(ts)
	err := s.start()
	if (err != nil) != neg {
		log, _ := os.ReadFile(filepath.Join(s.env.WorkDir, "server.log"))
		ts.Fatalf("serve: %v\n%s", err, log)
	}
}

func stopInScript(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Check(theServer(ts).signal(syscall.SIGTERM))
}

func killInScript(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Check(theServer(ts).signal(syscall.SIGKILL))
}

func peopleInScript(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Check(theServer(ts).addPeople())
}

// addPeople registers everybody but the stranger, and makes the app shop.
func (s *scriptServer) addPeople() error {
	ssh := filepath.Join(s.env.Getenv("HOME"), ".ssh")
	for _, args := range [][]string{
		{"user", "add", "olga", "-role", "admin", "-key", filepath.Join(ssh, "olga.pub")},
		{"user", "add", "alice", "-key", filepath.Join(ssh, "alice.pub")},
		{"user", "add", "bob", "-key", filepath.Join(ssh, "bob.pub")},
		{"user", "add", "vera", "-role", "viewer", "-key", filepath.Join(ssh, "vera.pub")},
		{"app", "create", "shop"},
		{"app", "grant", "shop", "alice", "developer"},
		{"app", "grant", "shop", "bob", "developer"},
		{"app", "grant", "shop", "vera", "viewer"},
	} {
		if out, err := s.command(args...).CombinedOutput(); err != nil {
			return fmt.Errorf("slipway %s: %w\n%s", strings.Join(args, " "), err, out)
		}
	}
	return nil
}

// ask asks an app through the router.
func (s *scriptServer) ask(app, path string) (status int, answer string, err error) {
	port := s.env.Getenv("PROXY_PORT")
	req, err := http.NewRequest(http.MethodGet, "http://127.0.0.1:"+port+path, nil)
	if err != nil {
		return 0, "", err
	}
	req.Host = app + ".localhost:" + port
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Status + "\n" + string(body), err
}

func getInScript(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: get APP PATH")
	}
	status, answer, err := theServer(ts).ask(args[0], args[1])
	ts.Check(err)
	fmt.Fprint(ts.Stdout(), answer)
	if (status >= 400) != neg {
		ts.Fatalf("get %s %s: %s", args[0], args[1], answer)
	}
}

func awaitGet(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: await-get APP TEXT")
	}
	ts.Check(until(30*time.Second, func() error {
		_, answer, err := theServer(ts).ask(args[0], "/")
		if err == nil && !strings.Contains(answer, args[1]) {
			err = fmt.Errorf("%s answers %s", args[0], answer)
		}
		return err
	}))
}

func awaitLog(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: await-log N TEXT")
	}
	pattern := filepath.Join(theServer(ts).env.Getenv("DATA"), "deployments", args[0], "*.log")
	ts.Check(until(30*time.Second, func() error {
		files, err := filepath.Glob(pattern)
		if err != nil {
			return permanent{err}
		}
		for _, name := range files {
			if b, err := os.ReadFile(name); err == nil && strings.Contains(string(b), args[1]) {
				return nil
			}
		}
		return fmt.Errorf("no log of deployment %s says %q", args[0], args[1])
	}))
}
