package sandbox

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// needed is the oldest bubblewrap that knows --disable-userns.
const needed = "0.8.0"

const (
	// trialTime is how long the trial of Check may take.
	trialTime = 20 * time.Second
	// trialPrefix begins the names of trials.
	trialPrefix = "check-"
)

// Check tells whether sandboxes can be had, by running one: its error says what is missing and, on the
// following lines, how to mend it. What cannot be limited on this host is no error; it is logged as a
// warning, see [Sandbox.Weaknesses].
func (s *Sandbox) Check(ctx context.Context) error {
	for _, w := range s.Weaknesses() {
		s.logger.WarnContext(ctx, "sandbox: "+w)
	}
	if s.Inside() {
		if err := s.checkProgram(ctx); err != nil {
			return err
		}
	}
	var output bytes.Buffer
	process, err := s.Start(ctx, Spec{
		// Several can be made at a time, and each needs a name of its own.
		Name: trialPrefix + strings.ToLower(rand.Text()[:12]), Argv: []string{"/bin/sh", "-c", "echo ok"}, Dir: "/",
		Env:    []string{"PATH=/usr/local/bin:/usr/bin:/bin"},
		Limits: Limits{Memory: 256 << 20, Processes: 32, CPU: 1, Time: trialTime},
	}, Stdio{Out: &output, Err: &output})
	if err != nil {
		return fmt.Errorf("trying the sandbox: %w", err)
	}
	result, err := process.Wait()
	if err == nil {
		err = result.Err()
	}
	if err != nil {
		words := strings.TrimSpace(output.String())
		return fmt.Errorf("trying the sandbox: %w\n%s", err, mend(words+err.Error()))
	}
	if output.String() != "ok\n" {
		return fmt.Errorf("trying the sandbox: it printed %.200q, not ok", output.String())
	}
	return nil
}

// EndTrials ends what a process that was killed has left of its trials, and those that another one makes just
// now: it is for a server that starts.
func (s *Sandbox) EndTrials(ctx context.Context) error {
	names, err := s.Names()
	if err != nil {
		return fmt.Errorf("listing sandboxes: %w", err)
	}
	var errs []error
	for _, name := range names {
		if strings.HasPrefix(name, trialPrefix) {
			errs = append(errs, s.KillAll(ctx, name))
		}
	}
	return errors.Join(errs...)
}

// Weaknesses lists, as sentences, what this host does not let a sandbox limit.
func (s *Sandbox) Weaknesses() []string {
	var all []string
	if !s.Inside() {
		all = append(all, "mode none: commands run on the host itself, nothing protects it from them")
	}
	h, err := s.hierarchy()
	switch {
	case err != nil:
		all = append(all, fmt.Sprintf("no cgroups (%v): memory and processes are polled ten times a second instead of held, CPU is not limited", err))
	case !h.limitsCPU():
		all = append(all, "no cgroup controller for CPU: it is not limited")
	}
	return all
}

func (s *Sandbox) checkProgram(ctx context.Context) error {
	const install = "install it: apt-get install bubblewrap"
	path, err := s.bubblewrap()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, install)
	}
	output, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return fmt.Errorf("bubblewrap does not run: %w\n%s", err, install)
	}
	version := strings.TrimPrefix(strings.TrimSpace(string(output)), "bubblewrap ")
	if older(version, needed) {
		return fmt.Errorf("bubblewrap %.20s is too old: %s or newer is needed (Debian 12, Ubuntu 24.04)", version, needed)
	}
	return nil
}

// older compares versions number by number.
func older(a, b string) bool {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(as), len(bs)) {
		x, errX := strconv.Atoi(as[i])
		y, errY := strconv.Atoi(bs[i])
		if errX != nil || errY != nil || x != y {
			return errors.Join(errX, errY) == nil && x < y
		}
	}
	return len(as) < len(bs)
}

// mend says what to do about a host that does not let bubblewrap work, judging by the host's settings
// and by what bubblewrap said.
func mend(words string) string {
	denied := strings.Contains(words, "denied") || strings.Contains(words, "not permitted") || strings.Contains(words, "No permissions")
	switch {
	case denied && setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1":
		return `AppArmor forbids user namespaces to programs without a profile (Ubuntu 23.10 and newer). Give bubblewrap one:
  printf 'abi <abi/4.0>,\ninclude <tunables/global>\nprofile bwrap /usr/bin/bwrap flags=(unconfined) {\n  userns,\n}\n' > /etc/apparmor.d/bwrap
  apparmor_parser -r /etc/apparmor.d/bwrap`
	case setting("/proc/sys/kernel/unprivileged_userns_clone") == "0":
		return "user namespaces are off for ordinary users: sysctl -w kernel.unprivileged_userns_clone=1"
	case setting("/proc/sys/user/max_user_namespaces") == "0":
		return "user namespaces are off: sysctl -w user.max_user_namespaces=10000"
	case inContainer():
		return "in a container: docker run --security-opt seccomp=unconfined --security-opt systempaths=unconfined --security-opt apparmor=unconfined"
	case strings.Contains(words, "namespace"):
		return "the kernel or a security module forbids user namespaces to ordinary users"
	}
	return "to see what bubblewrap can do here: bwrap --unshare-all --ro-bind / / true"
}

func setting(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func inContainer() bool {
	for _, path := range []string{"/.dockerenv", "/run/.containerenv"} {
		if _, err := os.Stat(path); err == nil {
			return true
		}
	}
	return false
}
