package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"slipway/deploy"
	"slipway/deploy/audit"
)

// ledger is what the audit log says, which everything else has to agree with.
type ledger struct {
	apps     map[deploy.AppName]bool
	serving  map[deploy.AppName]production
	before   map[deploy.AppName]production
	status   map[deploy.Number]deploy.Status
	app      map[deploy.Number]deploy.AppName
	releases map[string]bool // app/number of what was accepted and not pruned
	torn     map[string]bool // files beside the log that got a torn line, as was recorded
	beside   besides
	set      map[deploy.AppName][]string // the names of variables
	wrong    []error
}

var statusAfter = map[deploy.EventType]deploy.Status{
	deploy.EventRejected: deploy.StatusRejected, deploy.EventCanceled: deploy.StatusCanceled,
	deploy.EventInterrupted: deploy.StatusInterrupted, deploy.EventErrored: deploy.StatusErrored,
}

// readRecords reads the whole log and checks its chain, and that each deployment has one end that is
// right by the table of docs/architecture.md.
func (w *crashWorld) readRecords(faults bool) (*ledger, error) {
	dir := filepath.Join(w.data, "audit")
	report, err := audit.Verify(w.t.Context(), dir)
	if err != nil {
		return nil, err
	}
	if !report.OK() {
		return nil, fmt.Errorf("the audit log: %v", report.Findings)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil {
		return nil, err
	}
	slices.Sort(files)
	r := &ledger{
		apps: map[deploy.AppName]bool{}, serving: map[deploy.AppName]production{}, before: map[deploy.AppName]production{},
		status: map[deploy.Number]deploy.Status{}, app: map[deploy.Number]deploy.AppName{}, releases: map[string]bool{}, torn: map[string]bool{}, beside: besides{},
		set: map[deploy.AppName][]string{},
	}
	stories := map[deploy.Number][]deploy.EventType{}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		for line := range bytes.Lines(b) {
			parsed, err := audit.ParseLine(line)
			if err != nil {
				return nil, err
			}
			r.take(parsed.Event)
			stories[parsed.Event.Deployment] = append(stories[parsed.Event.Deployment], parsed.Event.Type)
		}
	}
	delete(stories, 0)
	for n, story := range stories {
		if err := judgeStory(story, faults || int(n) <= w.excused); err != nil {
			r.wrong = append(r.wrong, fmt.Errorf("deployment %d: %w: %v", n, err, story))
		}
	}
	return r, errors.Join(r.wrong...)
}

func (r *ledger) take(e deploy.Event) {
	release := string(e.App) + "/" + e.Deployment.String()
	if err := r.beside.take(e); err != nil {
		r.wrong = append(r.wrong, err)
	}
	switch e.Type {
	case deploy.EventAppCreated:
		r.apps[e.App] = true
	case deploy.EventAppRemoved:
		delete(r.apps, e.App)
		delete(r.serving, e.App)
		delete(r.before, e.App)
	case deploy.EventVariableSet:
		var v deploy.Variable
		if err := json.Unmarshal(e.Data, &v); err != nil {
			r.wrong = append(r.wrong, err)
		}
		if !slices.Contains(r.set[e.App], v.Name) {
			r.set[e.App] = append(r.set[e.App], v.Name)
		}
	case deploy.EventDeploymentQueued:
		r.status[e.Deployment], r.app[e.Deployment] = deploy.StatusQueued, e.App
	case deploy.EventAccepted:
		r.status[e.Deployment], r.releases[release] = deploy.StatusAccepted, true
		var moved deploy.SwitchData
		if err := json.Unmarshal(e.Data, &moved); err != nil {
			r.wrong = append(r.wrong, err)
		}
		if old := r.serving[e.App]; old.release != moved.To {
			r.before[e.App] = old
		}
		r.serving[e.App] = production{moved.To, string(e.New)}
	case deploy.EventReleasePruned:
		delete(r.releases, release)
	case audit.EventRepaired:
		var repair audit.Repair
		if err := json.Unmarshal(e.Data, &repair); err != nil {
			r.wrong = append(r.wrong, err)
		}
		r.torn["audit/"+repair.Aside] = true
	case deploy.EventDrift, deploy.EventTargetFrozen, deploy.EventRollbackFailed:
		r.wrong = append(r.wrong, fmt.Errorf("%s of %s: %s", e.Type, e.App, e.Reason))
	default:
		if s, ok := statusAfter[e.Type]; ok {
			r.status[e.Deployment] = s
		}
	}
}

