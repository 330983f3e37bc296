package manifest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

type files = map[string]string

const goMain = "package main\n\nfunc main() {}\n"

// Without slipway.toml the tree's files say what their community expects. Each case shows the whole
// manifest, as it is printed for a pusher to copy.
func TestDetect(t *testing.T) {
	for _, c := range []struct {
		name  string
		files files
		want  string
	}{
		{"Go", files{"go.mod": "module example.com/shop\n\ngo 1.26\n", "main.go": goMain, "main_test.go": "package main\n"}, `
[build]
run = "go build -o bin/shop ."

[test.unit]
run = "go test ./..."

[process.web] # listens on 127.0.0.1:$PORT
run = "./bin/shop"
`},
		{"Go with modules and a command", files{
			"go.mod": "module example.com/shop/v2\n\nrequire example.com/x v1.0.0\n", "shop.go": "package shop\n", "gen.go": "//go:build ignore\n\npackage main\n",
			"cmd/shopd/main.go": goMain, "internal/a/a_test.go": "package a\n", "tools/lint/main.go": goMain,
		}, `
[build]
run = [
  "go mod download",
  "go build -o bin/shopd ./cmd/shopd",
]

[test.unit]
run = "go test ./..."

[process.web] # listens on 127.0.0.1:$PORT
run = "./bin/shopd"
`},
		{"Go with several commands, vendored, without tests", files{
			"go.mod": "module example.com/shop\n\nrequire example.com/x v1.0.0\n", "vendor/modules.txt": "", "vendor/x/x_test.go": "package x\n",
			"cmd/migrate/main.go": goMain, "cmd/shop/main.go": goMain,
		}, `
[build]
run = "go build -o bin/ ./cmd/migrate ./cmd/shop"

[process.web] # listens on 127.0.0.1:$PORT
run = "./bin/shop"
`},
		{"Go that embeds a front end", files{
			"go.mod": "module example.com/shop\n", "main.go": goMain,
			"package.json":      `{"scripts": {"build": "vite build", "test": "vitest run"}, "devDependencies": {"vite": "^7"}}`,
			"package-lock.json": "{}",
		}, `
[build]
run = [
  "npm ci",
  "npm run build",
  "go build -o bin/shop .",
]

[test.node]
run = "npm test"

[process.web] # listens on 127.0.0.1:$PORT
run = "./bin/shop"
`},
		{"Node", files{
			"package.json":      `{"scripts": {"start": "node server.js", "test": "node --test", "build": "tsc"}, "dependencies": {"express": "^5"}}`,
			"package-lock.json": "{}", "server.js": "",
		}, `
[build]
run = [
  "npm ci",
  "npm run build",
]

[test.unit]
run = "npm test"

[process.web] # listens on 127.0.0.1:$PORT
run = "npm start"
env = { NODE_ENV = "production" }
`},
		{"Node without dependencies, scripts or tests", files{
			"package.json": `{"main": "./lib/main.js", "scripts": {"test": "echo \"Error: no test specified\" && exit 1"}}`, "lib/main.js": "",
		}, `
[process.web] # listens on 127.0.0.1:$PORT
run = "node lib/main.js"
env = { NODE_ENV = "production" }
`},
		{"Node with pnpm and a front end only", files{
			"package.json": `{"scripts": {"build": "vite build", "dev": "vite"}, "devDependencies": {"vite": "^7"}}`, "pnpm-lock.yaml": "", "index.html": "",
		}, `
[build]
run = [
  "pnpm install --frozen-lockfile",
  "pnpm run build",
]

[process.web] # listens on 127.0.0.1:$PORT
run = "python3 -m http.server $PORT --bind 127.0.0.1 --directory dist"
`},
		{"Node with bun", files{"package.json": `{"scripts": {"start": "x", "test": "y"}, "dependencies": {"a": "1"}}`, "bun.lock": ""}, `
[build]
run = "bun install --frozen-lockfile"

[test.unit]
run = "bun run test"

[process.web] # listens on 127.0.0.1:$PORT
run = "bun run start"
env = { NODE_ENV = "production" }
`},
		{"Node with yarn workspaces and Next.js", files{"package.json": `{"scripts": {"build": "next build"}, "dependencies": {"next": "15"}, "workspaces": ["a"]}`, "yarn.lock": "", ".yarnrc.yml": ""}, `
[build]
run = [
  "yarn install --immutable",
  "yarn run build",
]

[process.web] # listens on 127.0.0.1:$PORT
run = "./node_modules/.bin/next start -H 127.0.0.1 -p $PORT"
env = { NODE_ENV = "production" }
`},
		{"Python with uv", files{"pyproject.toml": "[project]\ndependencies = ['waitress']\n[dependency-groups]\ndev = ['pytest']\n", "uv.lock": "", "wsgi.py": "application = create_app()\n", "tests/test_a.py": ""}, `
[build]
run = "uv sync --frozen"

[test.unit]
run = ".venv/bin/python -m pytest"

[process.web] # listens on 127.0.0.1:$PORT
run = ".venv/bin/python -m waitress --listen=127.0.0.1:$PORT wsgi:application"
env = { PYTHONUNBUFFERED = "1" }
`},
		{"Python without dependencies", files{"app.py": "if __name__ == '__main__': pass\n", "test_app.py": "import unittest\n"}, `
[test.unit]
run = "python3 -m unittest discover -p 'test*.py'"

[process.web] # listens on 127.0.0.1:$PORT
run = "python3 app.py"
env = { PYTHONUNBUFFERED = "1" }
`},
		{"Python with a folder of unittest tests", files{"requirements.txt": "# none yet\n", "server.py": "", "tests/test_a.py": "import unittest\n"}, `
[test.unit]
run = "python3 -m unittest discover -s tests -p 'test*.py'"

[process.web] # listens on 127.0.0.1:$PORT
run = "python3 server.py"
env = { PYTHONUNBUFFERED = "1" }
`},
		{"Flask with gunicorn and pytest", files{"requirements.txt": "Flask==3.0\ngunicorn\n", "requirements-dev.txt": "pytest\n", "app.py": "from flask import Flask\napp = Flask(__name__)\n", "tests/test_a.py": "def test_a(): pass\n"}, `
[build]
run = [
  "python3 -m venv .venv",
  ".venv/bin/pip install --disable-pip-version-check -r requirements.txt -r requirements-dev.txt",
]

[test.unit]
run = ".venv/bin/python -m pytest"

[process.web] # listens on 127.0.0.1:$PORT
run = ".venv/bin/python -m gunicorn --bind 127.0.0.1:$PORT app:app"
env = { PYTHONUNBUFFERED = "1" }
`},
		{"Flask alone", files{"requirements.txt": "flask\n", "app.py": "import flask\napp = flask.Flask(__name__)\n"}, `
[build]
run = [
  "python3 -m venv .venv",
  ".venv/bin/pip install --disable-pip-version-check -r requirements.txt",
]

[process.web] # listens on 127.0.0.1:$PORT
run = ".venv/bin/python -m flask --app app run --host 127.0.0.1 --port $PORT"
env = { PYTHONUNBUFFERED = "1" }
`},
		{"FastAPI in a pyproject, pytest by the way the tests are written", files{
			"pyproject.toml": "[project]\nname = 'x'\ndependencies = ['fastapi[standard]>=0.1']\n[project.optional-dependencies]\ntest = ['httpx']\n",
			"main.py":        "from fastapi import FastAPI\napp = FastAPI()\n", "tests/test_a.py": "def test_a(): pass\n",
		}, `
[build]
run = [
  "python3 -m venv .venv",
  ".venv/bin/pip install --disable-pip-version-check -e '.[test]' pytest",
]

[test.unit]
run = ".venv/bin/python -m pytest"

[process.web] # listens on 127.0.0.1:$PORT
run = ".venv/bin/python -m uvicorn main:app --host 127.0.0.1 --port $PORT"
env = { PYTHONUNBUFFERED = "1" }
`},
		{"Django", files{
			"manage.py": "", "requirements.txt": "Django>=5\ngunicorn\n", "shop/wsgi.py": "", "cart/tests.py": "from django.test import TestCase\n",
			"package.json": `{"scripts": {"start": "webpack serve", "build": "webpack"}, "devDependencies": {"webpack": "5"}}`,
		}, `
[build]
run = [
  "npm install",
  "npm run build",
  "python3 -m venv .venv",
  ".venv/bin/pip install --disable-pip-version-check -r requirements.txt",
]

[test.unit]
run = ".venv/bin/python manage.py test"

[process.web] # listens on 127.0.0.1:$PORT
run = ".venv/bin/python -m gunicorn --bind 127.0.0.1:$PORT shop.wsgi"
env = { PYTHONUNBUFFERED = "1" }
`},
		{"static page with a Makefile", files{"index.html": "", "Makefile": ".PHONY: build test\nbuild test:\n\techo\nX := 1\n"}, `
[build]
run = "make build"

[test.unit]
run = "make test"

[process.web] # listens on 127.0.0.1:$PORT
run = "python3 -m http.server $PORT --bind 127.0.0.1"
`},
		{"folder of pages", files{"public/index.html": "", "README.md": ""}, `
[process.web] # listens on 127.0.0.1:$PORT
run = "python3 -m http.server $PORT --bind 127.0.0.1 --directory public"
`},
		{"Procfile alone", files{"Procfile": "# mine\nworker: ./work\nweb: ./serve --port $PORT\n\nrelease: ./migrate\n"}, `
[process.web] # listens on 127.0.0.1:$PORT
run = "./serve --port $PORT"

[process.worker]
run = "./work"

[deploy]
release = "./migrate"
`},
		{"Procfile and Makefile", files{"Procfile": "web: ./serve", "Makefile": "build: x\ntest:\n"}, `
[build]
run = "make build"

[test.unit]
run = "make test"

[process.web] # listens on 127.0.0.1:$PORT
run = "./serve"
`},
		{"Procfile and Python", files{
			"Procfile":         "web: gunicorn app:app\nurgent_worker: cd jobs && python 'run it.py'\nrelease: ./migrate.sh\n",
			"requirements.txt": "gunicorn\n", "app.py": "",
		}, `
[build]
run = [
  "python3 -m venv .venv",
  ".venv/bin/pip install --disable-pip-version-check -r requirements.txt",
]

[process.web] # listens on 127.0.0.1:$PORT
run = 'env PATH="$PWD/.venv/bin:$PATH" gunicorn app:app'
env = { PYTHONUNBUFFERED = "1" }

[process.urgent-worker]
run = "env PATH=\"$PWD/.venv/bin:$PATH\" sh -c 'cd jobs && python '\\''run it.py'\\'''"
env = { PYTHONUNBUFFERED = "1" }

[deploy]
release = "./migrate.sh"
`},
		{"Procfile and Node", files{"Procfile": "web: node server.js\nworker: tsx work.ts\n", "package.json": `{}`}, `
[process.web] # listens on 127.0.0.1:$PORT
run = "node server.js"
env = { NODE_ENV = "production" }

[process.worker]
run = 'env PATH="$PWD/node_modules/.bin:$PATH" tsx work.ts'
env = { NODE_ENV = "production" }
`},
		{"Procfile and Go", files{"Procfile": "web: shop -v\n", "go.mod": "module example.com/shop\n", "main.go": goMain}, `
[build]
run = "go build -o bin/shop ."

[process.web] # listens on 127.0.0.1:$PORT
run = 'env PATH="$PWD/bin:$PATH" shop -v'
`},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := Read(write(t, c.files))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(strings.TrimPrefix(c.want, "\n"), sections(m)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if !m.Detected {
				t.Error("not said to be detected")
			}
			again, err := Parse("again.toml", Format(m))
			if err != nil {
				t.Fatal(err)
			}
			again.Detected = true
			if d := cmp.Diff(m, again, cmpopts.EquateEmpty()); d != "" {
				t.Errorf("changed by formatting:\n%s", d)
			}
		})
	}
}

