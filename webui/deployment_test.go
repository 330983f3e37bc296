package webui

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"slipway/deploy"
)

// rejected is a deployment whose tests failed.
func rejected(t *testing.T) *world {
	w := newWorld(t)
	w.begin("checkout")
	w.begin("build")
	w.begin("test.unit")
	w.write(t, "build.log", "go build\n")
	w.write(t, "test.unit.log", "=== RUN TestTotal\n\x1b[31m--- FAIL: TestTotal\x1b[0m\n<script>alert(1)</script>\n")
	w.write(t, "transcript.log", "shop  deployment 43\nrejected: it failed\n")
	w.end("checkout", deploy.OutcomePass)
	w.end("build", deploy.OutcomePass)
	w.end("test.unit", deploy.OutcomeFail)
	w.commits = deploy.History{Commits: []deploy.CommitOf{{ID: oid("f3f2c9e1"), Commit: deploy.Commit{Subject: "Keep the cart"}}}, More: true}
	w.diff = deploy.Diff{Files: []deploy.FileChange{{Path: "cart.go", OldPath: "cart.go", Added: 1, Deleted: 2, Patch: "@@ -1,2 +1 @@\n-a\n-b\n+<b>c</b>\n"}, {Path: "logo.png", Binary: true}}}
	w.reject(&deploy.Rejection{Code: deploy.CodeTest, Message: `test set "unit" failed (exit status 1)`, Hint: "run it with make test", Tail: []string{"--- FAIL: TestTotal"}}, "test.unit")
	return w
}