// judgeStory checks the events of one deployment.
func judgeStory(story []deploy.EventType, faults bool) error {
	has := func(e deploy.EventType) bool { return slices.Contains(story, e) }
	ends := 0
	for _, e := range story {
		if _, ok := statusAfter[e]; ok || e == deploy.EventAccepted {
			ends++
		}
	}
	switch {
	case ends != 1:
		return fmt.Errorf("has %d ends", ends)
	case has(deploy.EventAccepted) && (!has(deploy.EventRefMoved) || !has(deploy.EventSwitchDone) || has(deploy.EventRollbackIntended)):
		return errors.New("accepted without its switch and its ref, or rolled back all the same")
	case !has(deploy.EventAccepted) && has(deploy.EventRefMoved):
		return errors.New("the ref moved without being accepted")
	case !has(deploy.EventAccepted) && has(deploy.EventSwitchIntended) && !has(deploy.EventRollbackDone):
		return errors.New("switched, neither accepted nor rolled back")
	case has(deploy.EventErrored) && !faults:
		return errors.New("a fault")
	}
	return nil
}

// agrees waits until ref, traffic, current, history and the machine are what the audit log says. faults
// tells that deployments may have failed by a fault, since more than the server was killed.
func (w *crashWorld) agrees(faults bool) (*ledger, error) {
	var r *ledger
	err := until(30*time.Second, func() error {
		var err error
		if r, err = w.readRecords(faults); err != nil {
			return err
		}
		var errs []error
		for app := range r.apps {
			errs = append(errs, w.appAgrees(r, app), w.besidesAgree(r, app), w.variablesAgree(r, app))
		}
		return errors.Join(append(errs, w.historyAgrees(r), w.processesAgree(r), w.filesAgree(r))...)
	})
	return r, err
}

func (w *crashWorld) appAgrees(r *ledger, app deploy.AppName) error {
	want := r.serving[app].revision
	ref, _ := w.git("--git-dir="+filepath.Join(w.data, "repos", string(app)+".git"), "rev-parse", "-q", "--verify", "refs/heads/main").Output()
	if got := strings.TrimSpace(string(ref)); got != want {
		return fmt.Errorf("%s: the ref is %q, recorded is %q", app, got, want)
	}
	current, err := os.ReadFile(filepath.Join(w.data, "apps", string(app), "current", "REVISION"))
	if got := strings.TrimSpace(string(current)); got != want || err != nil && want != "" {
		return fmt.Errorf("%s: current is %q, recorded is %q: %s", app, got, want, fmt.Sprint(err))
	}
	for _, p := range []production{r.serving[app], r.before[app]} {
		if p.release == 0 {
			continue
		}
		if _, err := os.Stat(filepath.Join(w.data, "deployments", p.release.String())); err != nil {
			return fmt.Errorf("%s: the logs of a release that is in production or was before: %w", app, err)
		}
	}
	serves, err := w.get(string(app))
	if want == "" && (err == nil || !strings.Contains(err.Error(), "503")) {
		return fmt.Errorf("%s: serves %q though nothing is in production: %s", app, serves, fmt.Sprint(err))
	}
	if want != "" && serves != want {
		return fmt.Errorf("%s: serves %q, recorded is %q: %s", app, serves, want, fmt.Sprint(err))
	}
	return nil
}

// variablesAgree compares the variables that an app has with those that were recorded.
func (w *crashWorld) variablesAgree(r *ledger, app deploy.AppName) error {
	if len(r.set[app]) == 0 {
		return nil
	}
	out, err := w.slipway("config", "list", string(app)).CombinedOutput()
	if err != nil {
		return fmt.Errorf("slipway config list: %w: %s", err, out)
	}
	var has []string
	for line := range strings.Lines(string(out)) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		has = append(has, name)
	}
	want := slices.Sorted(slices.Values(r.set[app]))
	if slices.Sort(has); !slices.Equal(has, want) {
		return fmt.Errorf("%s has the variables %q, recorded are %q", app, has, want)
	}
	return nil
}

// historyAgrees compares what people are told.
func (w *crashWorld) historyAgrees(r *ledger) error {
	out, err := w.slipway("deployments", "-n", "1000").CombinedOutput()
	if err != nil {
		return fmt.Errorf("slipway deployments: %w: %s", err, out)
	}
	shown := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) > 3 {
			shown[strings.Join(f[:3], " ")] = true
		}
	}
	for n, s := range r.status {
		if line := fmt.Sprintf("%d %s %s", n, r.app[n], s); r.apps[r.app[n]] && !shown[line] {
			return fmt.Errorf("slipway deployments does not say %q", line)
		}
	}
	return nil
}

