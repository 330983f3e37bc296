package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"slipway/api"
	"slipway/deploy"
	"slipway/deploy/control/controltest"
)

func read[T any](t testing.TB, body string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return v
}

// TestReads: every question is answered as the document says, which ask checks.
func TestReads(t *testing.T) {
	w := newWorld(t)
	w.App("shop")
	w.user("alice", deploy.RoleDeveloper)
	w.deployed(1, "shop", "alice", "Greet people")
	w.pipeline.waiting = []deploy.Waiting{{Number: 2, Target: deploy.Target{App: "shop"}, User: "alice", Stage: "build"}}
	token := w.token(controltest.Operator(), deploy.RoleAdmin, "")
	for _, path := range []string{
		"/me", "/apps", "/apps/shop", "/apps/shop/releases", "/apps/shop/grants", "/apps/shop/variables", "/targets", "/queue", "/deployments",
		"/deployments/1", "/deployments/1/logs/build", "/deployments/1/logs/transcript", "/deployments/1/measurements",
		"/events", "/audit", "/stats", "/stats?app=shop&weeks=156", "/users", "/users/alice", "/users/alice/keys", "/tokens",
	} {
		w.want(200, token, "GET", "/api/v1"+path, "")
	}
	target := read[api.Target](t, w.want(200, token, "GET", "/api/v1/apps/shop", ""))
	if target.Serving != 1 || target.Health != "up" || len(target.Instances) != 1 || len(target.Queue) != 1 {
		t.Errorf("the target is %+v", target)
	}
	d := read[api.DeploymentWithStages](t, w.want(200, token, "GET", "/api/v1/deployments/1", ""))
	if d.Deployment.Status != "accepted" || len(d.Stages) != 1 || len(d.Stages[0].Checks) != 1 {
		t.Errorf("the deployment is %+v", d)
	}
	if got := w.want(206, token, "GET", "/api/v1/deployments/1/logs/build", "", "Range", "bytes=4-6"); got != "two" {
		t.Errorf("a part of the log is %q", got)
	}
	w.want(404, token, "GET", "/api/v1/deployments/1/logs/release", "")
	w.want(404, token, "GET", "/api/v1/deployments/1/commits", "") // its revision is in no repository
	w.want(200, token, "GET", "/api/v1/openapi.yaml", "")
	if page := w.want(200, token, "GET", "/api", ""); !strings.Contains(page, "/api/v1/deployments/{number}/diff") {
		t.Error("the page does not name every operation")
	}
}

// TestPages: pages of a list follow each other by the Link header, and hold everything once.
func TestPages(t *testing.T) {
	w := newWorld(t)
	w.App("shop")
	for n := range deploy.Number(7) {
		w.Queued(n+1, "shop", "alice", "x")
	}
	token := w.token(controltest.Operator(), deploy.RoleViewer, "")
	var numbers []int64
	for path := "/api/v1/deployments?limit=3&app=shop"; path != ""; {
		res, body := w.ask(token, "GET", path, "")
		for _, d := range read[api.DeploymentList](t, body).Items {
			numbers = append(numbers, d.Number)
		}
		link, more := strings.CutSuffix(strings.TrimPrefix(res.Header.Get("Link"), "<"), `>; rel="next"`)
		if path = link; !more {
			break
		}
		if len(numbers) > 7 {
			t.Fatalf("the pages do not end: %v", numbers)
		}
	}
	if len(numbers) != 7 || numbers[0] != 7 || numbers[6] != 1 {
		t.Errorf("the pages hold %v", numbers)
	}
}

// TestRevisionFilter: a revision may be shortened, as git does it.
func TestRevisionFilter(t *testing.T) {
	w := newWorld(t)
	w.App("shop")
	for n, id := range map[deploy.Number]string{1: "3f2c9e1", 2: "3f2c9e2", 3: "3f2d000"} {
		w.Record(deploy.Event{Type: deploy.EventDeploymentQueued, App: "shop", Deployment: n}.WithData(deploy.Deployment{
			Number: n, App: "shop", Environment: deploy.Production, New: deploy.OID(id + strings.Repeat("0", 33)),
		}))
	}
	token := w.token(controltest.Operator(), deploy.RoleViewer, "")
	for id, want := range map[string]string{
		"3f2d": "[3]", "3F2D": "[3]", "3f2c9e1": "[1]", "3f2c9e1" + strings.Repeat("0", 33): "[1]", "3f2c": "[2 1]", "3f2c9e1f": "[]", strings.Repeat("0", 64): "[]",
	} {
		numbers := []int64{}
		for _, d := range read[api.DeploymentList](t, w.want(200, token, "GET", "/api/v1/deployments?revision="+id, "")).Items {
			numbers = append(numbers, d.Number)
		}
		if got := fmt.Sprint(numbers); got != want {
			t.Errorf("of %s there are %s, want %s", id, got, want)
		}
	}
	for _, id := range []string{"3f2", "main", strings.Repeat("0", 65), "3f2c%25"} {
		w.want(400, token, "GET", "/api/v1/deployments?revision="+id, "")
	}
}

