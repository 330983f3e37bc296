package manifest

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"slipway/deploy"
)

// What was detected really builds, tests and serves.
func TestDetectedRuns(t *testing.T) {
	const pythonServer = `import http.server, os
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"hello from python")
if __name__ == "__main__":
    http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), H).serve_forever()
`
	const pythonTest = "import unittest, app\nclass T(unittest.TestCase):\n    def test_a(self): self.assertTrue(app.H)\n"
	for _, c := range []struct {
		name, program string
		files         files
		want          string
	}{
		{"Go", "go", files{
			"go.mod": "module example.com/hello\n\ngo 1.21\n",
			"main.go": `package main

import ("fmt"; "net/http"; "os")

func greeting() string { return "hello from go" }
func main() {
	http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, greeting()) }))
}
`,
			"main_test.go": "package main\n\nimport \"testing\"\n\nfunc TestGreeting(t *testing.T) { if greeting() == \"\" { t.Fail() } }\n",
		}, "hello from go"},
		{"Node", "npm", files{
			"package.json": `{"scripts": {"start": "node server.js", "test": "node -e 0"}}`,
			"server.js":    `require("http").createServer((q, r) => r.end("hello from node")).listen(process.env.PORT, "127.0.0.1")`,
		}, "hello from node"},
		{"Python", "python3", files{"app.py": pythonServer, "test_app.py": pythonTest}, "hello from python"},
		{"Python with a folder of tests", "python3", files{"app.py": pythonServer, "tests/test_app.py": pythonTest}, "hello from python"},
		{"static", "python3", files{"public/index.html": "hello from a file"}, "hello from a file"},
		{"Procfile", "sh", files{"Procfile": "web: python3 app.py\nrelease: test -f app.py", "app.py": pythonServer, "Makefile": "test:\n\tpython3 -m compileall -q app.py\n"}, "hello from python"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := exec.LookPath(c.program); err != nil {
				t.Skipf("%s is not installed", c.program)
			}
			root := write(t, c.files)
			m, err := Read(root)
			if err != nil {
				t.Fatal(err)
			}
			for _, step := range append([]deploy.Step{m.Build, m.Deploy.Release}, steps(m.Tests)...) {
				for _, command := range step.Commands {
					if out, err := shell(t.Context(), root, command).CombinedOutput(); err != nil {
						t.Fatalf("%s: %v\n%s", command, err, out)
					}
				}
			}
			if got := serve(t, root, m); got != c.want {
				t.Errorf("answered %q, want %q", got, c.want)
			}
		})
	}
}

func steps(sets []deploy.TestSet) []deploy.Step {
	var all []deploy.Step
	for _, s := range sets {
		all = append(all, s.Step)
	}
	return all
}

func shell(ctx context.Context, root *os.Root, command string, env ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "sh", "-e", "-c", command)
	cmd.Dir = root.Name()
	cmd.Env = append(os.Environ(), env...)
	return cmd
}

// serve starts the web process on a free port and returns what it answers.
func serve(t *testing.T, root *os.Root, m *deploy.Manifest) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	web, _ := m.Web()
	env := []string{fmt.Sprintf("PORT=%d", port)}
	for k, v := range web.Env {
		env = append(env, k+"="+v)
	}
	cmd := shell(t.Context(), root, web.Run, env...)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	}()
	return firstAnswer(t, fmt.Sprintf("http://127.0.0.1:%d/", port))
}

func firstAnswer(t *testing.T, url string) string {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for {
		res, err := http.Get(url)
		if err == nil {
			defer res.Body.Close()
			b, _ := io.ReadAll(res.Body)
			return string(b)
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("no answer: %v", err)
		}
	}
}
