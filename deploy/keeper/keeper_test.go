package keeper_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"slipway/deploy/keeper"
)

// TestMain makes this test binary the programs that the tests need: a keeper, and a parent that
// starts one and then waits to be killed.
func TestMain(m *testing.M) {
	os.Setenv("GORACE", "atexit_sleep_ms=0") // for the re-executed ones: the race detector lets a process linger
	if len(os.Args) > 2 {
		switch os.Args[1] {
		case "keep", "try":
			keep(os.Args[1] == "try", os.Args[2], os.Args[3:])
		case "late":
			late(os.Args[2])
		case "dying":
			dies(os.Args[2])
		case "parent":
			parent(os.Args[2], os.Args[3:])
		}
	}
	os.Exit(m.Run())
}

// lifetime is longer than any test. A keeper that a test has lost ends after it.
const lifetime = 5 * time.Minute

func keep(trial bool, dir string, argv []string) {
	ctx, cancel := context.WithTimeout(context.Background(), lifetime)
	defer cancel()
	ctx, cancel = signal.NotifyContext(ctx, syscall.SIGTERM)
	defer cancel()
	go churn(ctx)
	err := keeper.Run(ctx, keeper.Config{
		Dir: dir, Start: keeper.Command(argv[0], argv[1:]...), Trial: trial,
		Backoff:  keeper.Backoff{First: 10 * time.Millisecond},
		LogBytes: 64 << 10, LogFiles: 3,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// late is a keeper that has not looked at its folder yet, in which it leaves its pid.
func late(dir string) {
	path := filepath.Join(dir, "late")
	if err := os.WriteFile(path+".new", []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil {
		panic(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		panic(err)
	}
	<-time.After(lifetime)
	os.Exit(0)
}

// dies is a keeper that was killed, and that the kernel has taken its connections from and not yet its place among
// the processes.
func dies(dir string) {
	self, err := keeper.Identify(os.Getpid())
	if err != nil {
		panic(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "keeper.sock"))
	if err != nil {
		panic(err)
	}
	b, err := json.Marshal(keeper.Status{Keeper: self})
	if err != nil {
		panic(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "state.json"), b, 0o600); err != nil {
		panic(err)
	}
	conn, err := l.Accept()
	if err != nil {
		panic(err)
	}
	conn.Close()
	<-time.After(300 * time.Millisecond)
	os.Exit(0)
}

// churn makes threads come and go: a goroutine that ends locked takes its thread along.
func churn(ctx context.Context) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		<-tick.C
		go runtime.LockOSThread()
	}
}

func parent(dir string, argv []string) {
	if err := keeper.Spawn(context.Background(), append([]string{os.Args[0], "keep", dir}, argv...), dir); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("spawned")
	select {}
}

// spawn starts a keeper of argv in dir and ends it with the test.
func spawn(t *testing.T, how, dir string, argv ...string) *keeper.Client {
	t.Helper()
	if err := keeper.Spawn(t.Context(), append([]string{os.Args[0], how, dir}, argv...), dir); err != nil {
		t.Fatal(err)
	}
	return connect(t, dir)
}

func connect(t *testing.T, dir string) *keeper.Client {
	t.Helper()
	c, err := keeper.Connect(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(context.Background(), 0); err != nil {
			t.Error("stopping the keeper: ", err)
		}
	})
	return c
}

func status(t *testing.T, c *keeper.Client) keeper.Status {
	t.Helper()
	s, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// eventually fails the test unless done says yes within ten seconds.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	end := time.After(10 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatal("never seen: ", what)
		}
	}
}

