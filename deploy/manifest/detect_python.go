package manifest

import (
	"path"
	"regexp"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// pythonProject is what a Python tree's files say together.
type pythonProject struct {
	*tree
	requirements string // the text of all requirement files and of pyproject.toml's lists
	files        []string
	pyproject    pyproject
	bin          string // the folder of the environment's programs, with a slash; "" without one
}

// pyproject is what matters here of a pyproject.toml.
type pyproject struct {
	Project struct {
		Dependencies []string
		Optional     map[string][]string `toml:"optional-dependencies"`
	}
	Groups      map[string]any `toml:"dependency-groups"`
	BuildSystem map[string]any `toml:"build-system"`
	Tool        map[string]any
}

// detectPython recognises requirements.txt, pyproject.toml, or a program by its usual name. Dependencies go
// into the virtual environment .venv, which stays valid because build, tests and instances all see
// the tree at the same path.
func detectPython(t *tree) *project {
	sign, ok := t.first("requirements.txt", "pyproject.toml", "manage.py", "app.py", "main.py", "wsgi.py", "server.py")
	if !ok {
		return nil
	}
	y := &pythonProject{tree: t}
	// A log that is held back until a buffer is full shows nothing when it is needed.
	p := &project{sign: sign, set: "python", env: map[string]string{"PYTHONUNBUFFERED": "1"}}
	y.read()
	p.build = y.install()
	if len(p.build) > 0 {
		y.bin = ".venv/bin/"
		p.path = []string{".venv/bin"}
	}
	p.tests = y.tests()
	if p.web = y.web(); p.web == "" {
		p.lacks, p.sample = sign+" shows a Python project without a manage.py, app.py, main.py, wsgi.py or server.py", "python3 app.py"
	}
	return p
}

// read gathers what the project depends on.
func (y *pythonProject) read() {
	for _, name := range []string{"requirements.txt", "requirements-dev.txt", "requirements-test.txt", "requirements_dev.txt", "dev-requirements.txt", "test-requirements.txt"} {
		if text := y.text(name); requirementPattern.MatchString(text) {
			y.files = append(y.files, name)
			y.requirements += text + "\n"
		}
	}
	if text := y.text("pyproject.toml"); text != "" {
		if toml.Unmarshal([]byte(text), &y.pyproject) != nil {
			y.pyproject = pyproject{} // the tool that reads it will tell
		}
		y.requirements += strings.Join(y.pyproject.Project.Dependencies, "\n") + "\n"
		for _, extra := range y.pyproject.Project.Optional {
			y.requirements += strings.Join(extra, "\n") + "\n"
		}
		for _, group := range y.pyproject.Groups {
			items, _ := group.([]any)
			for _, item := range items {
				if s, ok := item.(string); ok {
					y.requirements += s + "\n"
				}
			}
		}
	}
}

// requirementPattern is a line of a requirements file that asks for something.
var requirementPattern = regexp.MustCompile(`(?m)^\s*[^\s#]`)

// needs tells whether a package is asked for by name.
func (y *pythonProject) needs(name string) bool {
	return regexp.MustCompile(`(?im)^\s*` + regexp.QuoteMeta(name) + `\s*($|[\[=<>!~;@# ])`).MatchString(y.requirements)
}

// install makes the virtual environment with what the project depends on; nothing if it needs none.
func (y *pythonProject) install() []string {
	switch {
	case y.has("uv.lock"):
		return []string{"uv sync --frozen"}
	case y.has("poetry.lock"):
		return []string{"POETRY_VIRTUALENVS_IN_PROJECT=true poetry install --no-interaction"}
	}
	const venv, pip = "python3 -m venv .venv", ".venv/bin/pip install --disable-pip-version-check"
	var asked []string
	for _, f := range y.files {
		asked = append(asked, "-r "+f)
	}
	if len(y.pyproject.Project.Dependencies) > 0 && len(y.files) == 0 {
		asked = append(asked, y.local())
	}
	if y.wantsPytest() && !y.needs("pytest") {
		asked = append(asked, "pytest")
	}
	if len(asked) == 0 {
		return nil
	}
	return []string{venv, pip + " " + strings.Join(asked, " ")}
}

// local installs the project itself, with the extras that hold its tests' tools.
func (y *pythonProject) local() string {
	var extras []string
	for _, name := range []string{"test", "tests", "dev"} {
		if _, ok := y.pyproject.Project.Optional[name]; ok {
			extras = append(extras, name)
		}
	}
	if len(extras) > 0 {
		return "-e '.[" + strings.Join(extras, ",") + "]'"
	}
	return "-e ."
}

// testFile tells whether a name is that of a file with Python tests.
func testFile(name string) bool {
	base := path.Base(name)
	return strings.HasSuffix(base, ".py") && (strings.HasPrefix(base, "test_") || strings.HasSuffix(base, "_test.py") || base == "tests.py" || base == "conftest.py")
}

var pytestPattern = regexp.MustCompile(`(?m)^(import pytest|from pytest|def test_|async def test_)`)

// wantsPytest tells whether the tests are pytest's: it is asked for, configured, or they are written
// for it.
func (y *pythonProject) wantsPytest() bool {
	if _, configured := y.pyproject.Tool["pytest"]; configured || y.needs("pytest") || y.has("pytest.ini") || y.has("conftest.py") {
		return true
	}
	return y.contains(func(name string) bool { return testFile(name) && pytestPattern.MatchString(y.text(name)) })
}

// tests returns the command of the tests that there are.
func (y *pythonProject) tests() []string {
	run := "python3"
	if y.bin != "" {
		run = y.bin + "python"
	}
	switch {
	case !y.contains(testFile):
		return nil
	case y.wantsPytest():
		return []string{run + " -m pytest"}
	case y.has("manage.py") && y.needs("django"):
		return []string{run + " manage.py test"}
	}
	// The discovery of unittest enters packages only, so a plain folder of tests has to be named.
	for _, folder := range []string{"tests", "test"} {
		if y.folder(folder) && !y.has(folder+"/__init__.py") {
			return []string{run + " -m unittest discover -s " + folder + " -p '" + y.unittestPattern(folder) + "'"}
		}
	}
	return []string{run + " -m unittest discover -p '" + y.unittestPattern(".") + "'"}
}

// unittestPattern is that of the names which the tests have.
func (y *pythonProject) unittestPattern(folder string) string {
	if len(y.list(folder, "test*.py")) == 0 && len(y.list(folder, "*_test.py")) > 0 {
		return "*_test.py"
	}
	return "test*.py"
}

var (
	wsgiPattern  = regexp.MustCompile(`(?m)^(app|application)\s*=\s*(flask\.)?(Flask|create_app|Bottle|bottle\.Bottle|get_wsgi_application|falcon\.App)\(`)
	asgiPattern  = regexp.MustCompile(`(?m)^(app|application)\s*=\s*(fastapi\.)?(FastAPI|Starlette|Litestar|Quart|Sanic|get_asgi_application)\(`)
	startPattern = regexp.MustCompile(`(?m)^if\s+__name__\s*==|\.serve_forever\(|\.run\(`)
)

// web finds what serves: Django's project, an application object for the server that is asked for, or
// a program.
func (y *pythonProject) web() string {
	run := "python3"
	if y.bin != "" {
		run = y.bin + "python"
	}
	if y.has("manage.py") {
		return y.django(run)
	}
	for _, file := range []string{"app.py", "main.py", "wsgi.py", "asgi.py", "server.py", "application.py"} {
		text := y.text(file)
		if server, ok := y.server(strings.TrimSuffix(file, ".py"), text); ok {
			return run + " -m " + server
		}
		if startPattern.MatchString(text) {
			return run + " " + file
		}
	}
	if file, ok := y.first("app.py", "main.py", "server.py"); ok {
		return run + " " + file
	}
	return ""
}

// server finds the server that serves a module's application object.
func (y *pythonProject) server(module, text string) (command string, ok bool) {
	if m := asgiPattern.FindStringSubmatch(text); m != nil && (y.needs("uvicorn") || y.needs("fastapi")) {
		return "uvicorn " + module + ":" + m[1] + " --host 127.0.0.1 --port $PORT", true
	}
	m := wsgiPattern.FindStringSubmatch(text)
	if m == nil {
		return "", false
	}
	servesItself := strings.Contains(text, "PORT") && startPattern.MatchString(text)
	switch {
	case y.needs("gunicorn"):
		return "gunicorn --bind 127.0.0.1:$PORT " + module + ":" + m[1], true
	case y.needs("waitress"):
		return "waitress --listen=127.0.0.1:$PORT " + module + ":" + m[1], true
	case y.needs("flask") && !servesItself:
		return "flask --app " + module + " run --host 127.0.0.1 --port $PORT", true
	}
	return "", false
}

// django serves the project whose wsgi module is there.
func (y *pythonProject) django(run string) string {
	if y.needs("gunicorn") {
		for _, folder := range y.list(".", "[a-zA-Z_]*") {
			if plainName.MatchString(folder) && y.has(folder+"/wsgi.py") {
				return run + " -m gunicorn --bind 127.0.0.1:$PORT " + folder + ".wsgi"
			}
		}
	}
	return run + " manage.py runserver --noreload 127.0.0.1:$PORT"
}
