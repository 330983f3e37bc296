package manifest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"slipway/deploy"
)

// reader turns a document into a manifest, section by section. It notes every mistake in its source
// and goes on.
type reader struct {
	*source
	m    *deploy.Manifest
	seen map[string]*node // by label: "[deploy] run"
}

// field is a key that a section knows.
type field struct {
	name string
	read func(*node)
}

// The sections of a manifest, and the keys of each, for those who look for a key in the wrong place.
var sectionKeys = []struct {
	section string
	keys    []string
}{
	{"build", []string{"run", "network", "cache", "timeout", "env", "memory", "processes", "cpu", "disk", "file_size"}},
	{"test.NAME", []string{"run", "app", "needs", "requires", "network", "timeout", "env", "memory", "processes", "cpu", "disk", "file_size"}},
	{"process.NAME", []string{"run", "env", "memory", "processes", "cpu"}},
	{"deploy", []string{"release", "run", "undo", "ready_timeout", "drain_timeout", "keep_releases"}},
	{"hooks", []string{"before_deploy", "after_accept", "after_reject", "after_rollback"}},
	{"health", []string{"path", "url"}},
	{"verify", []string{"url"}},
	{"monitor", []string{"bake_time", "interval", "error_pattern", "max_memory", "max_cpu", "max_error_rate", "max_restarts"}},
}

// synonyms are what other tools call a key or a section.
var synonyms = map[string]string{
	"command": "run", "commands": "run", "cmd": "run", "script": "run", "scripts": "run", "exec": "run", "start": "run",
	"environment": "env", "variables": "env", "vars": "env",
	"depends_on": "needs", "depends": "needs", "after": "needs",
	"mem": "memory", "ram": "memory", "cpus": "cpu", "pids": "processes",
	"time_limit": "timeout", "caches": "cache", "net": "network", "internet": "network",
	"rollback": "undo", "down": "undo", "migrate": "release", "release_command": "release", "keep": "keep_releases",
	"healthcheck": "health", "health_check": "health", "watch": "monitor", "check": "health",
	"processes": "process", "tests": "test", "services": "process", "proc": "process",
	"grace": "drain_timeout", "pattern": "error_pattern", "error_rate": "max_error_rate", "restarts": "max_restarts",
	"duration": "bake_time",
}

// explained are keys that other tools have and that there is no need of here.
var explained = map[string]string{
	"port":   "the server chooses a port and gives it in $PORT; listen on 127.0.0.1:$PORT",
	"host":   "listen on 127.0.0.1:$PORT; the operator chooses the app's address",
	"domain": "the operator chooses the app's address",
	"image":  "there are no images; name the command in run",
	"branch": "the operator chooses the branch that deploys",
}

// document reads the top of the file.
func (r *reader) document(t *table) {
	fields := []field{
		{"build", r.build}, {"test", r.tests}, {"process", r.processes}, {"deploy", r.deploy},
		{"hooks", r.hooks}, {"health", r.health}, {"verify", r.verify}, {"monitor", r.monitor},
	}
	for _, n := range t.nodes {
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == n.key })
		switch {
		case i >= 0:
			fields[i].read(n)
		default:
			r.unknownTop(n, fields)
		}
	}
}

func (r *reader) unknownTop(n *node, fields []field) {
	if _, isTable := n.value.(*table); !isTable {
		want := "every key stands in a section, such as [build]"
		if at := owners(n.key, ""); len(at) > 0 {
			want = fmt.Sprintf("it belongs in %s: write that line above it", at)
		}
		r.fail(n.at, n.width, fmt.Sprintf("key %q stands before any section", short(n.key)), want)
		return
	}
	want := "known sections are " + strings.Join(titles(), " ")
	if n.key == deploy.WebProcess {
		want = "did you mean [process.web]?"
	} else if at := owners(n.key, ""); at != "" {
		want = fmt.Sprintf("%s is a key of %s", n.key, at)
	} else if near, ok := meant(n.key, names(fields)); ok {
		want = fmt.Sprintf("did you mean [%s]?", example(near))
	}
	r.fail(n.at, n.width, fmt.Sprintf("unknown section [%s]", shown(n.key)), want)
}

