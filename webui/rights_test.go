package webui_test

import (
	"net/http"
	"strings"
	"testing"

	"slipway/deploy"
)

// TestRights walks every address: nobody gets anywhere without a session, and to who may read one app alone
// another one does not exist, whatever is asked of it.
func TestRights(t *testing.T) {
	y := newYard(t)
	y.App("shop", "blog")
	y.deployed(1, "shop", "Greet people")
	y.deployed(2, "blog", "Secret plans")
	vera := y.user("vera", deploy.RoleViewer, deploy.Grant{App: "shop", Role: deploy.RoleViewer})
	for _, pattern := range y.site.Patterns() {
		method, path, ok := strings.Cut(pattern, " ")
		if !ok {
			method, path = http.MethodGet, "/nothing"
		}
		path = strings.NewReplacer("{$}", "", "{app}", "blog", "{id}", "aaaaaaaaaa", "{n}", "2", "{stage}", "build").Replace(path)
		if _, to := y.stranger().do(http.StatusSeeOther, method, path, ""); !strings.HasPrefix(to, "/login") {
			t.Errorf("%s leads a stranger to %s", pattern, to)
		}
		if pattern == "POST /logout" || pattern == "POST /audit/verification" {
			continue
		}
		if method == http.MethodPost || strings.Contains(pattern, "{") && path != "/" {
			text, _ := vera.do(http.StatusNotFound, method, path, "reason=x&to=2")
			hasNot(t, text, "Secret plans")
		}
	}
	for _, path := range []string{"/", "/deployments", "/deployments.csv", "/stats", "/audit", "/users", "/help"} {
		hasNot(t, vera.get(http.StatusOK, path), "blog", "Secret plans", "max_push")
	}
	for _, path := range []string{"/deployments?app=blog", "/deployments.csv?app=blog", "/stats?app=blog", "/audit?app=blog", "/audit?deployment=2"} {
		hasNot(t, vera.get(http.StatusNotFound, path), "Secret plans")
	}
	vera.get(http.StatusForbidden, "/audit.jsonl")
	vera.post(http.StatusForbidden, "/audit/verification")
	hasNot(t, vera.get(http.StatusOK, "/audit"), "Verify now", "Export")
	for _, path := range []string{"/apps/shop/rollback", "/apps/shop/redeploy", "/apps/shop/freeze", "/apps/shop/unfreeze"} {
		vera.post(http.StatusForbidden, path, "reason", "x", "to", "1")
	}
	if asked := y.shore.asked(); len(asked) != 0 {
		t.Errorf("done was %+v", asked)
	}
	text := vera.get(http.StatusOK, "/apps/shop")
	hasNot(t, text, "Freeze", "Roll back", "Redeploy")
}
