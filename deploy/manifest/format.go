package manifest

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"slipway/deploy"
)

// Format writes m as a slipway.toml: what differs from the defaults, with a few words on what could
// be changed. Parsing it gives m again, if m came from this package, but for Detected.
func Format(m *deploy.Manifest) []byte {
	return []byte("# How Slipway builds, tests, runs and watches this app.\n\n" + sections(m))
}

// sections writes the sections of m that say something.
func sections(m *deploy.Manifest) string {
	w := &writer{}
	d := defaults()
	w.build(m.Build, d.Build)
	for _, t := range m.Tests {
		w.test(t)
	}
	for _, p := range m.Processes {
		w.process(p)
	}
	w.deploy(m.Deploy, d.Deploy)
	w.hooks(m.Hooks)
	w.section("health", "", func() {
		w.string("path", m.Health.Path)
		w.string("url", m.Health.URL)
	})
	w.section("verify", "", func() { w.string("url", m.Verify.URL) })
	w.monitor(m.Monitor, d.Monitor)
	return w.b.String()
}

// writer writes sections, an empty line between them, and leaves out empty ones.
type writer struct {
	b    strings.Builder
	body strings.Builder
}

func (w *writer) section(name, comment string, write func()) {
	w.body.Reset()
	write()
	if w.body.Len() == 0 {
		return
	}
	if w.b.Len() > 0 {
		w.b.WriteByte('\n')
	}
	w.b.WriteString("[" + name + "]")
	if comment != "" {
		w.b.WriteString(" # " + comment)
	}
	w.b.WriteString("\n" + w.body.String())
}

func (w *writer) build(s, d deploy.Step) {
	if len(s.Commands) == 0 {
		return // a section without run would be refused
	}
	w.section("build", "", func() {
		w.commands("run", s.Commands)
		if !s.Network {
			w.line("network", "false")
		}
		w.strings("cache", s.Cache)
		w.limits(s.Env, s.Limits, d.Limits)
	})
}

func (w *writer) test(t deploy.TestSet) {
	w.section("test."+t.Name, "", func() {
		w.commands("run", t.Step.Commands)
		if t.App {
			w.line("app", "true")
		}
		w.strings("needs", t.Needs)
		w.strings("requires", t.Requires)
		if t.Step.Network {
			w.line("network", "true")
		}
		w.limits(t.Step.Env, t.Step.Limits, defaultTest().Limits)
	})
}

func (w *writer) process(p deploy.Process) {
	comment := ""
	if p.Name == deploy.WebProcess {
		comment = "listens on 127.0.0.1:$PORT"
	}
	w.section("process."+p.Name, comment, func() {
		w.string("run", p.Run)
		w.limits(p.Env, p.Limits, deploy.Limits{})
	})
}

func (w *writer) deploy(p, d deploy.DeployPlan) {
	w.section("deploy", "", func() {
		w.commands("release", p.Release.Commands)
		w.commands("run", p.Run.Commands)
		w.commands("undo", p.Undo.Commands)
		w.duration("ready_timeout", p.ReadyTimeout, d.ReadyTimeout)
		w.duration("drain_timeout", p.DrainTimeout, d.DrainTimeout)
		w.number("keep_releases", float64(p.KeepReleases), float64(d.KeepReleases))
	})
}

func (w *writer) hooks(h deploy.Hooks) {
	w.section("hooks", "", func() {
		w.commands("before_deploy", h.BeforeDeploy.Commands)
		w.commands("after_accept", h.AfterAccept.Commands)
		w.commands("after_reject", h.AfterReject.Commands)
		w.commands("after_rollback", h.AfterRollback.Commands)
	})
}

func (w *writer) monitor(p, d deploy.MonitorPlan) {
	w.section("monitor", "", func() {
		w.duration("bake_time", p.BakeTime, d.BakeTime)
		w.duration("interval", p.Interval, d.Interval)
		w.string("error_pattern", p.ErrorPattern)
		w.size("max_memory", p.MaxMemory, d.MaxMemory)
		w.number("max_cpu", p.MaxCPU, d.MaxCPU)
		w.number("max_error_rate", p.MaxErrorRate, d.MaxErrorRate)
		w.number("max_restarts", float64(p.MaxRestarts), float64(d.MaxRestarts))
	})
}

func (w *writer) limits(env map[string]string, l, d deploy.Limits) {
	w.duration("timeout", l.Timeout, d.Timeout)
	w.size("memory", l.Memory, d.Memory)
	w.number("processes", float64(l.Processes), float64(d.Processes))
	w.number("cpu", l.CPU, d.CPU)
	w.size("disk", l.Disk, d.Disk)
	w.size("file_size", l.FileSize, d.FileSize)
	if len(env) == 0 {
		return
	}
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(env)) {
		pairs = append(pairs, name+" = "+quote(env[name]))
	}
	w.line("env", "{ "+strings.Join(pairs, ", ")+" }")
}

func (w *writer) line(key, value string) { fmt.Fprintf(&w.body, "%s = %s\n", key, value) }

func (w *writer) string(key, s string) {
	if s != "" {
		w.line(key, quote(s))
	}
}

func (w *writer) strings(key string, all []string) {
	if len(all) == 0 {
		return
	}
	var quoted []string
	for _, s := range all {
		quoted = append(quoted, quote(s))
	}
	w.line(key, "["+strings.Join(quoted, ", ")+"]")
}

// commands writes one command as a string, several as an array, one to a line.
func (w *writer) commands(key string, all []string) {
	switch len(all) {
	case 0:
	case 1:
		w.string(key, all[0])
	default:
		var b strings.Builder
		for _, s := range all {
			b.WriteString("\n  " + quote(s) + ",")
		}
		w.line(key, "["+b.String()+"\n]")
	}
}

func (w *writer) duration(key string, d, normal time.Duration) {
	if d != normal {
		w.line(key, quote(formatDuration(d)))
	}
}

func (w *writer) size(key string, n, normal int64) {
	if n != normal {
		w.line(key, quote(formatSize(n)))
	}
}

func (w *writer) number(key string, f, normal float64) {
	if f != normal {
		w.line(key, strconv.FormatFloat(f, 'f', -1, 64))
	}
}

// formatDuration writes a duration without its empty parts.
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// formatSize writes a size in the largest unit that divides it.
func formatSize(n int64) string {
	for _, u := range []struct {
		name string
		size int64
	}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"TB", 1e12}, {"GB", 1e9}, {"MiB", 1 << 20}, {"MB", 1e6}, {"KiB", 1 << 10}, {"KB", 1e3}} {
		if n >= u.size && n%u.size == 0 {
			return fmt.Sprintf("%d%s", n/u.size, u.name)
		}
	}
	return fmt.Sprintf("%dB", n)
}

// quote writes a TOML string: as it is between single quotes where that spares escapes.
func quote(s string) string {
	plain := !strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsPrint(c) }) && utf8.ValidString(s)
	if plain && strings.ContainsAny(s, `"\`) && !strings.Contains(s, "'") {
		return "'" + s + "'"
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteRune(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\t':
			b.WriteString(`\t`)
		case unicode.IsPrint(c):
			b.WriteRune(c)
		case c > 0xffff:
			fmt.Fprintf(&b, `\U%08X`, c)
		default:
			fmt.Fprintf(&b, `\u%04X`, c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