// example writes a section's name as it stands in a file.
func example(section string) string {
	for _, s := range sectionKeys {
		if strings.HasPrefix(s.section, section+".") {
			return s.section
		}
	}
	return section
}

func titles() []string {
	var all []string
	for _, s := range sectionKeys {
		all = append(all, "["+s.section+"]")
	}
	return all
}

func names(fields []field) []string {
	var all []string
	for _, f := range fields {
		all = append(all, f.name)
	}
	return all
}

// meant guesses which of the known words was meant.
func meant(written string, known []string) (string, bool) {
	plain := strings.ToLower(strings.ReplaceAll(written, "-", "_"))
	if s, ok := synonyms[plain]; ok && slices.Contains(known, s) {
		return s, true
	}
	return nearest(plain, known)
}

// owners names the sections, other than the given one, that know a key.
func owners(key, but string) string {
	var all []string
	for _, s := range sectionKeys {
		if s.section != but && slices.Contains(s.keys, key) {
			all = append(all, "["+s.section+"]")
		}
	}
	if len(all) > 3 {
		return ""
	}
	return strings.Join(all, " or ")
}

// section reads the keys of a table; kind is its name among sectionKeys, title how it stands in the
// file.
func (r *reader) section(n *node, kind, title string, fields []field) {
	t, ok := n.value.(*table)
	if !ok {
		r.fail(n.at, n.width, fmt.Sprintf("%s is %s", title, describe(n)), fmt.Sprintf("expected a section: write [%s] and its keys below", title))
		return
	}
	label := "[" + title + "]"
	n.label = label
	r.seen[label] = n
	for _, k := range t.nodes {
		k.label = label + " " + shown(k.key)
		r.seen[k.label] = k
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == k.key })
		if i < 0 {
			r.unknownKey(k, kind, label, names(fields))
			continue
		}
		fields[i].read(k)
	}
}

func (r *reader) unknownKey(k *node, kind, label string, known []string) {
	want := "known keys are " + strings.Join(known, ", ")
	if why, ok := explained[k.key]; ok {
		want = why
	} else if at := owners(k.key, kind); at != "" {
		want = "it belongs in " + at
	} else if near, ok := meant(k.key, known); ok {
		want = fmt.Sprintf("did you mean %q?", near)
	}
	r.fail(k.at, k.width, fmt.Sprintf("unknown key %q in %s", short(k.key), label), want)
}

// children calls read for each named table of a section such as [test].
func (r *reader) children(n *node, kind string, read func(n *node, name string)) {
	t, ok := n.value.(*table)
	if !ok {
		r.fail(n.at, n.width, fmt.Sprintf("%s is %s", kind, describe(n)), fmt.Sprintf("expected sections with names, such as %s", sampleSection(kind)))
		return
	}
	for _, c := range t.nodes {
		if _, ok := c.value.(*table); !ok {
			r.fail(c.at, c.width, fmt.Sprintf("%q stands in [%s], which holds named sections only", short(c.key), kind), "write "+sampleSection(kind)+" above it, or give it a name of your own")
			continue
		}
		if !namePattern.MatchString(c.key) {
			r.fail(c.at, c.width, fmt.Sprintf("%q is no name for a %s", short(c.key), kindNouns[kind]), "a name is lower-case letters, digits and hyphens, and begins with a letter; at most 40")
			continue
		}
		read(c, c.key)
	}
}

var kindNouns = map[string]string{"test": "test set", "process": "process"}

func sampleSection(kind string) string {
	if kind == "test" {
		return "[test.unit]"
	}
	return "[process.web]"
}

func (r *reader) build(n *node) {
	s := &r.m.Build
	fields := append([]field{{"run", r.commands(&s.Commands)}, {"network", r.boolean(&s.Network)}, {"cache", r.cache(&s.Cache)}}, r.stepFields(s)...)
	r.section(n, "build", "build", fields)
	r.needsRun(n, "[build]", `run = "make build"`)
}

// stepFields are the keys that every step knows.
func (r *reader) stepFields(s *deploy.Step) []field {
	return append([]field{{"timeout", r.duration(&s.Limits.Timeout, time.Millisecond)}, {"disk", r.size(&s.Limits.Disk)}, {"file_size", r.size(&s.Limits.FileSize)}},
		r.processFields(&s.Env, &s.Limits)...)
}

