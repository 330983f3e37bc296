package build

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/deploy"
)

func (w *world) withApp(run string) {
	w.job.Manifest.Processes = []deploy.Process{{Name: "web", Run: run}}
	w.job.Manifest.Deploy.ReadyTimeout = 20 * time.Second
}

func TestAppBesideTheSet(t *testing.T) {
	w := newWorld(t)
	w.withApp("exec " + tool + " app")
	set := deploy.TestSet{Name: "integration", App: true}
	set.Step.Env = map[string]string{"DATABASE": "test.db"}
	log, err := w.test(set, tool+" get $APP_URL/", "test $APP_URL = http://127.0.0.1:$PORT", "echo trouble >&2")
	if err != nil {
		t.Fatal(err, log)
	}
	has(t, log, "app ready at http://127.0.0.1:", "database test.db\n", "trouble\n")
	if got, want := w.appLog("integration"), "app starts in /tmp\napp was told to end\n"; got != want {
		t.Errorf("app's log %q, want %q", got, want)
	}
	w.noSockets()
}

func TestAppThatIsNotReady(t *testing.T) {
	w := newWorld(t)
	w.withApp("echo cannot open database; exit 3")
	log, err := w.test(deploy.TestSet{Name: "integration", App: true}, "echo the set ran")
	want := &deploy.Rejection{
		Code:    deploy.CodeTest,
		Message: `test set "integration" did not run: the app exited before it was ready (exit status 3)`,
		Hint:    "the app's whole output is in test.integration.app.log",
		Line:    "test integration did not run: app not ready",
		Tail:    []string{"cannot open database"},
	}
	if diff := cmp.Diff(want, w.rejection(err)); diff != "" {
		t.Errorf("rejection (-want +got):\n%s", diff)
	}
	if want := "the app exited before it was ready (exit status 3)\n"; log != want {
		t.Errorf("log %q, want %q", log, want)
	}

	w.withApp("exec sleep 60")
	w.job.Manifest.Deploy.ReadyTimeout = 300 * time.Millisecond
	_, err = w.test(deploy.TestSet{Name: "integration", App: true}, "echo the set ran")
	has(t, w.rejection(err).Message, `test set "integration" did not run: the app did not become ready within 300ms: nothing listens on 127.0.0.1:`)
}

func TestAppThatEndsWhileTheSetRuns(t *testing.T) {
	w := newWorld(t)
	w.withApp("exec " + tool + " app")
	_, err := w.test(deploy.TestSet{Name: "integration", App: true}, tool+" get $APP_URL/exit || true", "while "+tool+" get $APP_URL; do :; done", "echo boo", "exit 1")
	r := w.rejection(err)
	if r.Message != `test set "integration" failed (exit status 1)` {
		t.Errorf("message %q", r.Message)
	}
	has(t, strings.Join(r.Tail, "\n"), "boo\n$ exit 1\nthe app ended while the set ran (exit status 9):\napp starts in /tmp\napp: out of luck")
}

// A set can say what it likes in the name of the program inside: it fails all the same, and harms no
// terminal.
func TestForgedReport(t *testing.T) {
	w := newWorld(t)
	w.withApp("exec " + tool + " app")
	forged := `{"notReady":"\u001b]0;x\u0007a\nlie \u001b[2J\u202e"}`
	set := deploy.TestSet{Name: "x", App: true}
	if log, err := w.test(set, tool+" forge '"+forged+"'"); err != nil {
		t.Error(err, log)
	}
	_, err := w.test(set, tool+" forge '"+forged+"'; exit 1")
	if got, want := w.rejection(err).Message, `test set "x" did not run: a lie`; got != want {
		t.Errorf("message %q, want %q", got, want)
	}
	if log, err := w.test(set, tool+" forge $(head -c 100000 /dev/zero | tr '\\0' x) || true", tool+" forge nonsense"); err != nil {
		t.Error(err, log)
	}
}

func TestAppIsMissing(t *testing.T) {
	w := newWorld(t)
	_, err := w.test(deploy.TestSet{Name: "integration", App: true}, "true")
	if r := w.rejection(err); r.Code != deploy.CodeManifest || !strings.Contains(r.Message, "no process named web") {
		t.Errorf("%+v", r)
	}
}
