package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/deploy"
	"slipway/deploy/control/controltest"
)

// fill are path parameters that name what is there.
func fill() map[string]string {
	return map[string]string{"app": "shop", "user": "alice", "name": "URL", "number": "1", "stage": "build", "token": "abcdefghij"}
}

// TestNowhereWithoutAToken: ten thousand requests, to every operation of the document, get in nowhere.
func TestNowhereWithoutAToken(t *testing.T) {
	w := newWorld(t)
	w.App("shop")
	alice := w.user("alice", deploy.RoleAdmin)
	bob := w.user("bob", deploy.RoleAdmin)
	w.deployed(1, "shop", "alice", "x")
	good := w.token(controltest.Operator(), deploy.RoleAdmin, "")
	revoked, removed := w.token(alice, deploy.RoleAdmin, ""), w.token(bob, deploy.RoleAdmin, "")
	_, err := w.Control.RevokeToken(t.Context(), controltest.Operator(), strings.Split(revoked, "_")[1])
	w.Must(err)
	w.Must(w.Control.RemoveUser(t.Context(), controltest.Operator(), "bob"))
	w.user("bob", deploy.RoleAdmin) // another one
	_, expired, err := w.Control.CreateToken(t.Context(), controltest.Operator(), deploy.NewToken{Name: "old", Limit: deploy.Limit{Role: deploy.RoleAdmin}, Expires: time.Nanosecond})
	w.Must(err)
	foreign := newWorld(t)
	bad := []string{
		"", "x", revoked, removed, expired, foreign.token(controltest.Operator(), deploy.RoleAdmin, ""), good[:len(good)-1], good + "a", good[:len(good)-1] + "9",
		strings.ToUpper(good), strings.Replace(good, "slipway_", "", 1), "slipway__", "' OR 1=1 --", strings.Repeat("a", 4000),
	}
	operations := append(w.operationsOf(fill()), [2]string{"GET", "/api"}, [2]string{"GET", "/api/v1/openapi.yaml"}, [2]string{"GET", "/api/v1/nothing"}, [2]string{"TRACE", "/api/v1/apps"})
	before := w.Recorder.Head().Sequence
	var asked sync.WaitGroup
	slots := make(chan struct{}, 8)
	const requests = 10_000
	for i := range requests {
		op, token := operations[i%len(operations)], bad[i/len(operations)%len(bad)]
		slots <- struct{}{}
		asked.Go(func() {
			defer func() { <-slots }()
			r, err := http.NewRequestWithContext(t.Context(), op[0], w.server.URL+op[1], strings.NewReader(`{"name":"x","reason":"x","role":"viewer"}`))
			if err != nil {
				t.Error(err)
				return
			}
			r.Header.Set("Content-Type", "application/json")
			if token != "" {
				r.Header.Set("Authorization", "Bearer "+token)
			}
			res, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			if res.StatusCode != http.StatusUnauthorized && res.StatusCode != http.StatusTooManyRequests {
				t.Errorf("%s %s with %.20q: %s", op[0], op[1], token, res.Status)
			}
			if res.StatusCode == http.StatusUnauthorized && !strings.HasPrefix(res.Header.Get("WWW-Authenticate"), "Bearer") {
				t.Errorf("%s %s: 401 without WWW-Authenticate", op[0], op[1])
			}
		})
	}
	asked.Wait()
	w.want(200, good, "GET", "/api/v1/apps/shop", "") // who has a token is not kept out by others
	// Nothing was changed. Every attempt with a token is recorded, in a few events, which do not fill the disk.
	w.Stop()
	if recorded := w.Recorder.Head().Sequence - before; recorded == 0 || recorded > 100 {
		t.Errorf("%d events were recorded", recorded)
	}
	failed, attempts := 0, 0
	for i := range requests {
		if bad[i/len(operations)%len(bad)] != "" {
			attempts++
		}
	}
	events, err := w.Store.Events(t.Context(), deploy.EventFilter{Type: deploy.EventSignInFailed, Limit: 1000})
	w.Must(err)
	for _, e := range events {
		several := deploy.SignInData{Count: 1}
		if e.Data != nil {
			w.Must(json.Unmarshal(e.Data, &several))
		}
		failed += several.Count
	}
	if failed != attempts {
		t.Errorf("%d failed sign-ins are recorded of %d", failed, attempts)
	}
}

