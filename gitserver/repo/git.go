package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"slipway/deploy"
	"slipway/deploy/durable"
)

// settings are given to every git. What has been received or moved survives a power cut: files are
// synced by git, folders by this package.
var settings = []string{
	"-c", "core.fsync=all",
	"-c", "core.fsyncMethod=fsync",
	"-c", "safe.directory=*", // the repositories' folder is ours, whoever an operator chowned it to
	"-c", "core.bigFileThreshold=64m", // larger files are passed on in parts, and not held in memory
	"-c", "gc.auto=0",
	"-c", "maintenance.auto=false",
	"-c", "advice.detachedHead=false",
}

// forOperators ends a repository's config file. Of settings it has those that matter, too, when an operator
// runs a git of his own there: a ref is not on disk before its objects, and nobody but us prunes.
const forOperators = `[core]
	fsync = all
[gc]
	auto = 0
[maintenance]
	auto = false
`

// configure sets forOperators in a repository, unless something is set there already.
func configure(dir string) error {
	path := filepath.Join(dir, "config")
	b, err := os.ReadFile(path)
	if err != nil || bytes.Contains(bytes.ToLower(b), []byte("fsync")) {
		return err
	}
	if len(b) > 0 && !bytes.HasSuffix(b, []byte("\n")) {
		b = append(b, '\n')
	}
	return durable.Replace(path, append(b, forOperators...))
}

// Environment is the whole environment of a git that this server starts: nothing of the server's own
// or of a user's configuration gets in. Objects are never replaced (git-replace(1)): whoever may push
// refs/replace could otherwise have another tree deployed than the one the id names.
func (s *Store) Environment() []string {
	home := filepath.Join(s.config.Layout.Repos(), homeFolder)
	return []string{
		"PATH=" + s.config.Path,
		"HOME=" + home,
		"XDG_CONFIG_HOME=" + home,
		"LC_ALL=C",
		"TZ=UTC",
		"GIT_CONFIG_NOSYSTEM=1",
		"GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_ATTR_NOSYSTEM=1",
		"GIT_NO_REPLACE_OBJECTS=1",
		"GIT_LITERAL_PATHSPECS=1",
		"GIT_TERMINAL_PROMPT=0",
		"GIT_ADVICE=0",
	}
}

// Command returns git with its environment and settings, not started: in a process group of its own,
// so that a Ctrl-C at the server's terminal does not reach it, and killed with the group when ctx
// ends.
func (s *Store) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, s.config.Git, append(settings[:len(settings):len(settings)], args...)...)
	cmd.Env = s.Environment()
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// in returns git working in app's repository.
func (s *Store) in(ctx context.Context, app deploy.AppName, args ...string) *exec.Cmd {
	return s.Command(ctx, append([]string{"--git-dir=" + s.Dir(app)}, args...)...)
}

// git runs git, in app's repository if app is not empty, and returns its standard output.
func (s *Store) git(ctx context.Context, app deploy.AppName, args ...string) ([]byte, error) {
	if app == "" {
		return output(s.Command(ctx, args...))
	}
	return output(s.in(ctx, app, args...))
}

// gitError is a git that failed, with what it said.
type gitError struct {
	command string
	stderr  string
	err     error
}

func (e *gitError) Error() string {
	if e.stderr == "" {
		return e.command + ": " + e.err.Error()
	}
	return e.command + ": " + e.err.Error() + ": " + e.stderr
}

// Is makes a full disk, of which git has told in words, the error of the system call.
func (e *gitError) Is(target error) bool {
	return target == syscall.ENOSPC && (strings.Contains(e.stderr, "No space left on device") || strings.Contains(e.stderr, "Out of diskspace"))
}

func (e *gitError) Unwrap() error { return e.err }

// exitStatus returns the exit status in err's chain, and whether there is one.
func exitStatus(err error) (int, bool) {
	if e, ok := errors.AsType[*exec.ExitError](err); ok && e.Exited() {
		return e.ExitCode(), true
	}
	return 0, false
}

func output(cmd *exec.Cmd) ([]byte, error) {
	var stdout bytes.Buffer
	cmd.Stdout = &stdout
	err := run(cmd)
	return stdout.Bytes(), err
}

// run runs cmd, keeping the end of what it says on its standard error for the error.
func run(cmd *exec.Cmd) error {
	_, err := runSaying(cmd)
	return err
}

// runWithin is run for a command that may take so many bytes of memory.
func runWithin(cmd *exec.Cmd, memory uint64) error {
	stderr := &tail{limit: 4 << 10}
	cmd.Stderr = stderr
	err := cmd.Start()
	if err == nil {
		limited := unix.Prlimit(cmd.Process.Pid, unix.RLIMIT_DATA, &unix.Rlimit{Cur: memory, Max: memory}, nil)
		if errors.Is(limited, unix.ESRCH) {
			limited = nil // it has ended already
		}
		err = errors.Join(cmd.Wait(), limited)
	}
	if err != nil {
		return &gitError{command: subcommand(cmd), stderr: stderr.String(), err: err}
	}
	return nil
}

// runSaying is run for a command whose complaints matter though it succeeds.
func runSaying(cmd *exec.Cmd) (said string, err error) {
	stderr := &tail{limit: 4 << 10}
	cmd.Stderr = stderr
	if err := cmd.Run(); err != nil {
		return "", &gitError{command: subcommand(cmd), stderr: stderr.String(), err: err}
	}
	return stderr.String(), nil
}

// subcommand names what cmd does, for people: "git read-tree".
func subcommand(cmd *exec.Cmd) string {
	args := cmd.Args[1:]
	for i := 0; i < len(args); i++ {
		switch {
		case args[i] == "-c":
			i++
		case !strings.HasPrefix(args[i], "-"):
			return "git " + args[i]
		}
	}
	return "git"
}

// tail keeps the last bytes written to it.
type tail struct {
	limit int
	b     []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if extra := len(t.b) - t.limit; extra > 0 {
		t.b = append(t.b[:0], t.b[extra:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return strings.TrimSpace(string(t.b)) }

// findGit returns the first git in path's folders, or "git", whose start then says that there is none.
func findGit(path string) string {
	for _, dir := range filepath.SplitList(path) {
		file := filepath.Join(dir, "git")
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return file
		}
	}
	return "git"
}

// Version returns what git says of its version, such as "2.39.5".
func (s *Store) Version(ctx context.Context) (string, error) {
	out, err := s.git(ctx, "", "version")
	if err != nil {
		return "", fmt.Errorf("asking git for its version: %w", err)
	}
	return strings.TrimSpace(strings.TrimPrefix(string(out), "git version ")), nil
}
