package manifest

import (
	"regexp"
	"slices"
)

const makefileName = "Makefile"

var targetPattern = regexp.MustCompile(`(?m)^([A-Za-z0-9_.-]+(?:[ \t]+[A-Za-z0-9_.-]+)*)[ \t]*::?(?:[^=]|$)`)

// detectMake recognises targets build and test. It never tells what serves.
func detectMake(t *tree) *project {
	name, ok := t.first("GNUmakefile", "makefile", makefileName)
	if !ok {
		return nil
	}
	var targets []string
	for _, m := range targetPattern.FindAllStringSubmatch(t.text(name), -1) {
		targets = append(targets, regexp.MustCompile(`[ \t]+`).Split(m[1], -1)...)
	}
	p := &project{sign: makefileName, lacks: "the Makefile does not tell which command serves", sample: "./bin/app"}
	if slices.Contains(targets, "build") {
		p.build = []string{"make build"}
	}
	for _, target := range []string{"test", "check"} {
		if slices.Contains(targets, target) {
			p.tests = []string{"make " + target}
			break
		}
	}
	for _, target := range []string{"run", "serve", "start"} {
		if slices.Contains(targets, target) {
			p.sample = "make " + target
			break
		}
	}
	if p.build == nil && p.tests == nil && p.sample == "./bin/app" {
		return nil
	}
	return p
}

// detectStatic recognises a page to serve as it is.
func detectStatic(t *tree) *project {
	for _, folder := range []string{".", "public", "site", "dist"} {
		if t.has(folder + "/index.html") {
			return &project{sign: "index.html", web: serveFiles(folder), static: true}
		}
	}
	return nil
}

// serveFiles is a file server that nearly every machine has.
func serveFiles(folder string) string {
	s := "python3 -m http.server $PORT --bind 127.0.0.1"
	if folder != "." {
		s += " --directory " + folder
	}
	return s
}