// TestETag: what a client has is not sent again, and what has changed is.
func TestETag(t *testing.T) {
	w := newWorld(t)
	w.App("shop")
	token := w.token(controltest.Operator(), deploy.RoleAdmin, "")
	res, _ := w.ask(token, "GET", "/api/v1/apps", "")
	tag := res.Header.Get("ETag")
	if tag == "" {
		t.Fatal("there is no ETag")
	}
	if body := w.want(304, token, "GET", "/api/v1/apps", "", "If-None-Match", tag); body != "" {
		t.Errorf("304 with a body: %q", body)
	}
	w.App("blog")
	w.want(200, token, "GET", "/api/v1/apps", "", "If-None-Match", tag)
	if res, _ := w.ask(token, "GET", "/api", "", "Accept-Encoding", "gzip"); res.Header.Get("Content-Encoding") != "gzip" {
		t.Errorf("the encoding is %q", res.Header.Get("Content-Encoding"))
	}
}

// TestChanges: each change takes effect and is in the audit log with who, from where and by which token.
func TestChanges(t *testing.T) {
	w := newWorld(t)
	token := w.token(controltest.Operator(), deploy.RoleAdmin, "")
	w.want(201, token, "POST", "/api/v1/apps", `{"name":"shop"}`)
	w.want(409, token, "POST", "/api/v1/apps", `{"name":"shop"}`)
	w.want(201, token, "POST", "/api/v1/users", `{"name":"alice"}`)
	w.want(204, token, "PUT", "/api/v1/apps/shop/grants/alice", `{"role":"developer"}`)
	key := `{"keys":"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c alice"}`
	keys := read[api.KeyList](t, w.want(201, token, "POST", "/api/v1/users/alice/keys", key))
	w.want(204, token, "DELETE", "/api/v1/users/alice/keys?fingerprint="+strings.NewReplacer("+", "%2B", "/", "%2F").Replace(keys.Items[0].Fingerprint), "")
	w.want(204, token, "PATCH", "/api/v1/apps/shop/variables", `{"items":[{"name":"URL","value":"s3cret-value"}]}`)
	if got := w.want(200, token, "GET", "/api/v1/apps/shop/variables", ""); strings.Contains(got, "s3cret") || !strings.Contains(got, "URL") {
		t.Errorf("the variables are %s", got)
	}
	w.want(204, token, "DELETE", "/api/v1/apps/shop/variables/URL", "")
	w.want(204, token, "PUT", "/api/v1/apps/shop/freeze", `{"reason":"a holiday"}`)
	w.want(204, token, "DELETE", "/api/v1/apps/shop/freeze?reason=over", "")
	w.deployed(1, "shop", "alice", "x")
	if r := read[api.Regression](t, w.want(200, token, "PUT", "/api/v1/deployments/1/regression", `{"reason":"the cart was empty"}`)); r.Deployment != 1 || r.Reason != "the cart was empty" || r.MarkedAt.IsZero() {
		t.Errorf("the regression is %+v", r)
	}
	res, body := w.ask(token, "POST", "/api/v1/apps/shop/rollback", `{"of":1,"reason":"slow"}`)
	if res.StatusCode != http.StatusAccepted || res.Header.Get("Location") != "/api/v1/deployments/77" {
		t.Errorf("%s, Location %q: %s", res.Status, res.Header.Get("Location"), body)
	}
	w.want(404, token, "POST", "/api/v1/apps/shop/redeploy", `{"of":99}`)
	if got := w.pipeline.again[0].Caller; got.User != deploy.Operator || !got.Admin || got.Actor().Origin != "api" || got.Actor().Type != deploy.ActorToken {
		t.Errorf("who rolls back is %+v", got)
	}
	w.pipeline.run(1, true)
	w.want(202, token, "POST", "/api/v1/deployments/1/cancel", `{}`)
	made := read[api.CreatedToken](t, w.want(201, token, "POST", "/api/v1/tokens", `{"name":"ci","role":"viewer"}`))
	w.want(200, made.Secret, "GET", "/api/v1/apps", "")
	w.want(204, token, "DELETE", "/api/v1/tokens/"+made.Token.ID, "")
	w.want(401, made.Secret, "GET", "/api/v1/apps", "")
	w.want(204, token, "DELETE", "/api/v1/apps/shop/grants/alice", "")
	w.want(204, token, "DELETE", "/api/v1/users/alice", "")
	w.want(204, token, "DELETE", "/api/v1/apps/shop?confirm=shop", "")
	w.want(200, token, "POST", "/api/v1/audit/verification", "")
	w.traced(token)
}

