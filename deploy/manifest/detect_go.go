package manifest

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

var (
	modulePattern  = regexp.MustCompile(`(?m)^module\s+"?([^\s"]+)`)
	requirePattern = regexp.MustCompile(`(?m)^require\b`)
	versionPattern = regexp.MustCompile(`^v[0-9]+$`)
	mainPattern    = regexp.MustCompile(`(?m)^package\s+main\b`)
	ignorePattern  = regexp.MustCompile(`(?m)^//\s*(go:build|\+build)\s+ignore\b`)
)

// detectGo recognises a Go module: its main package is built into bin/.
func detectGo(t *tree) *project {
	if !t.has("go.mod") {
		return nil
	}
	mod := t.text("go.mod")
	p := &project{sign: "go.mod", set: "go", path: []string{"bin"}}
	if requirePattern.MatchString(mod) && !t.folder("vendor") {
		// Tests run without network, and need modules that the build alone would not fetch.
		p.build = append(p.build, "go mod download")
	}
	if t.contains(func(name string) bool { return strings.HasSuffix(name, "_test.go") }) {
		p.tests = []string{"go test ./..."}
	}
	programs := goPrograms(t, moduleName(mod))
	switch len(programs) {
	case 0:
		p.build = append(p.build, "go build ./...")
		p.lacks, p.sample = "go.mod shows a module without a main package in . or cmd/", "./bin/app"
	case 1:
		p.build = append(p.build, "go build -o bin/"+programs[0].name+" "+programs[0].folder)
		p.web = "./bin/" + programs[0].name
	default:
		var folders, all []string
		for _, g := range programs {
			folders, all = append(folders, g.folder), append(all, g.name)
		}
		p.build = append(p.build, "go build -o bin/ "+strings.Join(folders, " "))
		p.web = webOf(programs, moduleName(mod))
		p.lacks = "the module has several programs (" + strings.Join(all, ", ") + ")"
		p.sample = "./bin/" + all[0]
	}
	return p
}

// goProgram is a main package.
type goProgram struct{ name, folder string }

// goPrograms finds the main packages in the root, in its folders, and in those of cmd.
func goPrograms(t *tree, module string) []goProgram {
	var all []goProgram
	if isMain(t, ".") {
		all = append(all, goProgram{name: module, folder: "."})
	}
	for _, parent := range []string{"cmd", "."} {
		if !t.folder(parent) {
			continue
		}
		for _, name := range t.list(parent, "[a-zA-Z0-9]*") {
			folder := path.Join(parent, name)
			if skipped[name] || !plainName.MatchString(name) || !t.folder(folder) || !isMain(t, folder) {
				continue
			}
			all = append(all, goProgram{name: name, folder: "./" + folder})
		}
		if len(all) > 0 {
			break // programs elsewhere are tools or examples where the usual places have one
		}
	}
	return all
}

// plainName is a name that needs no quotes in a shell.
var plainName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

func isMain(t *tree, folder string) bool {
	for _, name := range t.list(folder, "*.go") {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text := t.text(path.Join(folder, name))
		if mainPattern.MatchString(text) && !ignorePattern.MatchString(text) {
			return true
		}
	}
	return false
}

// moduleName is what go build would call the program in the root.
func moduleName(mod string) string {
	m := modulePattern.FindStringSubmatch(mod)
	if m == nil {
		return "app"
	}
	name := path.Base(m[1])
	if versionPattern.MatchString(name) {
		name = path.Base(path.Dir(m[1]))
	}
	if !plainName.MatchString(name) {
		return "app"
	}
	return name
}

// webOf chooses the program that serves among several by its name.
func webOf(programs []goProgram, module string) string {
	for _, name := range []string{"web", "server", module, "api", "app", module + "d", module + "-server"} {
		if slices.ContainsFunc(programs, func(g goProgram) bool { return g.name == name }) {
			return "./bin/" + name
		}
	}
	return ""
}
