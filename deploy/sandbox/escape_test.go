package sandbox

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"slipway/deploy/sandbox/egress"
)

// attempt is one way out. Outside, the same user can go it; or root can, where that takes root.
type attempt struct {
	name       string
	privileged bool   // outside it takes root
	hard       string // why it may fail outside, too; "" for that it must not
	probe      string
	args       []string
}

// untried is what is too dangerous outside: a node of the host's disk that a killed test would leave, a file
// that has no end.
const untried = "it is not tried"

const resource = "it takes CAP_SYS_RESOURCE, which root may lack in a container"

// victim is a host process of the sandbox's own host user, so that nothing but namespaces is between
// them.
func victim(t *testing.T, s *Sandbox) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/bin/sleep", "4321")
	cmd.SysProcAttr = credential(s, 7)
	cmd.Dir = "/"
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return cmd
}

func listener(t *testing.T, network, address string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	return l
}

// TestEscapes attempts each way out first where it is open, on the host as the same user, and then from
// the inside, where it must be shut.
func TestEscapes(t *testing.T) {
	s := newSandbox()
	home := folder(t, s, 7) // on the host, not mounted
	secret := filepath.Join(home, "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	uid, gid := s.HostID(7)
	if err := os.Chown(secret, uid, gid); err != nil {
		t.Fatal(err)
	}
	process := victim(t, s)
	pid := strconv.Itoa(process.Process.Pid)
	abstract := fmt.Sprintf("@sandbox-test-%d", os.Getpid())
	listener(t, "unix", abstract)
	named := filepath.Join(home, "socket")
	listener(t, "unix", named)
	if err := os.Chmod(named, 0o777); err != nil {
		t.Fatal(err)
	}
	loop := listener(t, "tcp", "127.0.0.1:0").Addr().String()
	var root unix.Stat_t
	if err := unix.Stat("/", &root); err != nil {
		t.Fatal(err)
	}
	const notHere = "this kernel may be built without it"
	family := func(n, kind, protocol int) []string {
		return []string{strconv.Itoa(n), strconv.Itoa(kind), strconv.Itoa(protocol)}
	}
	attempts := []attempt{
		{"a host file", false, "", "read", []string{secret}},
		{"a host file through the root of another process", false, "", "read", []string{"/proc/" + pid + "/root" + secret}},
		{"the host's users", true, "", "read", []string{"/etc/shadow"}},
		{"the host's name", false, "", "read", []string{"/etc/hostname"}},
		{"writing a host file", false, "", "write", []string{secret}},
		{"a process of the same user", false, "", "signal", []string{pid}},
		{"seeing that process", false, "", "find", []string{"/bin/sleep"}},
		{"tracing that process", false, "", "ptrace", []string{pid}},
		{"that process's memory", true, "", "vmread", []string{pid}},
		{"an abstract socket", false, "", "connect", []string{"unix", abstract}},
		{"a socket with a path", false, "", "connect", []string{"unix", named}},
		{"the host's loopback", false, "", "connect", []string{"tcp", loop}},
		{"mounting", true, "", "mount", nil},
		{"making a folder writable", true, "/usr may be no mount there", "remount", nil},
		{"a namespace by unshare", true, "", "unshare", nil},
		{"a user namespace by clone", false, "", "clone", nil},
		{"becoming root", true, "", "setuid", []string{"0"}},
		{"becoming another user", true, "", "setuid", []string{"200001"}},
		{"a keyring", false, "", "addkey", nil},
		{"a raw socket", true, "", "socket", family(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP)},
		{"a packet socket", true, "", "socket", family(unix.AF_PACKET, unix.SOCK_RAW, 0)},
		{"vsock", false, notHere, "socket", family(unix.AF_VSOCK, unix.SOCK_STREAM, 0)},
		{"the kernel's ciphers", false, notHere, "socket", family(unix.AF_ALG, unix.SOCK_SEQPACKET, 0)},
		{"bluetooth", false, notHere, "socket", family(unix.AF_BLUETOOTH, unix.SOCK_RAW, 0)},
		{"tipc", false, notHere, "socket", family(unix.AF_TIPC, unix.SOCK_STREAM, 0)},
		{"rds", false, notHere, "socket", family(unix.AF_RDS, unix.SOCK_SEQPACKET, 0)},
		{"a device node", true, "", "mknod", []string{filepath.Join(home, "disk"), strconv.Itoa(int(root.Dev))}},
		{"a device node in /tmp", true, untried, "mknod", []string{"/tmp/disk", strconv.Itoa(int(root.Dev))}},
		{"the core pattern", true, "", "truncate", []string{"/proc/sys/kernel/core_pattern"}},
		{"sysrq", true, notHere, "truncate", []string{"/proc/sysrq-trigger"}},
		{"the kernel's memory", true, untried, "read", []string{"/proc/kcore"}},
		{"cgroups", true, notHere, "truncate", []string{"/sys/fs/cgroup/cgroup.procs"}},
		{"the user namespace limit", true, resource, "truncate", []string{"/proc/sys/user/max_user_namespaces"}},
		{"/usr", true, "", "write", []string{"/usr/sandbox-test"}},
		{"/etc", true, "", "write", []string{"/etc/sandbox-test"}},
		{"/", true, "", "write", []string{"/sandbox-test"}},
		{"/dev", true, "", "write", []string{"/dev/sandbox-test"}},
		{"/run", true, "", "write", []string{"/run/sandbox-test"}},
		{"a port below 1024", true, "", "listen", []string{"127.0.0.1:997"}},
	}
	for _, a := range attempts {
		t.Run(a.name, func(t *testing.T) { a.run(t, s) })
	}
}

// TestFilterRefusesCalls makes each call that the filter must refuse, and first where there is no filter: as
// root, since the kernel refuses some of them to others.
func TestFilterRefusesCalls(t *testing.T) {
	s := newSandbox()
	for _, name := range strings.Fields(`add_key request_key keyctl bpf io_uring_setup io_uring_enter io_uring_register
		perf_event_open userfaultfd mount umount2 pivot_root chroot setns unshare fsopen fsmount open_tree move_mount
		open_by_handle_at init_module finit_module delete_module kexec_load swapon acct quotactl syslog kcmp memfd_secret
		pidfd_getfd process_madvise clone3 settimeofday vhangup`) {
		t.Run(name, func(t *testing.T) {
			if os.Geteuid() == 0 {
				if output, err := outside(t, true, "call", name); err != nil {
					t.Errorf("it is refused without the filter too, so this proves nothing: %v %s", err, output)
				}
			}
			if r, output := finish(t, s, probe("call", name)); r.ExitCode != 3 {
				t.Errorf("the kernel got to see it: %v %s", r, output)
			}
		})
	}
}

func TestSetuidProgramIsNotRoot(t *testing.T) {
	needRoot(t)
	s := newSandbox()
	dir := folder(t, s, 7)
	b, err := os.ReadFile(filepath.Join(base, "probe", "probe"))
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "root")
	if err := os.WriteFile(program, b, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(program, 0o4755|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Env, cmd.SysProcAttr = []string{probeVariable + "=whoami"}, credential(s, 7)
	if output, err := cmd.Output(); err != nil || strings.TrimSpace(string(output)) != "0" {
		t.Logf("outside: %q %v; is the temporary folder mounted nosuid?", output, err)
	}
	inside := probe("whoami")
	inside.Argv[0] = "/app/root"
	inside.Mounts = append(inside.Mounts, Mount{Source: dir, Target: "/app", Writable: true})
	if got := must(t, s, inside); got != "1000" {
		t.Errorf("it runs as %s", got)
	}
}

func TestRootsFileIsUnreadable(t *testing.T) {
	needRoot(t)
	s := newSandbox()
	dir := folder(t, s, 7)
	if err := os.WriteFile(filepath.Join(dir, "shadow"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	inside := probe("read", "/app/shadow")
	inside.Mounts = append(inside.Mounts, Mount{Source: dir, Target: "/app", Writable: true})
	if r, output := finish(t, s, inside); r.ExitCode != 3 || strings.Contains(output, "secret") {
		t.Errorf("%v %s", r, output)
	}
}

func TestReadOnlyMount(t *testing.T) {
	s := newSandbox()
	dir := folder(t, s, 7)
	inside := probe("write", "/app/file")
	inside.Mounts = append(inside.Mounts, Mount{Source: dir, Target: "/app"})
	if r, output := finish(t, s, inside); r.ExitCode != 3 || !strings.Contains(output, "read-only") {
		t.Errorf("%v %s", r, output)
	}
	inside.Mounts[1].Writable = true
	must(t, s, inside)
	var stat unix.Stat_t
	if err := unix.Stat(filepath.Join(dir, "file"), &stat); err != nil {
		t.Fatal(err)
	}
	if uid, _ := s.HostID(7); int(stat.Uid) != uid {
		t.Errorf("on the host the file belongs to %d, not %d", stat.Uid, uid)
	}
}

func TestNothingLeaksIn(t *testing.T) {
	s := newSandbox()
	leak, err := os.Open("/etc/hostname")
	if err != nil {
		t.Fatal(err)
	}
	defer leak.Close()
	if err := unix.Dup2(int(leak.Fd()), 77); err != nil { // without close-on-exec, as C libraries open files
		t.Fatal(err)
	}
	defer unix.Close(77)
	if got := must(t, s, probe("fds")); got != "" {
		t.Errorf("descriptors: %s", got)
	}
	t.Setenv("SERVER_SECRET", "hunter2")
	secret := shell("tr '\\0' '\\n' < /proc/1/environ; tr '\\0' ' ' < /proc/1/cmdline; cat /proc/1/cmdline | tr -d '\\0' | wc -c >/dev/null")
	secret.Env = append(secret.Env, "APP_SECRET=hunter3")
	if got := must(t, s, secret); strings.Contains(got, "hunter") || strings.Contains(got, base) {
		t.Errorf("the first process shows: %s", got)
	}
	if got := must(t, s, spec("/usr/bin/env")); got != "PATH=/usr/local/bin:/usr/bin:/bin\nPWD=/" {
		t.Errorf("environment: %s", got)
	}
}

func TestPrivilegesAreGone(t *testing.T) {
	got := must(t, newSandbox(), spec("/bin/cat", "/proc/self/status"))
	for _, line := range []string{"NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "CapPrm:\t0000000000000000", "CapAmb:\t0000000000000000"} {
		if !strings.Contains(got, line) {
			t.Errorf("no %q in\n%s", line, got)
		}
	}
	if got := must(t, newSandbox(), spec("/usr/bin/id")); got != "uid=1000(app) gid=1000(app) groups=1000(app)" {
		t.Errorf("id: %s", got)
	}
}

func TestNoTerminal(t *testing.T) {
	if r, _ := finish(t, newSandbox(), probe("truncate", "/dev/tty")); r.ExitCode != 3 {
		t.Error("there is a controlling terminal")
	}
}

func TestNetwork(t *testing.T) {
	s := newSandbox()
	must(t, s, probe("loopback"))
	r, output := finish(t, s, probe("connect", "tcp", "192.0.2.1:80"))
	if r.ExitCode != 3 || !strings.Contains(output, "unreachable") {
		t.Errorf("the outside: %v %s", r, output)
	}
	host := probe("connect", "tcp", listener(t, "tcp", "127.0.0.1:0").Addr().String())
	host.HostNetwork = true
	must(t, s, host)
}

// TestEgressSocketInside: the one way out is a socket that the server serves, for what the operator listed.
func TestEgressSocketInside(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }))
	defer server.Close()
	s := newSandbox()
	socket := filepath.Join(folder(t, s, 7), "egress.sock")
	var log bytes.Buffer
	closer, err := egress.New(egress.Config{}).Listen(socket, []string{"127.0.0.1"}, &log)
	if err != nil {
		t.Fatal(err)
	}
	inside := probe("proxied", "/run/egress.sock", server.URL)
	inside.Mounts = append(inside.Mounts, Mount{Source: socket, Target: "/run/egress.sock"})
	if got := must(t, s, inside); got != "hello" {
		t.Error(got)
	}
	other := probe("proxied", "/run/egress.sock", "http://192.168.0.1/")
	other.Mounts = inside.Mounts
	if r, output := finish(t, s, other); r.ExitCode != 3 || !strings.Contains(output, "403 Forbidden") {
		t.Error(r, output)
	}
	closer.Close()
	want := "egress: reached " + server.Listener.Addr().String() + "\negress: refused 192.168.0.1:80: it is not on the list of hosts that may be reached\n"
	if log.String() != want {
		t.Errorf("%q, want %q", log.String(), want)
	}
}

func TestToolchainsAreReadable(t *testing.T) {
	dir := folder(t, newSandbox(), 7)
	if err := os.WriteFile(filepath.Join(dir, "tool"), []byte("tool"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(base, 0o755); err != nil {
		t.Fatal(err)
	}
	s := New(Config{Group: testGroup(), Toolchains: []string{dir}})
	if got := must(t, s, probe("read", filepath.Join(dir, "tool"))); got != "tool" {
		t.Errorf("%q", got)
	}
	if r, _ := finish(t, s, probe("write", filepath.Join(dir, "tool"))); r.ExitCode != 3 {
		t.Error("it can be written")
	}
}

// TestPlantedLink: a command cannot have its next run's mounts land elsewhere.
func TestPlantedLink(t *testing.T) {
	s := newSandbox()
	tree, cache := folder(t, s, 7), folder(t, s, 7)
	if err := os.Symlink("/usr", filepath.Join(tree, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/root", filepath.Join(tree, "source")); err != nil {
		t.Fatal(err)
	}
	for _, m := range []Mount{{Source: cache, Target: "/app/link"}, {Source: cache, Target: "/app/link/share"}, {Source: filepath.Join(tree, "source"), Target: "/x"}} {
		inside := shell("true")
		inside.Mounts = append(inside.Mounts, Mount{Source: tree, Target: "/app", Writable: true}, m)
		p, err := s.Start(t.Context(), inside, Stdio{})
		if err == nil {
			p.Wait()
			t.Errorf("mounted %v", m)
		} else if !strings.Contains(err.Error(), "symbolic link") {
			t.Error(err)
		}
	}
}

func TestUnreachableMountIsNamed(t *testing.T) {
	needRoot(t)
	s := newSandbox()
	shut := folder(t, s, 7)
	tree := filepath.Join(shut, "a", "tree")
	if err := os.MkdirAll(tree, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(shut, "a"), 0o700); err != nil {
		t.Fatal(err)
	}
	inside := shell("true")
	inside.Mounts = append(inside.Mounts, Mount{Source: tree, Target: "/app"})
	_, err := s.Start(t.Context(), inside, Stdio{})
	if err == nil || !strings.Contains(err.Error(), "because "+filepath.Join(shut, "a")+" has mode 0700") {
		t.Error(err)
	}
	inside.Mounts[1].Source = filepath.Join(shut, "nowhere")
	if _, err := s.Start(t.Context(), inside, Stdio{}); err == nil || !strings.Contains(err.Error(), "nowhere: no such file or directory") {
		t.Error(err)
	}
}

func TestMountOnTmp(t *testing.T) {
	s := newSandbox()
	dir := folder(t, s, 7)
	inside := shell("echo hello > /tmp/file")
	inside.Mounts = append(inside.Mounts, Mount{Source: dir, Target: "/tmp", Writable: true})
	must(t, s, inside)
	if b, err := os.ReadFile(filepath.Join(dir, "file")); err != nil || !bytes.Equal(b, []byte("hello\n")) {
		t.Errorf("%q %v", b, err)
	}
}
