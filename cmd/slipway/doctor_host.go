package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"slipway/deploy/audit"
	"slipway/deploy/sandbox"
)

// What the doctor looks at of the host.

// bubblewrap tries a sandbox.
func (p *patient) bubblewrap(ctx context.Context) []finding {
	if p.config.Sandbox == string(sandbox.ModeNone) {
		return []finding{warning("sandbox", "none: whoever may push may do on this machine what the server may", `remove sandbox = "none" from server.toml`)}
	}
	if err := p.sandbox.Check(ctx); err != nil {
		return []finding{ill("sandbox", err.Error(), "until then every push is refused")}
	}
	return []finding{well("sandbox", "%s, and a trial works", firstLine(ctx, "bwrap", "--version"))}
}

// cgroups tells what cannot be limited.
func (p *patient) cgroups(context.Context) []finding {
	if p.config.Sandbox == string(sandbox.ModeNone) {
		return nil
	}
	weak := p.sandbox.Weaknesses()
	if len(weak) == 0 {
		return []finding{well("limits", "cgroups hold memory, processes and CPU")}
	}
	var all []finding
	for _, w := range weak {
		all = append(all, warning("limits", w, "as a service: Delegate=yes in the unit; elsewhere: systemd-run --scope -p Delegate=yes slipway serve"))
	}
	return all
}

// gitNeeded is the oldest git that has the proc-receive hook.
const gitNeeded = "2.29"

func (p *patient) git(ctx context.Context) []finding {
	const install = "install it: apt-get install git"
	version, err := p.repos.Version(ctx)
	if err != nil {
		return []finding{ill("git", err.Error(), install)}
	}
	if before(version, gitNeeded) {
		return []finding{ill("git", fmt.Sprintf("%s is too old: %s or newer is needed", version, gitNeeded), install)}
	}
	return []finding{well("git", "%s", version)}
}

// before compares versions number by number.
func before(a, b string) bool {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(as), len(bs)) {
		x, errX := strconv.Atoi(as[i])
		y, errY := strconv.Atoi(bs[i])
		if errX != nil || errY != nil || x != y {
			return errX == nil && errY == nil && x < y
		}
	}
	return len(as) < len(bs)
}

// toolchains tells what builds can use. What is missing is no fault: not every app needs it.
func (p *patient) toolchains(ctx context.Context) []finding {
	var found []string
	for _, tool := range [][]string{{"go", "version"}, {"node", "--version"}, {"python3", "--version"}} {
		path := inPath(tool[0], p.config.path())
		if path == "" {
			found = append(found, "no "+tool[0])
			continue
		}
		words := strings.Fields(firstLine(ctx, path, tool[1:]...))
		said := "does not run"
		for _, w := range words { // "go version go1.26 linux/amd64", "v18.0.1", "Python 3.11.2"
			if v := strings.TrimPrefix(strings.TrimPrefix(w, "go"), "v"); v != "" && v[0] >= '0' && v[0] <= '9' {
				said = v
				break
			}
		}
		found = append(found, tool[0]+" "+said)
	}
	return []finding{well("toolchains", "%s", strings.Join(found, ", "))}
}

// inPath finds a program in folders separated by colons, "" if it is in none.
func inPath(name, path string) string {
	for _, dir := range filepath.SplitList(path) {
		file := filepath.Join(dir, name)
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return file
		}
	}
	return ""
}

// firstLine is the first line that a program prints, "" if it fails.
func firstLine(ctx context.Context, name string, args ...string) string {
	ctx, cancel := context.WithTimeout(ctx, looking)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(line)
}

// unit looks at the systemd unit in which the server runs, or would run, where there is one.
func (p *patient) unit(ctx context.Context) []finding {
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		return nil
	}
	name := unitOf(p.pid)
	if name == "" {
		return nil
	}
	switch mode := firstLine(ctx, "systemctl", "show", "--property=KillMode", "--value", name); mode {
	case "":
		return nil
	case "process":
		return []finding{well("systemd", "%s has KillMode=process", name)}
	default:
		return []finding{warning("systemd", fmt.Sprintf("%s has KillMode=%s: stopping it would end every app", name, mode),
			"systemctl edit "+name+"   and write: [Service], KillMode=process")}
	}
}

// unitOf is the service in whose cgroup a process is; without a process, the usual name.
func unitOf(pid int) string {
	if pid == 0 {
		return "slipway.service"
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return ""
	}
	unit := ""
	for part := range strings.FieldsFuncSeq(string(b), func(r rune) bool { return r == '/' || r == '\n' }) {
		if strings.HasSuffix(part, ".service") && !strings.HasPrefix(part, "user@") {
			unit = part
		}
	}
	return unit
}

// clock compares the machine's clock with the log's newest event and asks whether it is kept right.
func (p *patient) clock(context.Context) []finding {
	const mend = "timedatectl set-ntp true   (or start chrony or ntpd)"
	for line, err := range audit.Lines(p.config.layout.Audit(), p.lastSequence()) {
		if err != nil {
			break // that is the log's illness
		}
		if ahead := time.Until(line.Event.At); ahead > time.Minute {
			return []finding{ill("clock", fmt.Sprintf("the newest event is %s ahead of it: the clock was set back", ahead.Round(time.Second)), mend)}
		}
	}
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	const unsynchronized = 5 // TIME_ERROR, adjtimex(2)
	if err == nil && state == unsynchronized {
		return []finding{warning("clock", "nothing keeps it right", mend)}
	}
	return []finding{well("clock", "%s", time.Now().UTC().Format("2006-01-02 15:04:05 UTC"))}
}

// lastSequence is that of the newest event, 1 if it cannot be known cheaply.
func (p *patient) lastSequence() uint64 {
	if p.head != nil {
		return max(p.head().Sequence, 1)
	}
	if r, ok := p.records.(*replayed); ok {
		return max(r.last.Sequence, 1)
	}
	return 1
}