// A page of a rejected deployment says what its pusher read, and shows first why.
func TestRejectedDeployment(t *testing.T) {
	w := rejected(t)
	body := page(t, w.serve(t).URL+"/deployments/43")
	for _, want := range []string{
		`Rejected: test set &#34;unit&#34; failed (exit status 1). Production stayed at 1b2c3d4 (deployment 41).`,
		`<p class="hint">run it with make test</p>`, `<pre>--- FAIL: TestTotal`,
		`<details class="log" id="test.unit" open data-page="/deployments/43/log/test.unit">`, `<details class="log" id="build" data-page`,
		`<li id="test.unit:2"><a href="#test.unit:2" aria-label="Line 2">2</a><span><span class="f1">--- FAIL: TestTotal</span></span></li>`,
		`&lt;script&gt;alert(1)&lt;/script&gt;`, `There are more; these are the newest.`, `2 files changed, 1 line added, 2 removed`,
		`&#43;&lt;b&gt;c&lt;/b&gt;`, `logo.png (new)`, `rejected: it failed`, `<code>deployment.rejected</code>`, `action="/apps/shop/redeploy"><input type="hidden" name="of" value="43">`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	for _, not := range []string{"data-live", "data-follow", "/cancel\"", "/regression\"", "data-elapsed"} {
		if strings.Contains(body, not) {
			t.Errorf("the page of what has ended holds %s", not)
		}
	}
	if unit, build := strings.Index(body, `id="test.unit"`), strings.Index(body, `id="build"`); unit > build {
		t.Error("the log of what failed is not the first")
	}
	w.change(func() {
		w.role, w.gone = deploy.RoleViewer, deploy.Reject(deploy.CodeNotFound, "revision f3f2c9e is not kept any more")
	})
	body = page(t, w.serve(t).URL+"/deployments/43")
	if strings.Contains(body, "redeploy") || !strings.Contains(body, "Revision f3f2c9e is not kept any more.") {
		t.Errorf("a viewer's page:\n%s", body)
	}
}

func TestSentences(t *testing.T) {
	site := &Site{Config: Config{Places: places{}}}
	now := at("10:00:00")
	base := deploy.Deployment{App: "shop", Ref: "refs/heads/main", Old: oid("1b2c3d4e5f"), New: oid("f3f2c9e1"), Previous: 41, Reason: "web did not answer"}
	for want, change := range map[string]func(*story){
		"It waits for its turn.": func(t *story) { t.Status = deploy.StatusQueued },
		"In work: it serves, and is being watched.": func(t *story) {
			t.Status, t.stages = deploy.StatusRunning, []deploy.StageRecord{{Stage: deploy.Stage{Name: deploy.StageMonitor}}}
		},
		"In work: test set unit runs.": func(t *story) {
			t.Status, t.stages = deploy.StatusRunning, []deploy.StageRecord{{Stage: deploy.Stage{Name: "test.unit"}}}
		},
		"Accepted: http://shop.localhost:8000 got f3f2c9e, and main moved to it.":                               func(t *story) { t.Status, t.RefMoved = deploy.StatusAccepted, true },
		"Accepted: http://shop.localhost:8000 got f3f2c9e, and main is about to move.":                          func(t *story) { t.Status = deploy.StatusAccepted },
		"Rejected: web did not answer. Production went back to 1b2c3d4 (deployment 41).":                        func(t *story) { t.Status, t.SwitchedAt, t.RolledBackAt = deploy.StatusRejected, now, now },
		"Errored: web did not answer. Whether production went back to 1b2c3d4 (deployment 41) is not recorded.": func(t *story) { t.Status, t.SwitchedAt = deploy.StatusErrored, now },
		"Canceled: web did not answer. Nothing was in production before it.":                                    func(t *story) { t.Status, t.Previous, t.Old = deploy.StatusCanceled, 0, oid("0") },
	} {
		s := &story{Deployment: base}
		change(s)
		if got := site.sentence(s); got != want {
			t.Errorf("said %q, want %q", got, want)
		}
	}
}

// What a reader must not see is not there; what is asked wrongly is told.
func TestProblems(t *testing.T) {
	w := rejected(t)
	server := w.serve(t)
	for address, want := range map[string]int{
		"/deployments/44": 404, "/deployments/x": 404, "/deployments/-1": 404, "/deployments/43/log/nothing": 404, "/deployments/43/log/nothing.txt": 404,
		"/deployments/43/log/build?from=x": 200, "/deployments/43/log/checkout": 200, "/deployments/43/log/checkout.txt": 404,
		"/deployments/43/log/build?block=1": 200, "/deployments/43/log/build?block=2": 400, "/deployments/43/log/build?block=x": 400, "/deployments/43/log/build?block=201": 404,
		"/deployments/43/log/build?block=9223372036854775601": 404, "/deployments/43/log/checkout?block=1": 404, "/deployments/44/log/build?block=1": 404,
	} {
		if res, body := answer(t, request(t, http.MethodGet, server.URL+address, nil)); res.StatusCode != want {
			t.Errorf("%s: %s\n%s", address, res.Status, body)
		}
	}
	stranger := request(t, http.MethodGet, server.URL+"/deployments/43", nil)
	stranger.Header.Del("Cookie")
	if res, _ := answer(t, stranger); res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/login?next=%2Fdeployments%2F43" {
		t.Errorf("a stranger: %s to %s", res.Status, res.Header.Get("Location"))
	}
}

// Each action is a form that leads to where its effect is seen.
func TestActions(t *testing.T) {
	w := rejected(t)
	server := w.serve(t)
	for _, c := range []struct {
		action   string
		form     url.Values
		status   int
		location string
		done     string
	}{
		{"/deployments/43/cancel", url.Values{"reason": {"not now"}}, 303, "/deployments/43", "cancel 43 not now"},
		{"/apps/shop/redeploy", url.Values{"of": {"43"}, "reason": {"again"}}, 303, "/deployments/77", "shop redeploy of 43 again"},
		{"/deployments/43/redeploy", url.Values{"reason": {"again"}}, 404, "", ""},
		{"/deployments/43/regression", url.Values{"reason": {"prices"}, "fixed_by": {" 50 "}}, 303, "/deployments/43", "regression 43 prices 50"},
		{"/deployments/43/regression", url.Values{"reason": {"prices"}}, 303, "/deployments/43", "regression 43 prices 0"},
		{"/deployments/43/regression", url.Values{"fixed_by": {"fifty"}}, 400, "", ""},
		{"/deployments/43/cancel", url.Values{"reason": {strings.Repeat("x", maxForm)}}, 400, "", ""},
		{"/apps/shop/redeploy", url.Values{"of": {"43"}, "reason": {strings.Repeat("x", maxForm)}}, 400, "", ""},
	} {
		w.change(func() { w.done = nil })
		res, body := answer(t, request(t, http.MethodPost, server.URL+c.action, c.form))
		if res.StatusCode != c.status || res.Header.Get("Location") != c.location || strings.Join(w.done, ";") != c.done {
			t.Errorf("%s: %s to %q, done %q\n%s", c.action, res.Status, res.Header.Get("Location"), w.done, body)
		}
	}
	foreign := request(t, http.MethodPost, server.URL+"/deployments/43/cancel", url.Values{})
	foreign.Header.Set("Sec-Fetch-Site", "cross-site")
	if res, _ := answer(t, foreign); res.StatusCode != http.StatusForbidden {
		t.Errorf("a form of another site: %s", res.Status)
	}
}

