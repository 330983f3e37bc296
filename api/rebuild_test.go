package api_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"

	"slipway/deploy"
	"slipway/deploy/control/controltest"
)

// TestSameAnswersFromTheFilesAlone: whatever can be asked, who asks it, the answer is the same to the byte
// when the database was made anew under the running server, and when it was deleted and the server started.
func TestSameAnswersFromTheFilesAlone(t *testing.T) {
	w := newWorld(t)
	tokens, ended := w.eventfulLife()
	until := time.Now().Add(time.Minute).UTC().Format(time.RFC3339)
	before := w.answers(tokens, until)
	w.eachIsAnswered(before)
	w.Must(w.Recorder.Rebuild(t.Context(), w.Store.Rebuild))
	if diff := cmp.Diff(before, w.answers(tokens, until)); diff != "" {
		t.Errorf("after slipway audit rebuild (-before +after):\n%s", diff)
	}
	head := w.Recorder.Head()
	w.halt()
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(w.Layout.Database() + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	again := worldIn(t, w.Layout)
	if got := again.Recorder.Head(); got != head {
		t.Fatalf("the log ends with %s, want %s", got, head)
	}
	if diff := cmp.Diff(before, again.answers(tokens, until)); diff != "" {
		t.Errorf("from the files alone (-before +after):\n%s", diff)
	}
	for _, token := range ended {
		again.want(401, token, "GET", "/api/v1/me", "")
	}
}

// eventfulLife lets everything happen that the API tells of. It returns tokens of different people, and those
// that have ended.
func (w *world) eventfulLife() (tokens map[string]string, ended []string) {
	w.Helper()
	boss := w.token(controltest.Operator(), deploy.RoleAdmin, "")
	w.App("gone")
	w.deployed(1, "gone", "alice", "what was before")
	w.want(204, boss, "DELETE", "/api/v1/apps/gone?confirm=gone", "")
	for _, app := range []deploy.AppName{"shop", "blog", "gone"} {
		w.App(app)
	}
	alice, vera, rob := w.user("alice", deploy.RoleDeveloper), w.user("vera", deploy.RoleViewer), w.user("rob", deploy.RoleAdmin)
	w.want(201, boss, "POST", "/api/v1/users/alice/keys", bodyOf([2]string{"POST", "/keys"}))
	w.want(204, boss, "PUT", "/api/v1/apps/shop/grants/alice", `{"role":"developer"}`)
	w.want(204, boss, "PUT", "/api/v1/apps/blog/grants/vera", `{"role":"viewer"}`)
	w.want(204, boss, "PUT", "/api/v1/apps/gone/grants/vera", `{"role":"viewer"}`)
	w.want(204, boss, "DELETE", "/api/v1/apps/gone/grants/vera", "")
	robs := w.token(rob, deploy.RoleAdmin, "")
	w.want(204, boss, "DELETE", "/api/v1/users/rob", "")
	w.want(204, boss, "PATCH", "/api/v1/apps/shop/variables", `{"items":[{"name":"KEY","value":"s3cret"},{"name":"OLD","value":"x"}]}`)
	w.want(204, boss, "DELETE", "/api/v1/apps/shop/variables/OLD", "")
	w.deployments()
	w.want(200, boss, "PUT", "/api/v1/deployments/2/regression", `{"reason":"no tax","fixedBy":3}`)
	w.want(204, boss, "PUT", "/api/v1/apps/blog/freeze", `{"reason":"a holiday <&> ☂"}`)
	revoked := w.token(alice, deploy.RoleViewer, "shop")
	w.want(200, boss, "POST", "/api/v1/audit/verification", "")
	w.want(401, revoked[:len(revoked)-1]+"7", "GET", "/api/v1/me", "")
	w.want(204, boss, "DELETE", "/api/v1/tokens/"+idOf(revoked), "")
	return map[string]string{
		"an admin": boss, "a developer": w.token(alice, deploy.RoleDeveloper, ""), "a viewer": w.token(vera, deploy.RoleViewer, ""),
		"a token of one app": w.token(controltest.Operator(), deploy.RoleAdmin, "shop"), "nobody": "",
	}, []string{robs, revoked}
}

// deployments are 2 to 9, one that comes to each end, and what was refused.
func (w *world) deployments() {
	w.Helper()
	first := w.commit("shop", "", "one")
	second := w.commit("shop", first, "two")
	w.deployed(2, "shop", "alice", "Fix cart total")
	w.rejected(4, "shop", "exit status 1\x00\u001b[31m")
	w.Queued(3, "shop", "alice", "<script>")
	of := func(n deploy.Number, app deploy.AppName, e deploy.Event) {
		w.Helper()
		e.App, e.Environment, e.Deployment = app, deploy.Production, n
		w.Record(e)
	}
	moved := deploy.Event{Type: deploy.EventAccepted, Old: first, New: second}.WithData(deploy.SwitchData{From: 2, To: 3})
	of(3, "shop", deploy.Event{Type: deploy.EventDeploymentStarted, Old: first}.WithData(deploy.StartedData{Previous: 2, Bypass: &deploy.Bypass{Reason: "hurry"}}))
	of(3, "shop", moved)
	of(3, "shop", deploy.Event{Type: deploy.EventRefMoved, Old: first, New: second})
	w.Record(deploy.Event{Type: deploy.EventDeploymentQueued, App: "shop", Deployment: 5}.WithData(deploy.Deployment{
		Number: 5, App: "shop", Environment: deploy.Production, Ref: "refs/heads/main", Old: first, New: second, Pusher: deploy.Pusher{User: "alice"},
		Commit: deploy.Commit{Subject: "two", Author: "Ann", AuthoredAt: time.Now()}, Again: &deploy.Again{Kind: deploy.AgainRollback, Of: 2, Reason: "it was better"},
	}))
	of(5, "shop", deploy.Event{Type: deploy.EventSwitchIntended}.WithData(deploy.SwitchData{From: 3, To: 2}))
	of(5, "shop", deploy.Event{Type: deploy.EventRollbackIntended, Reason: "5xx"}.WithData(deploy.SwitchData{From: 2, To: 3}))
	of(5, "shop", deploy.Event{Type: deploy.EventRollbackFailed, Reason: "no"}.WithData(deploy.SwitchData{From: 2, To: 3}))
	of(5, "shop", deploy.Event{Type: deploy.EventErrored}.WithData(deploy.Reject(deploy.CodeUnavailable, "internal error")))
	for n, end := range map[deploy.Number]deploy.EventType{6: deploy.EventCanceled, 7: deploy.EventInterrupted, 8: "", 9: deploy.EventDeploymentStarted} {
		w.Queued(n, "blog", "vera", "a post")
		if end != "" {
			of(n, "blog", deploy.Event{Type: end}.WithData(deploy.StartedData{}))
		}
	}
	of(2, "shop", deploy.Event{Type: deploy.EventReleasePruned})
	w.Record(deploy.Event{Type: deploy.EventPushRefused, App: "shop", Ref: "refs/heads/main"}.WithData(deploy.Reject(deploy.CodeFrozen, "frozen")))
	w.Record(deploy.Event{Type: "of.tomorrow", App: "shop", Reason: "unknown"})
}

// commit adds a commit to an app's repository.
func (w *world) commit(app deploy.AppName, parent deploy.OID, text string) deploy.OID {
	w.Helper()
	git := func(in string, args ...string) string {
		w.Helper()
		cmd := exec.CommandContext(w.Context(), "git", append([]string{"--git-dir", w.Layout.Repo(app)}, args...)...)
		cmd.Stdin = strings.NewReader(in)
		cmd.Env = append(os.Environ(), "GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=a@example", "GIT_COMMITTER_NAME=Ann", "GIT_COMMITTER_EMAIL=a@example")
		out, err := cmd.Output()
		w.Must(err)
		return strings.TrimSpace(string(out))
	}
	tree := git("100644 blob "+git(text+"\n", "hash-object", "-w", "--stdin")+"\tfile\n", "mktree")
	args := []string{"commit-tree", tree, "-m", text}
	if parent != "" {
		args = append(args, "-p", string(parent))
	}
	return deploy.OID(git("", args...))
}

// answers are those to every question of the document, of all kinds of people, page by page.
func (w *world) answers(tokens map[string]string, until string) map[string]string {
	w.Helper()
	all := map[string]string{}
	for who, token := range tokens {
		for _, path := range w.questions(until) {
			for pages := 0; path != "" && pages < 200; pages++ {
				key := who + " asks " + path
				all[key], path = w.answer(token, path)
			}
		}
	}
	return all
}

// eachIsAnswered checks that somebody got an answer from every operation: two refusals are soon the same.
func (w *world) eachIsAnswered(answers map[string]string) {
	w.Helper()
	_, router := w.document()
	left := map[string]bool{}
	for path := range w.reads() {
		left[path] = true
	}
	for question, answer := range answers {
		_, path, _ := strings.Cut(question, " asks ")
		r, err := http.NewRequestWithContext(w.Context(), http.MethodGet, path, http.NoBody)
		w.Must(err)
		route, _, err := router.FindRoute(r)
		w.Must(err)
		if strings.HasPrefix(answer, "400") {
			w.Errorf("%s: %s", question, answer)
		}
		if strings.HasPrefix(answer, "200") {
			delete(left, route.Path)
		}
	}
	if len(left) > 0 {
		w.Errorf("nobody got an answer of %v", left)
	}
}

// reads are the GET operations of the document by their paths.
func (w *world) reads() map[string]*openapi3.Operation {
	w.Helper()
	d, _ := w.document()
	all := map[string]*openapi3.Operation{}
	for path, item := range d.Paths.Map() {
		if item.Get != nil {
			all[path] = item.Get
		}
	}
	return all
}

// answer is all of one that a client sees, and where the next page is.
func (w *world) answer(token, path string) (string, string) {
	w.Helper()
	r, err := http.NewRequestWithContext(w.Context(), http.MethodGet, w.server.URL+path, http.NoBody)
	w.Must(err)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(r)
	w.Must(err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	w.Must(err)
	next, _, _ := strings.Cut(strings.TrimPrefix(res.Header.Get("Link"), "<"), ">")
	return fmt.Sprintf("%s\n%s\n%s\n%s\n%s", res.Status, res.Header.Get("Content-Type"), res.Header.Get("ETag"), res.Header.Get("Link"), body), next
}

// questions are the GET operations of the document with all that there is filled in, and some filters.
func (w *world) questions(until string) []string {
	w.Helper()
	named := map[string][]string{
		"{app}": {"shop", "blog", "gone", "none"}, "{user}": {"alice", "vera", "rob"}, "{stage}": {"build", "test.unit", "transcript"},
		"{number}": {"1", "2", "3", "4", "5", "6", "7", "8", "9", "10"},
	}
	filters := map[string][]string{
		"/deployments": {
			"limit=2", "app=shop&user=alice&status=accepted", "status=rejected", "failedStage=test.unit", "text=cart", "bypassed=true", "app=gone",
			"ref=refs/heads/main&limit=3", "revision=" + strings.Repeat("a", 40), "until=" + url.QueryEscape(until),
		},
		"/events": {"limit=20", "app=shop", "app=gone", "deployment=2", "type=token.revoked", "actor=slipway"},
		"/stats":  {"until=" + url.QueryEscape(until), "app=shop&weeks=3&until=" + url.QueryEscape(until)},
	}
	var all []string
	for path := range w.reads() {
		paths := []string{path}
		for name, values := range named {
			for i, p := range paths {
				if !strings.Contains(p, name) {
					continue
				}
				paths[i] = strings.ReplaceAll(p, name, values[0])
				for _, v := range values[1:] {
					paths = append(paths, strings.ReplaceAll(p, name, v))
				}
			}
		}
		for _, p := range paths {
			if p != "/stats" { // without an end it ends now
				all = append(all, "/api/v1"+p)
			}
			for _, f := range filters[p] {
				all = append(all, "/api/v1"+p+"?"+f)
			}
		}
	}
	slices.Sort(all)
	return all
}
