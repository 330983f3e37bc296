package build

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slipway/deploy"
)

// set is the variables of every app.
type set struct {
	all deploy.Variables
	err error
}

func (s set) Read(context.Context, deploy.AppName) (deploy.Variables, error) { return s.all, s.err }

const secret = "hunter22-of-the-shop"

func withVariables(all ...deploy.Variable) func(*Config) {
	return func(c *Config) { c.Variables = set{all: all} }
}

// Who sees which variable: a build none, a set those for tests, a hook those for deploying, and the
// release command what it is given.
func TestVariables(t *testing.T) {
	w := newWorld(t, withVariables(
		deploy.Variable{Name: "APP", Value: "a"}, deploy.Variable{Name: "TEST", Value: "t", Test: true},
		deploy.Variable{Name: "SHIP", Value: "s", Deploy: true}, deploy.Variable{Name: "BOTH", Value: "b", Test: true, Deploy: true},
	))
	const show = "echo APP=$APP TEST=$TEST SHIP=$SHIP BOTH=$BOTH HOOK=$SLIPWAY_HOOK"
	log, err := w.build(show)
	if err != nil {
		t.Fatal(err)
	}
	has(t, log, "\nAPP= TEST= SHIP= BOTH= HOOK=\n")
	if log, err = w.test(deploy.TestSet{Name: "unit", Step: deploy.Step{Env: map[string]string{"TEST": "manifest", "APP": "manifest"}}}, show); err != nil {
		t.Fatal(err)
	}
	has(t, log, "\nAPP=manifest TEST=t SHIP= BOTH=b HOOK=\n")
	for name, want := range map[string]string{
		"before_deploy": "APP= TEST= SHIP=s BOTH=b HOOK=given",
		"run":           "APP= TEST= SHIP=s BOTH=b HOOK=given",
		"undo":          "APP= TEST= SHIP=s BOTH=b HOOK=given",
		"release":       "APP= TEST= SHIP= BOTH= HOOK=given",
	} {
		var out strings.Builder
		if err := w.builder.Run(t.Context(), w.job, name, deploy.Step{Commands: []string{show}}, map[string]string{"SLIPWAY_HOOK": "given"}, &out); err != nil {
			t.Fatal(err)
		}
		has(t, out.String(), "\n"+want+"\n")
	}
}

// The app beside a set sees what the set sees.
func TestVariablesOfTheAppBeside(t *testing.T) {
	w := newWorld(t, withVariables(deploy.Variable{Name: "DATABASE", Value: "of-the-operator", Test: true}, deploy.Variable{Name: "OTHER", Value: "not-for-tests"}))
	w.job.Manifest.Processes = []deploy.Process{{Name: deploy.WebProcess, Run: "echo other=$OTHER; exec " + tool + " app", Env: map[string]string{"DATABASE": "manifest"}}}
	step := deploy.Step{Env: map[string]string{"DATABASE": "set"}}
	log, err := w.test(deploy.TestSet{Name: "web", App: true, Step: step}, tool+" get $APP_URL > answer", "rev answer", "cat /proc/*/cmdline | tr '\\0' '\\n' | grep -c 'of-the-operato[r]' || true")
	if err != nil {
		t.Fatal(err, log)
	}
	has(t, log, "rotarepo-eht-fo esabatad", "\n0\n") // backwards, since it is masked
	has(t, w.appLog("web"), "other=\n")
}

// No log and no tail shows a value, whatever step printed it.
func TestMasking(t *testing.T) {
	w := newWorld(t, withVariables(deploy.Variable{Name: "TOKEN", Value: secret, Test: true}, deploy.Variable{Name: "APP", Value: "only-of-the-app"}))
	w.job.Manifest.Processes = []deploy.Process{{Name: deploy.WebProcess, Run: "echo signed in by $TOKEN; exec " + tool + " app"}}
	log, err := w.test(deploy.TestSet{Name: "unit", App: true},
		"printf %s $TOKEN | cut -c1-9 | tr -d '\\n'; printf %s $TOKEN | cut -c10-", "echo only-of-the-app", "printf '%s' $TOKEN >&2; exit 3")
	r := w.rejection(err)
	all := log + strings.Join(r.Tail, "\n") + w.appLog("unit") + r.Error()
	has(t, log, "\n[TOKEN]\n", "\n[APP]\n")
	has(t, w.appLog("unit"), "signed in by [TOKEN]\n")
	if strings.Contains(all, secret) || strings.Contains(all, "echo only-of-the-app") {
		t.Errorf("a value is in %s", all)
	}
	if tail := strings.Join(r.Tail, "\n"); !strings.Contains(tail, "[TOKEN]\n") {
		t.Errorf("the tail is %q", tail)
	}
	err = filepath.WalkDir(w.layout.Deployment(w.job.Number), func(path string, e os.DirEntry, err error) error {
		if b, _ := os.ReadFile(path); strings.Contains(string(b), secret) {
			t.Errorf("a value is in %s", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Variables that cannot be read are our fault, not the revision's.
func TestUnreadableVariables(t *testing.T) {
	lost := errors.New("the key is missing")
	w := newWorld(t, func(c *Config) { c.Variables = set{err: lost} })
	_, err := w.build("true")
	if _, ok := deploy.AsRejection(err); ok || !errors.Is(err, lost) {
		t.Errorf("got %v", err)
	}
}

// A host's name may hold a value, too.
func TestMaskingOfHosts(t *testing.T) {
	w := newWorld(t, withVariables(deploy.Variable{Name: "TOKEN", Value: "k3y-in-a-name", Deploy: true}))
	var log strings.Builder
	step := deploy.Step{Commands: []string{tool + " get http://$TOKEN.invalid/"}, Network: true}
	err := w.builder.Run(t.Context(), w.job, "after_accept", step, nil, &log)
	has(t, log.String(), "egress: ", "[TOKEN].invalid")
	if said := log.String() + err.Error() + strings.Join(w.rejection(err).Tail, ""); strings.Contains(said, "k3y-in-a-name") {
		t.Error(said)
	}
}