// A log's page shows a window of it, and all of it or a part can be had as text.
func TestLogPage(t *testing.T) {
	w := rejected(t)
	var b strings.Builder
	for i := range 12_000 {
		fmt.Fprintf(&b, "line %d\n", i+4)
	}
	w.write(t, "test.unit.log", b.String())
	address := w.serve(t).URL + "/deployments/43/log/test.unit"
	body := page(t, address+"?from=6001")
	for _, want := range []string{`id="test.unit:6001"`, `id="test.unit:11000"`, `lines 6001 to 11000 of 12003`, `test.unit?from=1001"`, `test.unit?from=11001"`} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if strings.Contains(body, `id="test.unit:6000"`) || strings.Contains(body, `id="test.unit:11001"`) {
		t.Error("the page shows more")
	}
	r := request(t, http.MethodGet, address+".txt", nil)
	r.Header.Set("Range", "bytes=4-11")
	res, part := answer(t, r)
	if res.StatusCode != http.StatusPartialContent || part != "RUN Test" || res.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("a part: %s %q", res.Status, part)
	}
	if body := page(t, strings.TrimSuffix(address, "/log/test.unit")); !strings.Contains(body, `11,000 lines above`) || !strings.Contains(body, `<ol id="test.unit/10801"></ol>`) {
		t.Error("the deployment's page does not tell of the lines above")
	}
	if got := page(t, address+"?block=401"); !strings.HasPrefix(got, `<li id="test.unit:401">`) || strings.Count(got, "<li") != 200 {
		t.Errorf("a block of it: %.200s", got)
	}
}

// The watch is drawn with the limits that its checks knew, also where it took hours.
func TestMeasurements(t *testing.T) {
	w := rejected(t)
	w.begin(deploy.StageMonitor)
	start := at("10:00:00")
	var b strings.Builder
	for i := range 3 * 60 * 60 {
		m := deploy.Measurement{At: start.Add(time.Duration(i) * time.Second), Checks: []deploy.Check{{Name: "memory", Outcome: deploy.OutcomePass, Detail: "fine"}},
			Readings: []deploy.Reading{{Check: "memory", Value: float64(i) * (1 << 20) / 100, Limit: 256 << 20}, {Check: "probe", Value: 0.012}, {Check: "later", Value: 1}}}
		if err := json.NewEncoder(&b).Encode(m); err != nil {
			t.Fatal(err)
		}
	}
	w.write(t, "monitor.jsonl", b.String()+"{broken\n"+`{"half": `)
	body := page(t, w.serve(t).URL+"/deployments/43")
	doc, err := html.Parse(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode || n.Data != "svg" {
			continue
		}
		for _, a := range n.Attr {
			if a.Key == "aria-label" && strings.Contains(body, "<h2>"+a.Val+"</h2>") {
				names = append(names, a.Val)
			}
		}
	}
	if d := cmp.Diff([]string{"Memory", "Time of a probe"}, names); d != "" {
		t.Errorf("charts: %s", d)
	}
	for _, want := range []string{"limit 256 MiB", "<td>fine</td>", "<td class=\"number\">108 MiB</td>", "12 ms"} {
		if !strings.Contains(body, want) && !strings.Contains(body, strings.Replace(want, "<td>", `<td class="wide">`, 1)) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if len(body) > 60<<10 {
		t.Errorf("three hours of measurements make a page of %d bytes", len(body))
	}
}