// TestForeignApp: to a viewer of one app there is no other, on any operation.
func TestForeignApp(t *testing.T) {
	w := newWorld(t)
	w.App("shop")
	w.App("blog")
	vera := w.user("vera", deploy.RoleViewer)
	w.user("alice", deploy.RoleDeveloper)
	w.Must(w.Control.Grant(t.Context(), controltest.Operator(), deploy.Grant{App: "blog", User: "vera", Role: deploy.RoleViewer}))
	w.deployed(1, "shop", "alice", "a zebra in the shop")
	w.deployed(2, "blog", "alice", "a post")
	w.pipeline.waiting = []deploy.Waiting{{Number: 3, Target: deploy.Target{App: "shop"}, User: "alice"}}
	w.Must(w.Control.Freeze(t.Context(), controltest.Operator(), "shop", "a zebra"))
	for name, token := range map[string]string{
		"vera":                 w.token(vera, deploy.RoleViewer, ""),
		"vera's blog token":    w.token(vera, deploy.RoleDeveloper, "blog"),
		"the operator's token": w.token(controltest.Operator(), deploy.RoleAdmin, "blog"),
	} {
		for _, op := range w.operationsOf(fill()) {
			path := op[1]
			if strings.HasSuffix(path, "/keys") && op[0] == "DELETE" {
				path += "?fingerprint=SHA256:x"
			}
			if path == "/api/v1/apps/shop" && op[0] == "DELETE" {
				path += "?confirm=shop"
			}
			if op[0] == "POST" && strings.HasSuffix(path, "/tokens") {
				continue // it names no app
			}
			res, body := w.ask(token, op[0], path, bodyOf(op))
			if strings.Contains(body, "zebra") || strings.Contains(strings.ReplaceAll(body, `there is no app \"shop\"`, ""), `"shop"`) {
				t.Errorf("%s: %s %s tells of shop: %s", name, op[0], path, body)
			}
			about := strings.Contains(path, "/shop") || strings.Contains(path, "/deployments/1")
			if about && res.StatusCode != http.StatusNotFound && res.StatusCode != http.StatusForbidden {
				t.Errorf("%s: %s %s: %s: %s", name, op[0], path, res.Status, body)
			}
			// Where the answer is "forbidden" it must be so for what is not there, too.
			if about && res.StatusCode == http.StatusForbidden {
				other := strings.ReplaceAll(strings.ReplaceAll(path, "shop", "none"), "/deployments/1", "/deployments/4711")
				if res, _ := w.ask(token, op[0], other, bodyOf(op)); res.StatusCode != http.StatusForbidden {
					t.Errorf("%s: %s %s: 403, and %s where there is nothing", name, op[0], path, res.Status)
				}
			}
		}
		w.want(404, token, "GET", "/api/v1/deployments?app=shop", "")
		w.want(404, token, "GET", "/api/v1/events?app=shop", "")
		w.want(404, token, "GET", "/api/v1/stats?app=shop", "")
		w.want(404, token, "GET", "/api/v1/events?deployment=1", "")
		w.want(200, token, "GET", "/api/v1/apps/blog", "")
		w.want(200, token, "GET", "/api/v1/deployments/2/logs/build", "")
	}
}

// bodyOf is a body that fits an operation.
func bodyOf(op [2]string) string {
	switch {
	case op[0] == "GET" || op[0] == "DELETE" || strings.HasSuffix(op[1], "/verification"):
		return ""
	case strings.HasSuffix(op[1], "/variables"):
		return `{"items":[{"name":"A","value":"b"}]}`
	case strings.Contains(op[1], "/grants/"):
		return `{"role":"viewer"}`
	case strings.HasSuffix(op[1], "/keys"):
		return `{"keys":"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c a"}`
	case strings.HasSuffix(op[1], "/apps") || strings.HasSuffix(op[1], "/users"):
		return `{"name":"more"}`
	}
	return `{"reason":"x"}`
}

// TestTokenFollowsItsUser: a token has the rights that its user has when it is used.
func TestTokenFollowsItsUser(t *testing.T) {
	w := newWorld(t)
	w.App("shop")
	alice := w.user("alice", deploy.RoleDeveloper)
	token := w.token(alice, deploy.RoleDeveloper, "")
	w.want(404, token, "GET", "/api/v1/apps/shop", "")
	grant := func(role deploy.Role) {
		w.Must(w.Control.Grant(t.Context(), controltest.Operator(), deploy.Grant{App: "shop", User: "alice", Role: role}))
	}
	grant(deploy.RoleViewer)
	w.want(200, token, "GET", "/api/v1/apps/shop", "")
	w.want(403, token, "PATCH", "/api/v1/apps/shop/variables", `{"items":[{"name":"A","value":"b"}]}`)
	grant(deploy.RoleDeveloper)
	w.want(204, token, "PATCH", "/api/v1/apps/shop/variables", `{"items":[{"name":"A","value":"b"}]}`)
	w.want(403, token, "PUT", "/api/v1/apps/shop/freeze", `{"reason":"x"}`)
	less := w.token(alice, deploy.RoleViewer, "shop")
	w.want(403, less, "PATCH", "/api/v1/apps/shop/variables", `{"items":[{"name":"A","value":"b"}]}`)
	w.want(403, less, "POST", "/api/v1/tokens", `{"name":"more","role":"developer"}`)
	w.want(403, less, "POST", "/api/v1/users/alice/keys", bodyOf([2]string{"POST", "/keys"}))
	w.want(403, token, "POST", "/api/v1/tokens", `{"name":"more","role":"admin"}`)
	grant("")
	w.want(404, token, "GET", "/api/v1/apps/shop", "")
	w.Must(w.Control.RemoveUser(t.Context(), controltest.Operator(), "alice"))
	w.want(401, token, "GET", "/api/v1/me", "")
}