// processesAgree looks for processes that should not be, and for those that should.
func (w *crashWorld) processesAgree(r *ledger) error {
	count := map[string]int{}
	all := w.processes()
	servers := map[int]bool{}
	for _, p := range all {
		servers[p.pid] = p.role() == "serve"
	}
	for _, p := range all {
		role := p.role()
		known := role == "serve" || role == "router"
		// A git of the server waits for the next transaction, for a minute. It ends with its server.
		known = known || servers[p.parent] && strings.HasSuffix(p.line, "update-ref -z --stdin")
		for app, s := range r.serving {
			known = known || role == "keeper" && strings.Contains(p.line, fmt.Sprintf("/apps/%s/instances/%d-web-", app, s.release)) ||
				role != "keeper" && r.serves(p.box)
		}
		if !known {
			return fmt.Errorf("process %d runs: %s (sandbox %q)", p.pid, p.line, p.box)
		}
		count[role]++
	}
	for _, box := range w.boxes() {
		if !r.serves(box) {
			return fmt.Errorf("nobody owns the cgroup of sandbox %s", box)
		}
	}
	if count["serve"] != 1 || count["router"] != 1 || count["keeper"] != len(r.serving) {
		return fmt.Errorf("running: %v, but %d apps are to serve", count, len(r.serving))
	}
	return nil
}

// serves tells whether a sandbox is of an instance that serves.
func (r *ledger) serves(box string) bool {
	for app, s := range r.serving {
		if strings.HasPrefix(box, fmt.Sprintf("%s.%d.web.", app, s.release)) {
			return true
		}
	}
	return false
}

// ownFiles are files of the data directory that nothing has to be recorded for.
var ownFiles = regexp.MustCompile(`^(reserve(/[0-9]+)?|slipway\.sock|host_key|slipway\.db(-wal|-shm)?|audit(/pid|/[0-9-]+\.jsonl)?|repos(/\.tmp|/\.trash)?|apps|deployments` +
	`|libexec(/slipway)?|secret\.key|server\.toml|hooks(/[a-z-]+|/sock)?|router(/sock(\.lock)?|/log|/table\.json|/lock)?)$`)

// filesAgree looks for files that nobody owns.
func (w *crashWorld) filesAgree(r *ledger) error {
	steps, err := filepath.Glob(filepath.Join("/run", w.group()+"-[0-9]*"))
	if err != nil {
		return err
	}
	if len(steps) > 0 {
		return fmt.Errorf("nobody owns %q", steps)
	}
	return filepath.WalkDir(w.data, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || path == w.data {
			return nil
		}
		if err != nil {
			return err
		}
		name, err := filepath.Rel(w.data, path)
		if err != nil {
			return err
		}
		owned, inside := r.owns(name)
		if !owned {
			return fmt.Errorf("nobody owns %s", name)
		}
		if d.IsDir() && !inside {
			return fs.SkipDir
		}
		return nil
	})
}

var (
	appFile     = regexp.MustCompile(`^apps/([^/]+)(/(releases|cache|storage|spare|env|instances|work|current))?$`)
	releaseDir  = regexp.MustCompile(`^apps/([^/]+/)releases/([0-9]+)$`)
	planFile    = regexp.MustCompile(`^apps/([^/]+/)instances/([0-9]+)\.json$`)
	instanceDir = regexp.MustCompile(`^apps/([^/]+)/instances/([0-9]+)-web-[0-9]+$`)
	logDir      = regexp.MustCompile(`^deployments/([0-9]+)$`)
	repoDir     = regexp.MustCompile(`^repos/([^/]+)\.git$`)
	repoFile    = regexp.MustCompile(`^repos/([^/]+)\.git/.+$`)
	leftByGit   = regexp.MustCompile(`(\.lock|\.keep|packed-refs\.new|/(refs|packs)_[^/]*|/tmp_[^/]*|/\.tmp-[^/]*)$`)
)

// owns tells whether a file may be there, and whether its inside is to be looked at.
func (r *ledger) owns(name string) (owned, inside bool) {
	if ownFiles.MatchString(name) || r.torn[name] {
		return true, true
	}
	if m := appFile.FindStringSubmatch(name); m != nil {
		return r.apps[deploy.AppName(m[1])], m[3] == "" || m[3] == "releases" || m[3] == "instances" || m[3] == "work"
	}
	for _, pattern := range []*regexp.Regexp{releaseDir, planFile} {
		if m := pattern.FindStringSubmatch(name); m != nil {
			return r.releases[m[1]+m[2]], false
		}
	}
	if m := instanceDir.FindStringSubmatch(name); m != nil {
		return r.serving[deploy.AppName(m[1])].release.String() == m[2], false
	}
	if m := logDir.FindStringSubmatch(name); m != nil {
		n, err := deploy.ParseNumber(m[1])
		return err == nil && r.status[n] != "", false
	}
	if m := repoDir.FindStringSubmatch(name); m != nil {
		return r.apps[deploy.AppName(m[1])], true
	}
	return repoFile.MatchString(name) && !leftByGit.MatchString(name), true
}
