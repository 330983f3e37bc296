//go:build bench

package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// sshServer is the machine's own OpenSSH, started by hand with Debian's settings, and a user who exists
// for as long as the benchmarks run, and whose shell is git-shell.
type sshServer struct {
	user, home string
	port       int
}

// startSSHD starts it, or notes why that cannot be.
func (p *place) startSSHD(t *testing.T) {
	t.Helper()
	program, err := exec.LookPath("sshd")
	if err != nil {
		program = "/usr/sbin/sshd" // not in everybody's PATH
	}
	shell, shellErr := exec.LookPath("git-shell")
	_, err = os.Stat(program)
	switch {
	case os.Getuid() != 0:
		p.noSSHD = "only root can make the user that OpenSSH needs"
	case err != nil:
		p.noSSHD = "openssh-server is not installed"
	case shellErr != nil:
		p.noSSHD = "git-shell is not installed"
	}
	if p.noSSHD != "" {
		return
	}
	s := &sshServer{user: fmt.Sprintf("slipbench%d", os.Getpid()), home: filepath.Join(p.dir, "sshd-home"), port: ports(t, 1)[0]}
	// The password * fits nothing; with ! the account would count as locked.
	p.run(t, "", "useradd", "--no-log-init", "--create-home", "--home-dir", s.home, "--shell", shell, "--password", "*", s.user)
	t.Cleanup(func() {
		_ = until(10*time.Second, func() error { return exec.Command("userdel", s.user).Run() })
	})
	dir := filepath.Join(p.dir, "sshd")
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.Chmod(s.home, 0o755), os.MkdirAll("/run/sshd", 0o755)); err != nil {
		t.Fatal(err)
	}
	p.run(t, "", "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, "host_key"))
	key, err := os.ReadFile(filepath.Join(p.dir, "key.pub"))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "authorized_keys"), key, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	// The last four lines are Debian's /etc/ssh/sshd_config; those before only say what is where.
	write(t, filepath.Join(dir, "config"), fmt.Sprintf(`ListenAddress 127.0.0.1:%d
HostKey %[2]s/host_key
AuthorizedKeysFile %[2]s/authorized_keys
PidFile none
StrictModes no
MaxStartups 100
KbdInteractiveAuthentication no
UsePAM yes
PrintMotd no
AcceptEnv LANG LC_*
`, s.port, dir))
	log, err := os.Create(filepath.Join(p.dir, "sshd.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(program, "-D", "-e", "-f", filepath.Join(dir, "config"))
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	err = until(10*time.Second, func() error {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.port))
		if err == nil {
			c.Close()
		}
		return err
	})
	if err != nil {
		said, _ := os.ReadFile(log.Name())
		t.Fatalf("sshd does not answer: %v\n%s", err, said)
	}
	p.sshd = s
}

// newBare makes a bare repository that OpenSSH serves and returns its URL.
func (s *sshServer) newBare(t *testing.T, p *place, name string) string {
	t.Helper()
	dir := filepath.Join(s.home, name+".git")
	p.run(t, "", "git", "init", "-q", "--bare", dir)
	s.own(t, p)
	return fmt.Sprintf("ssh://%s@127.0.0.1:%d%s", s.user, s.port, dir)
}

// own gives the user what root has put there.
func (s *sshServer) own(t *testing.T, p *place) {
	t.Helper()
	p.run(t, "", "chown", "-R", s.user+":", s.home)
}