// traced looks for each change in the audit log's events.
func (w *world) traced(token string) {
	w.Helper()
	body := w.want(200, token, "GET", "/api/v1/events?limit=200", "")
	if strings.Contains(body, "s3cret") {
		w.Error("a variable's value is in the events")
	}
	seen := map[string]api.Actor{}
	for _, e := range read[api.EventList](w.TB, body).Items {
		if e.Actor.Origin == "api" {
			seen[e.Type] = e.Actor
		}
	}
	for _, want := range []deploy.EventType{
		deploy.EventAppCreated, deploy.EventUserCreated, deploy.EventGrantSet, deploy.EventKeyAdded, deploy.EventKeyRemoved, deploy.EventVariableSet,
		deploy.EventVariableUnset, deploy.EventTargetFrozen, deploy.EventTargetUnfrozen, deploy.EventRegressionMarked, deploy.EventTokenCreated,
		deploy.EventTokenRevoked, deploy.EventUserRemoved, deploy.EventAppRemoved, deploy.EventSignInFailed, deploy.EventAuditVerified,
	} {
		a, ok := seen[string(want)]
		if !ok || a.IP == "" || !strings.HasPrefix(a.Key, "token:") {
			w.Errorf("%s is recorded with %+v", want, a)
		}
	}
}

// TestBadRequests: what the document does not know is refused and says what is wrong.
func TestBadRequests(t *testing.T) {
	w := newWorld(t)
	w.App("shop")
	token := w.token(controltest.Operator(), deploy.RoleAdmin, "")
	for _, c := range []struct {
		status       int
		method, path string
		body, says   string
	}{
		{400, "GET", "/deployments?ap=shop", "", `no query parameter \"ap\"`},
		{400, "GET", "/deployments?limit=1&limit=2", "", "twice"},
		{400, "GET", "/deployments?limit=0", "", `the query parameter \"limit\" has to be 1 at least`},
		{400, "GET", "/deployments?limit=x", "", "limit"},
		{400, "GET", "/deployments?status=lost", "", `the query parameter \"status\" has to be one of queued running`},
		{400, "GET", "/deployments?since=yesterday", "", `the query parameter \"since\" has to be a date-time`},
		{400, "GET", "/stats?weeks=157", "", `has to be 156 at most`},
		{400, "GET", "/stats?user=alice", "", `no query parameter \"user\"`},
		{404, "GET", "/stats?app=none", "", "no app"},
		{400, "GET", "/apps/Shop", "", `the path parameter \"app\" does not match ^[a-z]`},
		{400, "GET", "/deployments/x", "", "number"},
		{400, "POST", "/apps", `{"name":"x","colour":"red"}`, `property \"colour\" is unsupported`},
		{400, "POST", "/apps", `{`, "body"},
		{400, "POST", "/apps", "", "body"},
		{400, "PUT", "/apps/shop/freeze", `{"reason":""}`, "the body.reason is empty"},
		{400, "PATCH", "/apps/shop/variables", `{"items":[{"name":"lower","value":"s3cret"}]}`, "the body.items.0.name: string doesn't match"},
		{404, "GET", "/nothing", "", "Not Found"},
		{404, "GET", "/deployments/4711", "", "no deployment 4711"},
		{405, "PUT", "/apps", "{}", "Method Not Allowed"},
		{413, "POST", "/apps", strings.Repeat(" ", 2<<20), "Too Large"},
	} {
		res, body := w.ask(token, c.method, "/api/v1"+c.path, c.body)
		if res.StatusCode != c.status || res.Header.Get("Content-Type") != "application/problem+json" || !strings.Contains(body, c.says) || strings.Contains(body, "s3cret") {
			t.Errorf("%s %s: %s %s: %s", c.method, c.path, res.Status, res.Header.Get("Content-Type"), body)
		}
	}
	if p := read[api.Problem](t, w.want(http.StatusNotFound, token, "GET", "/api/v1/apps/none", "")); p.Code != "not_found" || p.Hint == "" || p.Status != 404 {
		t.Errorf("the problem is %+v", p)
	}
}