func TestNothingToRun(t *testing.T) {
	for _, c := range []struct {
		name  string
		files files
		want  string
	}{
		{"empty tree", files{"README.md": ""}, `
nothing to run: there is no slipway.toml and no Procfile, and no file shows what to run
add a slipway.toml at the root of the repository, for this tree perhaps:

[build]
run = "make build"

[test.unit]
run = "make test"

[process.web] # listens on 127.0.0.1:$PORT
run = "./bin/app"
`},
		{"library in Go", files{"go.mod": "module example.com/lib\n", "lib.go": "package lib\n", "lib_test.go": "package lib\n"}, `
nothing to run: there is no slipway.toml and no Procfile, and go.mod shows a module without a main package in . or cmd/
add a slipway.toml at the root of the repository, for this tree perhaps:

[build]
run = "go build ./..."

[test.unit]
run = "go test ./..."

[process.web] # listens on 127.0.0.1:$PORT
run = "./bin/app"
`},
		{"programs in Go that do not tell which serves", files{"go.mod": "module example.com/x\n", "cmd/a/main.go": goMain, "cmd/b/main.go": goMain}, `
nothing to run: there is no slipway.toml and no Procfile, and the module has several programs (a, b)
add a slipway.toml at the root of the repository, for this tree perhaps:

[build]
run = "go build -o bin/ ./cmd/a ./cmd/b"

[process.web] # listens on 127.0.0.1:$PORT
run = "./bin/a"
`},
		{"broken package.json", files{"package.json": "{"}, `
nothing to run: there is no slipway.toml and no Procfile, and package.json is not valid JSON
add a slipway.toml at the root of the repository, for this tree perhaps:

[process.web] # listens on 127.0.0.1:$PORT
run = "node server.js"
`},
		{"Rust", files{"Cargo.toml": ""}, `
nothing to run: there is no slipway.toml and no Procfile, and Cargo.toml does not tell which command serves
add a slipway.toml at the root of the repository, for this tree perhaps:

[build]
run = "cargo build --release"

[test.unit]
run = "cargo test"

[process.web] # listens on 127.0.0.1:$PORT
run = "./target/release/app"
`},
		{"slipway.toml without process", files{"slipway.toml": "[test.unit]\nrun = 'npm test'\n", "package.json": `{"scripts": {"start": "x"}, "dependencies": {"a": "1"}}`}, `
slipway.toml has no process: there is nothing to run
add for what the tree shows (package.json):

[build]
run = "npm install"

[process.web] # listens on 127.0.0.1:$PORT
run = "npm start"
env = { NODE_ENV = "production" }
`},
		{"empty slipway.toml", files{"slipway.toml": ""}, `
slipway.toml has no process: there is nothing to run
add the command that starts the app, listening on 127.0.0.1:$PORT:

[process.web]
run = "./bin/app"
`},
		{"broken Procfile", files{"Procfile": "web: a\n\n  serve everything\nweb: b\n9: c\nx:\n"}, `
Procfile:3:3: the line names no process; expected "name: command"
Procfile:4:1: process "web" is there twice; each name may stand once
Procfile:5:1: "9" is no name for a process; a name begins with a letter, at most 40 letters, digits and hyphens
Procfile:6:1: process "x" has no command; expected "x: command"
3 |   serve everything
  |   ^^^^^^^^^^^^^^^^
`},
		{"empty Procfile", files{"Procfile": "# later\n"}, `
Procfile:1:1: it names no process; expected a line such as "web: ./bin/app"
1 | # later
  | ^
`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Read(write(t, c.files))
			if err == nil {
				t.Fatal("something to run was found")
			}
			if d := cmp.Diff(strings.TrimPrefix(c.want, "\n"), told(t, err)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestReadBoth(t *testing.T) {
	m, err := Read(write(t, files{
		"slipway.toml": "[test.unit]\nrun = 'make test'\n[test.e2e]\nrun = 'x'\napp = true\n",
		"Procfile":     "web: ./serve\nrelease: ./migrate\n",
	}))
	if err != nil {
		t.Fatal(err)
	}
	if web, ok := m.Web(); !ok || web.Run != "./serve" || m.Deploy.Release.Commands[0] != "./migrate" || m.Detected {
		t.Errorf("manifest = %+v", m)
	}

	_, err = Read(write(t, files{"slipway.toml": "[test.e2e]\nrun = 'x'\napp = true\n", "Procfile": "worker: ./work\n"}))
	want := `slipway.toml:3:1: test set "e2e" wants the app beside it, and there is no process "web"; expected a section [process.web]
3 | app = true
  | ^^^
`
	if d := cmp.Diff(want, told(t, err)); d != "" {
		t.Error(d)
	}
}

func TestReadIrregular(t *testing.T) {
	for name, want := range map[string]string{
		"link":   "slipway.toml is a symbolic link; expected a file\n",
		"folder": "slipway.toml is a folder; expected a file\n",
		"large":  "slipway.toml is larger than 64 KiB; keep scripts in files of their own and name them in it\n",
	} {
		t.Run(name, func(t *testing.T) {
			root := write(t, files{"other.toml": "[process.web]\nrun = 'x'\n"})
			var err error
			switch name {
			case "link":
				err = root.Symlink("other.toml", fileName)
			case "folder":
				err = root.Mkdir(fileName, 0o755)
			case "large":
				err = root.WriteFile(fileName, make([]byte, MaxSize+1), 0o644)
			}
			if err != nil {
				t.Fatal(err)
			}
			_, err = Read(root)
			if got := told(t, err); got != want {
				t.Errorf("told %q, want %q", got, want)
			}
		})
	}
}

// What lies outside of the tree is as good as not there.
func TestDetectOutside(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "package.json")
	if err := os.WriteFile(outside, []byte(`{"scripts": {"start": "secret"}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	root := write(t, files{"README.md": ""})
	if err := root.Symlink(outside, "package.json"); err != nil {
		t.Fatal(err)
	}
	if err := root.Symlink("loop", "loop"); err != nil {
		t.Fatal(err)
	}
	if err := root.Symlink("loop", "go.mod"); err != nil {
		t.Fatal(err)
	}
	_, err := Read(root)
	if got := told(t, err); !strings.HasPrefix(got, "nothing to run: ") {
		t.Errorf("told %q", got)
	}
}

// A Procfile's command means the same with the tree's programs in its way.
func TestWithPath(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bin", "say"), []byte("#!/bin/sh\necho \"$PORT:$*\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for command, want := range map[string]string{
		"say $PORT":                     "80:80",
		"say 'a  b' \"$PORT\"":          "80:a  b 80",
		"PORT=1 say x":                  "1:x",
		"cd bin && say it\\'s":          "80:it's",
		"./bin/say x":                   "80:x",
		"exec say x":                    "80:x",
		"if true; then say y; fi | cat": "80:y",
	} {
		for _, prefix := range []string{"", "exec "} {
			cmd := exec.Command("sh", "-c", prefix+withPath(command, []string{"bin"}))
			if prefix != "" && withPath(command, []string{"bin"}) == command {
				continue
			}
			cmd.Dir = dir
			cmd.Env = []string{"PORT=80", "PATH=/usr/bin:/bin"}
			out, err := cmd.CombinedOutput()
			if got := strings.TrimSpace(string(out)); err != nil || got != want {
				t.Errorf("%s%s says %q (%v), want %q", prefix, command, got, err, want)
			}
		}
	}
}
