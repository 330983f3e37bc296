package manifest

import (
	"maps"
	"slices"
	"strings"

	"slipway/deploy"
)

// project is what the files of one language show.
type project struct {
	sign  string            // the file it was recognised by
	build []string          // commands
	tests []string          // commands of its tests; none if it has none
	web   string            // the command of the web process; "" if none was found
	path  []string          // folders of the tree with programs that a Procfile names without their folder
	set   string            // what its test set is called beside another project's
	env   map[string]string // what its processes expect in production

	static bool   // web only serves files, so another project's web is preferred
	assets bool   // its build makes files that another project may serve
	lacks  string // why there is no web
	sample string // what web might be, where none was found
}

// guess is what the projects of a tree give together.
type guess struct {
	main  *project
	build []string
	tests []deploy.TestSet
}

// detect makes a manifest for a tree without slipway.toml.
func detect(t *tree) (*deploy.Manifest, error) {
	p, err := readProcfile(t)
	if err != nil {
		return nil, err
	}
	g, err := look(t, p)
	if err != nil {
		return nil, err
	}
	if p == nil && (g == nil || g.main.web == "") {
		return nil, nothingRunnable(t, g)
	}
	m := defaults()
	m.Detected = true
	if g != nil {
		m.Build.Commands, m.Tests = g.build, g.tests
	}
	if p == nil {
		m.Processes = g.processes()
		return m, nil
	}
	main := &project{}
	if g != nil {
		main = g.main
	}
	p.apply(m, main)
	return m, nil
}

// look finds the projects of a tree and puts them together; nil if there is none. With a Procfile the
// web process is known, and the first project is the main one.
func look(t *tree, p *procfile) (*guess, error) {
	order := []func(*tree) *project{detectGo, detectNode, detectPython, detectMake, detectStatic}
	if t.has("manage.py") {
		order = []func(*tree) *project{detectGo, detectPython, detectNode, detectMake, detectStatic}
	}
	var all []*project
	for _, detector := range order {
		if found := detector(t); found != nil {
			all = append(all, found)
		}
	}
	if t.err != nil {
		return nil, t.err
	}
	if len(all) == 0 {
		return nil, nil
	}
	g := &guess{main: all[0]}
	if p == nil {
		g.main = mainOf(all)
	}
	g.combine(all)
	return g, nil
}

// mainOf chooses the project that serves.
func mainOf(all []*project) *project {
	for _, static := range []bool{false, true} {
		for _, p := range all {
			if p.web != "" && p.static == static {
				return p
			}
		}
	}
	return all[0]
}

// combine takes the main project's build and tests, those of a project that makes assets for it, and
// a Makefile's where there are none.
func (g *guess) combine(all []*project) {
	for _, p := range all {
		if p != g.main && p.assets {
			g.build = append(g.build, p.build...)
			g.test(p.set, p.tests)
		}
	}
	g.build = append(g.build, g.main.build...)
	unit := g.main.tests
	if i := slices.IndexFunc(all, func(p *project) bool { return p.sign == makefileName }); i >= 0 {
		if len(g.build) == 0 {
			g.build = all[i].build
		}
		if len(unit) == 0 && len(g.tests) == 0 {
			unit = all[i].tests
		}
	}
	g.test("unit", unit)
}

func (g *guess) test(name string, commands []string) {
	if len(commands) == 0 {
		return
	}
	step := defaultTest()
	step.Commands = commands
	g.tests = append(g.tests, deploy.TestSet{Name: name, Step: step})
}

func (g *guess) processes() []deploy.Process {
	return []deploy.Process{{Name: deploy.WebProcess, Run: g.main.web, Env: g.main.env}}
}

// apply takes a Procfile's processes and release command into m, so that they find the main project's
// programs and what it expects in production.
func (p *procfile) apply(m *deploy.Manifest, main *project) {
	for _, process := range p.processes {
		process.Run, process.Env = withPath(process.Run, main.path), maps.Clone(main.env)
		m.Processes = append(m.Processes, process)
	}
	if p.release != "" {
		m.Deploy.Release.Commands = []string{withPath(p.release, main.path)}
	}
}

// withPath lets a command find programs in folders of the tree, as Heroku's build packs arrange it.
// It leaves alone what names its program by path, or one that looks for others there itself.
func withPath(command string, folders []string) string {
	first, _, _ := strings.Cut(command, " ")
	simple := !strings.ContainsAny(command, ";&|()<>`\n'\"\\{}") && !strings.ContainsAny(first, "=$") && !shellWords[first]
	if len(folders) == 0 || simple && (strings.Contains(first, "/") || nodePrograms[first]) {
		return command
	}
	path := `env PATH="`
	for _, f := range folders {
		path += "$PWD/" + f + ":"
	}
	path += `$PATH" `
	if simple {
		return path + command
	}
	return path + "sh -c '" + strings.ReplaceAll(command, "'", `'\''`) + "'"
}

// nodePrograms come with Node.js and its package managers.
var nodePrograms = map[string]bool{"node": true, "npm": true, "npx": true, "yarn": true, "pnpm": true, "bun": true}

// shellWords are commands that only a shell knows, so that env cannot start them.
var shellWords = map[string]bool{
	".": true, "source": true, "exec": true, "eval": true, "export": true, "cd": true, "set": true, "unset": true, "ulimit": true,
	"umask": true, "trap": true, "command": true, "if": true, "for": true, "while": true, "until": true, "case": true, "!": true, "time": true,
}
