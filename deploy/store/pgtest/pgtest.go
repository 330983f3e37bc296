// Package pgtest starts PostgreSQL for tests and benchmarks: a cluster of its own in a temporary folder,
// reached by a unix socket alone, which ends with the process that started it. It uses the programs of
// Debian's postgresql package, or whatever initdb is in the PATH, and fails without them.
//
// It is no part of the server. Start reading at [Start].
package pgtest

import (
	"bufio"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver pgx
)

// patience is how long a cluster may take to be made, to start or to stop.
const patience = 2 * time.Minute

// Cluster is a PostgreSQL server. Stop it when it is not needed any more.
type Cluster struct {
	dir     string
	bin     string
	owner   *syscall.Credential // PostgreSQL refuses to run as root
	options []string
	command *exec.Cmd
	ended   chan struct{}
}

// Start makes a cluster and starts it. Options are settings such as fsync=off. Where this PostgreSQL can
// (from 15 on), text is compared by the rules of English, so that whoever relies on another order finds
// out.
func Start(options ...string) (*Cluster, error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "pg")
	if err != nil {
		return nil, err
	}
	c := &Cluster{dir: dir, bin: bin, options: options}
	if err := errors.Join(c.make(), c.Run()); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return c, nil
}

// programs finds the folder of initdb and postgres.
func programs() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(path), nil
		}
	}
	all, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(all) == 0 {
		return "", errors.New("PostgreSQL is not installed: on Debian and Ubuntu, apt-get install postgresql")
	}
	slices.SortFunc(all, func(a, b string) int { return version(a) - version(b) })
	return all[len(all)-1], nil
}

// version is the number in a folder's name, as in /usr/lib/postgresql/15/bin.
func version(bin string) int {
	n, err := strconv.Atoi(filepath.Base(filepath.Dir(bin)))
	if err != nil {
		return 0
	}
	return n
}

// make makes the cluster's files, as a user without rights.
func (c *Cluster) make() error {
	if err := c.own(); err != nil {
		return err
	}
	args := []string{"-D", c.data(), "-U", "slipway", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"}
	if version(c.bin) >= 15 {
		args = append(args, "--locale-provider=icu", "--icu-locale=en")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	initdb := exec.CommandContext(ctx, filepath.Join(c.bin, "initdb"), args...)
	initdb.Dir, initdb.Env, initdb.SysProcAttr = c.dir, environment(), &syscall.SysProcAttr{Credential: c.owner}
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return nil
}

// own gives the folder to the user postgres, or to nobody, if root runs the tests.
func (c *Cluster) own() error {
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return err
		}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return err
	}
	c.owner = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return os.Chown(c.dir, int(uid), int(gid))
}

func (c *Cluster) data() string { return filepath.Join(c.dir, "data") }

func environment() []string { return []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "HOME=/"} }

// Run starts the server of a cluster that was stopped with [Cluster.Halt], and returns when it answers.
func (c *Cluster) Run() error {
	args := []string{"-D", c.data(), "-k", c.dir, "-c", "listen_addresses=", "-c", "unix_socket_permissions=0777", "-c", "max_connections=200"}
	for _, o := range c.options {
		args = append(args, "-c", o)
	}
	cmd := exec.Command(filepath.Join(c.bin, "postgres"), args...)
	cmd.Dir, cmd.Env = c.dir, environment()
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.owner, Pdeathsig: syscall.SIGQUIT}
	says, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	started, ended := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // the child gets its signal when this thread ends
		defer runtime.UnlockOSThread()
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		untilReady(says, started)
		_ = cmd.Wait() // how it ended is of no interest; the tests see what it answered
	}()
	c.command, c.ended = cmd, ended
	select {
	case err := <-started:
		return err
	case <-time.After(patience):
		return errors.New("postgres did not start in time")
	}
}

// untilReady reads what the server says to its end, and tells when it takes connections.
func untilReady(says io.Reader, started chan<- error) {
	var all strings.Builder
	ready := false
	for lines := bufio.NewScanner(says); lines.Scan(); {
		if ready {
			continue
		}
		all.WriteString(lines.Text() + "\n")
		if ready = strings.Contains(lines.Text(), "ready to accept connections"); ready {
			started <- nil
		}
	}
	if !ready {
		started <- fmt.Errorf("postgres ended:\n%s", all.String())
	}
}

// Halt ends the server at once, as a crash would; its data stays.
func (c *Cluster) Halt() error {
	if err := c.command.Process.Signal(syscall.SIGQUIT); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-c.ended:
		return nil
	case <-time.After(patience):
		return errors.New("postgres did not end in time")
	}
}

// Stop ends the server and removes its files.
func (c *Cluster) Stop() error { return errors.Join(c.Halt(), os.RemoveAll(c.dir)) }

// Schema makes a new, empty schema and returns its address: a database for one test.
func (c *Cluster) Schema() (string, error) { return schema(c.dir) }

// address is that of a schema of the cluster in dir.
func address(dir, schema string) string {
	u := url.URL{Scheme: "postgres", User: url.User("slipway"), Path: "/postgres"}
	u.RawQuery = url.Values{"host": {dir}, "search_path": {schema}, "sslmode": {"disable"}}.Encode()
	return u.String()
}

func schema(dir string) (string, error) {
	name := "t" + strings.ToLower(rand.Text())
	db, err := sql.Open("pgx", address(dir, "public"))
	if err != nil {
		return "", err
	}
	defer db.Close()
	if _, err := db.Exec("CREATE SCHEMA " + name); err != nil {
		return "", fmt.Errorf("making a schema: %w", err)
	}
	return address(dir, name), nil
}

// cluster is where a test that [Twice] runs finds its cluster; unset where it is to use SQLite.
const cluster = "SLIPWAY_TEST_POSTGRES"

// Twice runs a package's tests, and then again with PostgreSQL. It is for TestMain.
func Twice(m *testing.M, options ...string) int {
	c, err := Start(options...)
	if err != nil {
		fmt.Fprintln(os.Stderr, "starting PostgreSQL:", err)
		return 1
	}
	defer func() {
		if err := c.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stopping PostgreSQL:", err)
		}
	}()
	code := m.Run()
	fmt.Println("the same on PostgreSQL")
	if err := os.Setenv(cluster, c.dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return max(code, m.Run())
}

// Database is the address of an empty database for one test, and whether it is PostgreSQL's; if not, it
// is the path of a file that does not exist.
func Database(t testing.TB) (string, bool) {
	t.Helper()
	dir := os.Getenv(cluster)
	if dir == "" {
		return filepath.Join(t.TempDir(), "slipway.db"), false
	}
	t.Log("on PostgreSQL")
	url, err := schema(dir)
	if err != nil {
		t.Fatal(err)
	}
	return url, true
}