func said(t *testing.T, dir string) string {
	t.Helper()
	b, err := os.ReadFile(keeper.LogPath(dir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return string(b)
}

// A process is kept, its keeper outlives the one who started it, is adopted by the next, restarts
// what ends, and stops it when asked.
func TestStory(t *testing.T) {
	dir := t.TempDir()
	starter := exec.Command(os.Args[0], "parent", dir, "sh", "-c", `echo hello; exec sleep 1000`)
	out, err := starter.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := starter.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 64)
	n, _ := out.Read(line)
	if got := string(line[:n]); got != "spawned\n" {
		t.Fatalf("the parent said %q", got)
	}
	starter.Process.Kill()
	starter.Wait()

	c := connect(t, dir)
	eventually(t, "hello", func() bool { return said(t, dir) == "hello\n" })
	first := status(t, c)
	if !first.Running || !first.Child.Alive() || !first.Keeper.Alive() || first.Restarts != 0 {
		t.Fatalf("after the parent's death: %+v", first)
	}

	// Spawning again adopts it.
	if err := keeper.Spawn(t.Context(), []string{"/bin/false"}, dir); err != nil {
		t.Fatal(err)
	}
	if again := status(t, c); again.Keeper != first.Keeper || again.Child != first.Child {
		t.Fatalf("not adopted: %+v, was %+v", again, first)
	}

	if err := first.Child.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a restart", func() bool { s := status(t, c); return s.Running && s.Restarts == 1 })
	second := status(t, c)
	if second.LastExit != "signal: killed" || second.Child == first.Child {
		t.Fatalf("after the child's death: %+v", second)
	}

	if err := c.Stop(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	if second.Child.Alive() || second.Keeper.Alive() {
		t.Error("something lives on after Stop")
	}
	if _, err := keeper.Connect(dir); !errors.Is(err, keeper.ErrGone) {
		t.Errorf("Connect after Stop: %v", err)
	}
	last, err := keeper.ReadStatus(dir)
	if err != nil || !last.Stopped || last.Running || last.LastExit != "signal: terminated" {
		t.Errorf("on record after Stop: %+v, %v", last, err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "keeper.sock")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket stayed: %v", err)
	}
}

// Whoever asks a keeper that is just dying hears that it has gone, and not how its connection ended.
func TestAskingTheDying(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "dying", dir)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	var c *keeper.Client
	eventually(t, "the keeper", func() (found bool) {
		var err error
		c, err = keeper.Connect(dir)
		return err == nil
	})
	if _, err := c.Status(t.Context()); !errors.Is(err, keeper.ErrGone) {
		t.Errorf("Status: %v", err)
	}
}

func TestKilledKeeperTakesItsChildAlong(t *testing.T) {
	dir := t.TempDir()
	c := spawn(t, "keep", dir, "sleep", "1000")
	first := status(t, c)
	if err := first.Keeper.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the child's end", func() bool { return !first.Child.Alive() })
	if _, err := c.Status(t.Context()); !errors.Is(err, keeper.ErrGone) {
		t.Errorf("Status: %v", err)
	}
	if _, err := keeper.Connect(dir); !errors.Is(err, keeper.ErrGone) {
		t.Errorf("Connect: %v", err)
	}
	c = spawn(t, "keep", dir, "sleep", "1000")
	if s := status(t, c); !s.Running || s.Restarts != 1 || s.LastExit != "its keeper was killed" {
		t.Errorf("after the next start: %+v", s)
	}
}

// The child lives as long as its keeper, whose other threads come and go (see churn): Pdeathsig is
// about the thread that started the child.
func TestChildOutlivesThreads(t *testing.T) {
	c := spawn(t, "keep", t.TempDir(), "sleep", "1000")
	for range 300 {
		status(t, c)
	}
	if s := status(t, c); s.Restarts != 0 || !s.Running {
		t.Errorf("%+v", s)
	}
}

func TestTrial(t *testing.T) {
	dir := t.TempDir()
	c := spawn(t, "try", dir, "sh", "-c", "echo broken >&2; exit 3")
	s, err := c.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s.Running || !s.Ended || s.LastExit != "exit status 3" || s.Starts != 1 {
		t.Errorf("a failed trial: %+v", s)
	}
	if got := said(t, dir); got != "broken\n" {
		t.Errorf("its log: %q", got)
	}
	if _, err := c.Keep(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "restarts", func() bool { return status(t, c).Restarts >= 3 })
}

func TestRestartByRequest(t *testing.T) {
	c := spawn(t, "keep", t.TempDir(), "sleep", "1000")
	before := status(t, c)
	after, err := c.Restart(t.Context(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if after.Child == before.Child || !after.Running || after.Restarts != 0 || before.Child.Alive() {
		t.Errorf("before %+v, after %+v", before, after)
	}
}

func TestStopKillsWhatIgnoresTerm(t *testing.T) {
	dir := t.TempDir()
	c := spawn(t, "keep", dir, "sh", "-c", `trap '' TERM; echo deaf; while :; do sleep 1000; done`)
	eventually(t, "its trap", func() bool { return said(t, dir) == "deaf\n" })
	s := status(t, c)
	if err := c.Stop(t.Context(), 20*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if s.Child.Alive() {
		t.Error("it lives on")
	}
	if last, err := keeper.ReadStatus(dir); err != nil || last.LastExit != "signal: killed" {
		t.Errorf("on record: %+v, %v", last, err)
	}
}

// A stop that waits for a long grace is cut short by one with a shorter one.
func TestImpatientStop(t *testing.T) {
	dir := t.TempDir()
	c := spawn(t, "keep", dir, "sh", "-c", `trap '' TERM; echo deaf; while :; do sleep 1000; done`)
	eventually(t, "its trap", func() bool { return said(t, dir) == "deaf\n" })
	patient := make(chan error, 1)
	go func() { patient <- c.Stop(context.Background(), time.Hour) }()
	eventually(t, "the patient stop", func() bool { return status(t, c).Stopping })
	if err := c.Stop(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if err := <-patient; err != nil {
		t.Error(err)
	}
}

func TestTermEndsTheKeeperInOrder(t *testing.T) {
	dir := t.TempDir()
	c := spawn(t, "keep", dir, "sh", "-c", `trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.01; done`)
	eventually(t, "up", func() bool { return said(t, dir) == "up\n" })
	s := status(t, c)
	if err := s.Keeper.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the keeper's end", func() bool { return !s.Keeper.Alive() })
	if got := said(t, dir); got != "up\nbye\n" {
		t.Errorf("log: %q", got)
	}
}

func TestFolderNamesLongerThanSocketNames(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("deep/", 60))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	c := spawn(t, "keep", dir, "sleep", "1000")
	if s := status(t, c); !s.Running {
		t.Errorf("%+v", s)
	}
}

func TestSpawnSaysWhy(t *testing.T) {
	err := keeper.Spawn(t.Context(), []string{"sh", "-c", "echo out of cheese >&2; exit 4"}, t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "exit status 4: out of cheese") {
		t.Errorf("got %v", err)
	}
	if err := keeper.Spawn(t.Context(), []string{"/nowhere/keeper"}, t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing program: %v", err)
	}
}

func TestSpawnGivesUpWithItsContext(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := keeper.Spawn(ctx, []string{"sh", "-c", `echo $$ > "$0"; exec sleep 1000`, filepath.Join(dir, "pid")}, dir)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err != nil {
		t.Skip("it was ended before it could tell its pid")
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	eventually(t, "its end", func() bool { _, err := keeper.Identify(pid); return err != nil })
}

func TestOneKeeperPerFolder(t *testing.T) {
	dir := t.TempDir()
	c := spawn(t, "keep", dir, "sleep", "1000")
	for _, remove := range []string{"", "keeper.lock"} { // by the lock, and by the record
		if remove != "" {
			os.Remove(filepath.Join(dir, remove))
		}
		err := keeper.Run(t.Context(), keeper.Config{Dir: dir, Start: keeper.Command("true")})
		if !errors.Is(err, keeper.ErrRunning) {
			t.Errorf("a second keeper, %q removed: %v", remove, err)
		}
	}
	if s := status(t, c); !s.Running || s.Starts != 1 {
		t.Errorf("the first one: %+v", s)
	}
}

// A process that has the pid of a dead keeper is not it.
func TestRecycledPid(t *testing.T) {
	dir := t.TempDir()
	c := spawn(t, "keep", dir, "sleep", "1000")
	if err := c.Stop(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "state.json"))
	if err != nil {
		t.Fatal(err)
	}
	last, err := keeper.ReadStatus(dir)
	if err != nil {
		t.Fatal(err)
	}
	forged := strings.Replace(string(b), fmt.Sprintf(`"pid": %d`, last.Keeper.PID), fmt.Sprintf(`"pid": %d`, os.Getpid()), 1)
	if err := os.WriteFile(filepath.Join(dir, "state.json"), []byte(forged), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := keeper.Connect(dir); !errors.Is(err, keeper.ErrGone) {
		t.Errorf("Connect: %v", err)
	}
	id := last.Keeper
	id.PID = os.Getpid()
	if err := id.Signal(syscall.SIGKILL); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("Signal: %v", err)
	}
}

// What the parent inherited does not live on in the keeper or its child.
func TestNoInheritedDescriptors(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	dup, err := syscall.Dup(int(r.Fd())) // without close-on-exec, as inherited ones are
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(dup)
	c := spawn(t, "keep", t.TempDir(), "sleep", "1000")
	s := status(t, c)
	for _, pid := range []int{s.Keeper.PID, s.Child.PID} {
		name := fmt.Sprintf("/proc/%d/fd", pid)
		fds, err := os.ReadDir(name)
		if err != nil {
			t.Fatal(err)
		}
		mine, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", dup))
		for _, fd := range fds {
			if to, _ := os.Readlink(filepath.Join(name, fd.Name())); to == mine {
				t.Errorf("process %d has descriptor %s open: %s", pid, fd.Name(), to)
			}
		}
	}
}

func TestFloodIsBounded(t *testing.T) {
	dir := t.TempDir()
	c := spawn(t, "try", dir, "sh", "-c", `head -c 1048576 /dev/zero | tr '\0' x; echo; yes flood | head -n 200000; echo the end`)
	if _, err := c.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	var total int64
	files, _ := filepath.Glob(filepath.Join(dir, "output.log*"))
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		total += info.Size()
	}
	if len(files) != 3 || total > 3*64<<10 {
		t.Errorf("%d files of %d bytes", len(files), total)
	}
	if !strings.HasSuffix(said(t, dir), "flood\nthe end\n") {
		t.Error("the end is missing")
	}
}

func TestVacate(t *testing.T) {
	dir := t.TempDir()
	c := spawn(t, "keep", dir, "sleep", "1000")
	s := status(t, c)
	closer, err := keeper.Vacate(t.Context(), dir, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if s.Child.Alive() || s.Keeper.Alive() {
		t.Error("something lives on")
	}
	if err := keeper.Run(t.Context(), keeper.Config{Dir: dir, Start: keeper.Command("true")}); !errors.Is(err, keeper.ErrRunning) {
		t.Errorf("a keeper in a vacated folder: %v", err)
	}
	closer.Close()
	spawn(t, "keep", dir, "sleep", "1000")
	if closer, err := keeper.Vacate(t.Context(), filepath.Join(dir, "nowhere"), 0); err != nil || closer.Close() != nil {
		t.Errorf("a folder that is not there: %v", err)
	}
}

// A keeper that has the lock but has not yet said who it is, is waited for.
func TestVacateWaitsForOneThatStarts(t *testing.T) {
	dir := t.TempDir()
	lock, err := os.OpenFile(filepath.Join(dir, "keeper.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := keeper.Vacate(ctx, dir, 0); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	lock.Close()
	closer, err := keeper.Vacate(t.Context(), dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	closer.Close()
}

// A keeper that does not answer is killed.
func TestVacateKillsWhatIsStuck(t *testing.T) {
	dir := t.TempDir()
	s := status(t, spawn(t, "keep", dir, "sleep", "1000"))
	if err := s.Keeper.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	closer, err := keeper.Vacate(ctx, dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	closer.Close()
	eventually(t, "the child's end", func() bool { return !s.Child.Alive() })
}
