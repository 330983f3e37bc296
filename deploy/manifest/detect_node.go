package manifest

import (
	"encoding/json"
	"regexp"
	"strings"
)

// packageJSON is what matters here of a package.json.
type packageJSON struct {
	Main            string
	Scripts         map[string]string
	Dependencies    map[string]any
	DevDependencies map[string]any
	Optional        map[string]any `json:"optionalDependencies"`
	Workspaces      any
}

// noTest is the script that npm init writes where there are no tests.
var noTest = regexp.MustCompile(`no test specified|^\s*(exit [01]|true|echo\b[^&|;]*)\s*$`)

// detectNode recognises a package.json: npm, or the manager whose lockfile is there, installs and runs its
// scripts.
func detectNode(t *tree) *project {
	if !t.has("package.json") {
		return nil
	}
	p := &project{sign: "package.json", set: "node", path: []string{"node_modules/.bin"}, env: map[string]string{"NODE_ENV": "production"}}
	var pkg packageJSON
	if err := json.Unmarshal([]byte(t.text("package.json")), &pkg); err != nil {
		p.lacks, p.sample = "package.json is not valid JSON", "node server.js"
		return p
	}
	manager, install := nodeManager(t)
	if pkg.installs() {
		p.build = append(p.build, install)
	}
	if pkg.Scripts["build"] != "" {
		p.build = append(p.build, manager+" run build")
		p.assets = true
	}
	if s := pkg.Scripts["test"]; s != "" && !noTest.MatchString(s) {
		p.tests = []string{script(manager, "test")}
	}
	p.nodeWeb(t, pkg, manager)
	return p
}

func (pkg *packageJSON) installs() bool {
	return len(pkg.Dependencies)+len(pkg.DevDependencies)+len(pkg.Optional) > 0 || pkg.Workspaces != nil
}

// nodeManager returns the program that the lockfile belongs to, and how it installs exactly what is
// locked.
func nodeManager(t *tree) (manager, install string) {
	switch {
	case t.has("package-lock.json"), t.has("npm-shrinkwrap.json"):
		return "npm", "npm ci"
	case t.has("pnpm-lock.yaml"):
		return "pnpm", "pnpm install --frozen-lockfile"
	case t.has("yarn.lock") && t.has(".yarnrc.yml"):
		return "yarn", "yarn install --immutable"
	case t.has("yarn.lock"):
		return "yarn", "yarn install --frozen-lockfile"
	case t.has("bun.lock"), t.has("bun.lockb"):
		return "bun", "bun install --frozen-lockfile"
	}
	return "npm", "npm install"
}

// script runs one of the scripts that every manager knows a short form for; bun's is another command.
func script(manager, name string) string {
	if manager == "bun" {
		return "bun run " + name
	}
	return manager + " " + name
}

// frontends are tools whose build leaves files to serve, and the folder they leave them in.
var frontends = []struct{ dependency, folder string }{
	{"vite", "dist"}, {"react-scripts", "build"}, {"@vue/cli-service", "dist"}, {"parcel", "dist"}, {"astro", "dist"},
	{"@11ty/eleventy", "_site"}, {"gatsby", "public"},
}

// nodeWeb finds what serves: the start script, the file that npm start would run without one, the
// package's main file, or the files that a front end's build leaves.
func (p *project) nodeWeb(t *tree, pkg packageJSON, manager string) {
	if pkg.Scripts["start"] != "" {
		p.web = script(manager, "start")
		return
	}
	if _, next := pkg.Dependencies["next"]; next && p.assets {
		p.web = "./node_modules/.bin/next start -H 127.0.0.1 -p $PORT"
		return
	}
	main := strings.TrimPrefix(pkg.Main, "./")
	if !regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_./-]*\.[cm]?js$`).MatchString(main) || strings.Contains(main, "..") {
		main = "server.js"
	}
	if file, ok := t.first("server.js", "server.mjs", main, "app.js", "index.js"); ok {
		p.web = "node " + file
		return
	}
	for _, f := range frontends {
		_, dev := pkg.DevDependencies[f.dependency]
		if _, dep := pkg.Dependencies[f.dependency]; (dep || dev) && p.assets {
			p.web, p.static, p.env = serveFiles(f.folder), true, nil
			return
		}
	}
	p.lacks, p.sample = "package.json has no start script and there is no server.js", "node server.js"
}