// processFields are the keys that whatever runs knows.
func (r *reader) processFields(env *map[string]string, l *deploy.Limits) []field {
	return []field{{"env", r.env(env)}, {"memory", r.size(&l.Memory)}, {"processes", r.integer(&l.Processes, 1)}, {"cpu", r.cores(&l.CPU)}}
}

func (r *reader) tests(n *node) {
	r.children(n, "test", func(c *node, name string) {
		set := deploy.TestSet{Name: name, Step: defaultTest()}
		s := &set.Step
		fields := append([]field{
			{"run", r.commands(&s.Commands)}, {"app", r.boolean(&set.App)}, {"needs", r.strings(&set.Needs)}, {"requires", r.services(&set.Requires)}, {"network", r.boolean(&s.Network)},
		}, r.stepFields(s)...)
		r.section(c, "test.NAME", "test."+name, fields)
		r.needsRun(c, "[test."+name+"]", `run = "make test"`)
		r.m.Tests = append(r.m.Tests, set)
	})
}

func (r *reader) processes(n *node) {
	r.children(n, "process", func(c *node, name string) {
		p := deploy.Process{Name: name}
		fields := append([]field{{"run", r.command(&p.Run)}}, r.processFields(&p.Env, &p.Limits)...)
		r.section(c, "process.NAME", "process."+name, fields)
		r.needsRun(c, "[process."+name+"]", `run = "./bin/app"`)
		r.m.Processes = append(r.m.Processes, p)
	})
	webFirst(r.m.Processes)
}

// needsRun notes that a section which was written has nothing to run.
func (r *reader) needsRun(n *node, label, sample string) {
	if _, isTable := n.value.(*table); isTable && r.seen[label+" run"] == nil {
		r.fail(n.at, n.width, label+" has no run", "expected "+sample)
	}
}

func (r *reader) deploy(n *node) {
	d := &r.m.Deploy
	r.section(n, "deploy", "deploy", []field{
		{"release", r.commands(&d.Release.Commands)}, {"run", r.commands(&d.Run.Commands)}, {"undo", r.commands(&d.Undo.Commands)},
		{"ready_timeout", r.duration(&d.ReadyTimeout, time.Millisecond)}, {"drain_timeout", r.duration(&d.DrainTimeout, 0)},
		{"keep_releases", r.integer(&d.KeepReleases, 2)},
	})
}

func (r *reader) hooks(n *node) {
	h := &r.m.Hooks
	r.section(n, "hooks", "hooks", []field{
		{"before_deploy", r.commands(&h.BeforeDeploy.Commands)}, {"after_accept", r.commands(&h.AfterAccept.Commands)},
		{"after_reject", r.commands(&h.AfterReject.Commands)}, {"after_rollback", r.commands(&h.AfterRollback.Commands)},
	})
}

func (r *reader) health(n *node) {
	r.section(n, "health", "health", []field{{"path", r.path(&r.m.Health.Path)}, {"url", r.url(&r.m.Health.URL)}})
}

func (r *reader) verify(n *node) {
	r.section(n, "verify", "verify", []field{{"url", r.url(&r.m.Verify.URL)}})
}

func (r *reader) monitor(n *node) {
	m := &r.m.Monitor
	r.section(n, "monitor", "monitor", []field{
		{"bake_time", r.duration(&m.BakeTime, 0)}, {"interval", r.duration(&m.Interval, minInterval)},
		{"error_pattern", r.pattern(&m.ErrorPattern)}, {"max_memory", r.size(&m.MaxMemory)}, {"max_cpu", r.cores(&m.MaxCPU)},
		{"max_error_rate", r.share(&m.MaxErrorRate)}, {"max_restarts", r.integer(&m.MaxRestarts, 0)},
	})
}

// webFirst moves the process that gets traffic to the front.
func webFirst(ps []deploy.Process) {
	slices.SortStableFunc(ps, func(a, b deploy.Process) int {
		return rank(a) - rank(b)
	})
}

func rank(p deploy.Process) int {
	if p.Name == deploy.WebProcess {
		return 0
	}
	return 1
}
