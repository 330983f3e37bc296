package webui_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/deploy"
	"slipway/deploy/control/controltest"
)

func TestProduction(t *testing.T) {
	y := newYard(t)
	y.App("shop", "blog", "intern")
	boss := y.browser("")
	y.deployed(1, "shop", "Greet <b>people</b>")
	y.queued(2, "shop", "Keep the cart")
	y.queued(3, "shop", "Translate the checkout")
	shop := deploy.Target{App: "shop", Environment: deploy.Production}
	y.shore.waiting = []deploy.Waiting{
		{Number: 2, Target: shop, User: "bob", Stage: "test.unit", Since: time.Now()},
		{Number: 3, Target: shop, User: "carol", Place: 1, Since: time.Now()},
		{Number: 4, Target: shop, User: "dave", Place: 2, Since: time.Now()}, // not recorded yet
	}
	steps := make([]int64, 180)
	steps[179] = 1204
	y.shore.traffic = map[deploy.AppName]deploy.RecentTraffic{"shop": {Step: 10 * time.Second, Requests: steps, Errors: steps}, "blog": {Step: 10 * time.Second, Requests: make([]int64, 180), Errors: make([]int64, 180)}}
	boss.post(http.StatusSeeOther, "/apps/blog/freeze", "reason", "the database is being moved")
	page := boss.get(http.StatusOK, "/")
	has(t, page, "Greet &lt;b&gt;people&lt;/b&gt;", "by Alice Meyer", "release 1", "restarted 4 times, last: exit status 1", "42 MiB",
		"1,204 requests, 1,204 errors in 30 min", "no requests in 30 min", "the database is being moved", "Nothing serves yet",
		"Keep the cart", "bob", "place 1", "Translate the checkout", "place 2", "dave")
	_, row, _ := strings.Cut(page, "Keep the cart")
	row, _, _ = strings.Cut(row, "</li></ol>")
	if got := regexp.MustCompile(`<li class="(\w+)">`).FindAllStringSubmatch(row, 6); len(got) != 6 || got[1][1] != "pass" || got[2][1] != "run" || got[3][1] != "idle" {
		t.Errorf("the strip is %v", got)
	}
	has(t, page, "3 apps · 1 in work, 2 waiting · ", "look at blog (frozen), shop (1 instance down)")
	// What cannot be looked at is said, and hides nothing else.
	y.shore.fail = errors.New("no engine")
	has(t, boss.get(http.StatusOK, "/"), "production could not be looked at", "the database is being moved")
	boss.get(http.StatusInternalServerError, "/apps/shop")
}

// TestProductionLive: an open page is told what changes of the apps that its reader may see, and after a break
// what it missed.
func TestProductionLive(t *testing.T) {
	y := newYard(t)
	y.App("shop", "blog")
	y.deployed(1, "shop", "Open the shop")
	boss := y.browser("")
	vera := y.user("vera", deploy.RoleViewer, deploy.Grant{App: "shop", Role: deploy.RoleViewer})
	live := html.UnescapeString(regexp.MustCompile(`data-live="([^"]*)"`).FindStringSubmatch(vera.get(http.StatusOK, "/"))[1])
	// told returns the parts that come until one holds a word, and the last event's id.
	told := func(last, word string) (parts []string, id string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, y.server.URL+live, nil)
		y.Must(err)
		r.Header.Set("Last-Event-ID", last)
		client := *vera.client
		client.Timeout = 30 * time.Second
		res, err := client.Do(r)
		y.Must(err)
		defer res.Body.Close()
		for in := bufio.NewScanner(res.Body); in.Scan(); {
			line := in.Text()
			if after, ok := strings.CutPrefix(line, "id: "); ok {
				id = after
			}
			if after, ok := strings.CutPrefix(line, "data: "); ok {
				parts = append(parts, after)
				if strings.Contains(after, word) {
					return parts, id
				}
			}
		}
		t.Fatalf("the stream ended before %q; it was %q", word, parts)
		return nil, ""
	}
	boss.post(http.StatusSeeOther, "/apps/blog/freeze", "reason", "secret plans")
	boss.post(http.StatusSeeOther, "/apps/shop/freeze", "reason", "closed on Sunday")
	parts, id := told("", "closed on Sunday")
	if len(parts) != 2 || !strings.HasPrefix(parts[0], `{"id":"summary"`) || !strings.HasPrefix(parts[1], `{"id":"app-shop"`) {
		t.Errorf("told was %q", parts)
	}
	boss.post(http.StatusSeeOther, "/apps/shop/unfreeze") // while the page is away
	boss.post(http.StatusSeeOther, "/apps/shop/freeze", "reason", "closed on Monday")
	parts, _ = told(id, "closed on Monday")
	if hasNot(t, strings.Join(parts, "\n"), "secret plans", "blog"); len(parts) != 1 { // it was frozen before, too
		t.Errorf("told after a break: %q", parts)
	}
}

// TestObserved: while production is looked at anyway, a reader does not wait for it, but for what is new.
func TestObserved(t *testing.T) {
	y := newYard(t)
	y.App("shop")
	y.deployed(1, "shop", "Open the shop")
	boss := y.browser("")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- y.Control.Observe(ctx) }()
	defer func() { cancel(); <-ended }()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	seen := false
	for range 1000 {
		before := y.shore.looked()
		has(t, boss.get(http.StatusOK, "/"), "restarted 4 times")
		if seen = y.shore.looked() == before; seen {
			break
		}
		<-tick.C
	}
	if !seen {
		t.Error("every reader has production looked at")
	}
	y.deployed(2, "shop", "Greet people")
	before := y.shore.looked()
	has(t, boss.get(http.StatusOK, "/"), "release 2")
	if y.shore.looked() == before {
		t.Error("the instances of the release before are shown")
	}
}

func TestApp(t *testing.T) {
	y := newYard(t)
	y.App("shop")
	y.deployed(1, "shop", "Open the shop")
	y.deployed(2, "shop", "Greet people")
	_, err := y.Control.SetVariables(t.Context(), controltest.Operator(), "shop", deploy.Variables{{Name: "STRIPE_KEY", Value: "sk_live_1234"}})
	y.Must(err)
	alice := y.user("alice", deploy.RoleDeveloper, deploy.Grant{App: "shop", Role: deploy.RoleDeveloper})
	page := alice.get(http.StatusOK, "/apps/shop")
	has(t, page, "ssh://host:2222/shop", "Roll back to 1", "Open the shop", "STRIPE_KEY", "Redeploy")
	hasNot(t, page, "sk_live_1234", "Roll back to 2", "Freeze")

	alice.post(http.StatusBadRequest, "/apps/shop/rollback", "to", "1") // without a reason
	alice.post(http.StatusBadRequest, "/apps/shop/rollback", "to", "x", "reason", "prices")
	if to := alice.post(http.StatusSeeOther, "/apps/shop/rollback", "to", "1", "reason", "prices were wrong"); to != "/deployments/77" {
		t.Errorf("a roll back leads to %s", to)
	}
	has(t, alice.get(http.StatusOK, "/apps/shop"), "the roll back of shop has begun as deployment 77")
	alice.post(http.StatusSeeOther, "/apps/shop/redeploy")
	asked := y.shore.asked()
	if len(asked) != 2 {
		t.Fatalf("asked was %+v", asked)
	}
	if a := asked[0]; a.Again != (deploy.Again{Kind: deploy.AgainRollback, Of: 1, Reason: "prices were wrong"}) || a.Caller.User != "alice" || !strings.HasPrefix(a.Caller.Fingerprint, "session:") {
		t.Errorf("the roll back was %+v", a)
	}
	if a := asked[1]; a.Again != (deploy.Again{Kind: deploy.AgainRedeploy, Of: 2}) {
		t.Errorf("the redeployment was %+v", a)
	}
	boss := y.browser("")
	boss.post(http.StatusBadRequest, "/apps/shop/freeze")
	boss.post(http.StatusSeeOther, "/apps/shop/freeze", "reason", "closed on Sunday")
	has(t, boss.get(http.StatusOK, "/apps/shop"), "closed on Sunday", "Unfreeze", "takes no deployments")
	boss.post(http.StatusSeeOther, "/apps/shop/unfreeze")
	hasNot(t, boss.get(http.StatusOK, "/apps/shop"), "closed on Sunday")
}

// TestHistory pages through a list in both directions by its own links.
func TestHistory(t *testing.T) {
	y := newYard(t)
	y.App("shop")
	for n := range 120 {
		subject := fmt.Sprintf("Change %d", n+1)
		if n == 119 {
			subject = "=SUM(A1)"
		}
		y.queued(deploy.Number(n+1), "shop", subject)
	}
	boss := y.browser("")
	numbers := func(page string) (all []string) {
		for _, m := range regexp.MustCompile(`<td class="number tight"><a href="/deployments/(\d+)">`).FindAllStringSubmatch(page, -1) {
			all = append(all, m[1])
		}
		return all
	}
	link := func(page, rel string) string {
		m := regexp.MustCompile(`<a rel="` + rel + `" href="([^"]*)"`).FindStringSubmatch(page)
		if m == nil {
			return ""
		}
		return strings.ReplaceAll(m[1], "&amp;", "&")
	}
	page, path := "", "/deployments?app=shop&text=change"
	page = boss.get(http.StatusOK, "/deployments?app=shop&status=queued")
	if got := numbers(page); len(got) != 50 || got[0] != "120" || link(page, "prev") != "" {
		t.Errorf("the first page is %v, before it is %q", got, link(page, "prev"))
	}
	has(t, page, "/api/v1/deployments?app=shop&amp;status=queued", "/deployments.csv?app=shop&amp;status=queued")
	var seen []string
	var pages []string
	for path != "" {
		page = boss.get(http.StatusOK, path)
		seen, pages, path = append(seen, numbers(page)...), append(pages, page), link(page, "next")
	}
	if len(seen) != 119 || seen[0] != "119" || seen[118] != "1" {
		t.Errorf("paging down shows %d deployments: %v", len(seen), seen)
	}
	for i := len(pages) - 2; i >= 0; i-- {
		page = boss.get(http.StatusOK, link(page, "prev"))
		if got, want := numbers(page), numbers(pages[i]); !slices.Equal(got, want) {
			t.Errorf("paging up to page %d shows %v, want %v", i+1, got, want)
		}
	}
	if link(page, "prev") != "" {
		t.Error("there is a page before the first one")
	}
	for _, bad := range []string{"status=x", "since=yesterday", "before=0", "after=x", "revision=aaa"} {
		has(t, boss.get(http.StatusBadRequest, "/deployments?"+bad), "No such filter")
		boss.get(http.StatusBadRequest, "/deployments.csv?"+bad)
	}
	rows, err := csv.NewReader(strings.NewReader(boss.get(http.StatusOK, "/deployments.csv?app=shop"))).ReadAll()
	if err != nil || len(rows) != 121 || rows[1][0] != "120" || rows[1][7] != "'=SUM(A1)" || rows[120][7] != "Change 1" {
		t.Errorf("as CSV: %d rows, error %v", len(rows), err)
	}
	page = boss.get(http.StatusOK, "/deployments?revision=+AAAA")
	if got := numbers(page); len(got) != 50 || !strings.Contains(link(page, "next"), "revision=") {
		t.Errorf("of a revision that was shortened the page is %v, the next %q", got, link(page, "next"))
	}
	has(t, page, `name="revision" value=" AAAA"`, "/api/v1/deployments?revision=aaaa")
	if got := numbers(boss.get(http.StatusOK, "/deployments?revision=aaab")); len(got) != 0 {
		t.Errorf("of a revision that nobody pushed there are %v", got)
	}
	today := time.Now().UTC().Format(time.DateOnly)
	if got := numbers(boss.get(http.StatusOK, "/deployments?since="+today+"&until="+today)); len(got) != 50 {
		t.Errorf("today shows %d deployments", len(got))
	}
	if got := numbers(boss.get(http.StatusOK, "/deployments?until=2020-01-01")); len(got) != 0 {
		t.Errorf("long ago shows %d deployments", len(got))
	}
}

// TestVerification: an admin has the audit log read from its page, which tells what was found.
func TestVerification(t *testing.T) {
	y := newYard(t)
	y.App("shop")
	y.deployed(1, "shop", "Open the shop")
	boss := y.browser("")
	has(t, boss.get(http.StatusOK, "/audit"), "never verified", "Verify now")
	verify := func() string {
		if to := boss.post(http.StatusSeeOther, "/audit/verification"); to != "/audit" {
			t.Errorf("a verification leads to %s", to)
		}
		return boss.get(http.StatusOK, "/audit")
	}
	head := y.Recorder.Head().Sequence
	has(t, verify(), fmt.Sprintf("%d events in 1 file were read, up to %[1]d, and no line was changed", head), fmt.Sprintf("up to %d</dd>", head))

	files, err := filepath.Glob(filepath.Join(y.Layout.Audit(), "*.jsonl"))
	y.Must(err)
	whole, err := os.ReadFile(files[0])
	y.Must(err)
	y.Must(os.WriteFile(files[0], bytes.Replace(whole, []byte(`"shop"`), []byte(`"ship"`), 1), 0o600))
	page := verify()
	has(t, page, "Not as it was written:", "not as it was written: ", `<ul class="findings"><li>`, filepath.Base(files[0]))
	hasNot(t, page, "no line was changed")
	hasNot(t, boss.get(http.StatusOK, "/audit"), "Not as it was written:") // told once; the state stays
}

// TestAuditTimes: the filter's moments are in the address, in the form, and in the links to what is beside.
func TestAuditTimes(t *testing.T) {
	y := newYard(t)
	y.App("shop")
	boss := y.browser("")
	hour := time.Now().UTC().Add(-time.Hour).Format("2006-01-02T15:04")
	later := time.Now().UTC().Add(time.Hour).Format("2006-01-02T15:04")
	page := boss.get(http.StatusOK, "/audit?since="+hour+"&until="+later)
	has(t, page, "app.created", fmt.Sprintf(`name="since" value="%s"`, hour), fmt.Sprintf(`name="until" value="%s"`, later), `href="/audit.jsonl?since=`+url.QueryEscape(hour))
	hasNot(t, boss.get(http.StatusOK, "/audit?since="+later), "<code>app.created")
	hasNot(t, boss.get(http.StatusOK, "/audit?until="+hour), "<code>app.created")
	day := time.Now().UTC().Format(time.DateOnly)
	has(t, boss.get(http.StatusOK, "/audit?since="+day), "<code>app.created", fmt.Sprintf(`name="since" value="%sT00:00"`, day))
	has(t, boss.get(http.StatusBadRequest, "/audit?since=noon"), "is no day such as")
}

func TestOtherPages(t *testing.T) {
	y := newYard(t)
	y.App("shop")
	y.deployed(1, "shop", "Open the shop")
	y.user("bob", deploy.RoleDeveloper, deploy.Grant{App: "shop", Role: deploy.RoleDeveloper})
	boss := y.browser("")
	page := boss.get(http.StatusOK, "/stats?weeks=2&app=shop")
	has(t, page, "Deployments a day", "Share of rejections", "Time to the verdict", "Rejections by stage", "Regressions, by week", "The numbers as a table", "rolled back")
	if charts, tables := strings.Count(page, `<svg class="chart bars`), strings.Count(page, `<details class="table" id="table-`); charts != 5 || tables != charts {
		t.Errorf("%d charts have %d tables", charts, tables)
	}
	for _, o := range []string{"✓</text></svg> accepted", "✗</text></svg> rejected at the gate", "↩</text></svg> rolled back", "!</text></svg> errored or interrupted", "–</text></svg> canceled"} {
		has(t, page, o)
	}
	boss.get(http.StatusBadRequest, "/stats?weeks=0")
	boss.get(http.StatusBadRequest, "/stats?weeks=many")
	page = boss.get(http.StatusOK, "/audit?type=deployment.accepted")
	has(t, page, "never verified", `<code>deployment.accepted</code>`, `href="/audit.jsonl?type=deployment.accepted"`)
	hasNot(t, page, `<code>user.created</code>`)
	y.Record(deploy.Event{Type: deploy.EventAuditVerified, Outcome: deploy.OutcomeFail}.WithData(deploy.VerifiedData{Head: "9:ab", Events: 9, Count: 2}))
	has(t, boss.get(http.StatusOK, "/audit"), "not as it was written: 2 findings", "up to 9")
	y.Record(deploy.Event{Type: deploy.EventAuditVerified, Outcome: deploy.OutcomePass}.WithData(deploy.VerifiedData{Head: "9:ab", Events: 9}))
	has(t, boss.get(http.StatusOK, "/audit"), "no line was changed")
	boss.get(http.StatusBadRequest, "/audit?deployment=x")
	lines := strings.Split(strings.TrimSpace(boss.get(http.StatusOK, "/audit.jsonl")), "\n")
	if uint64(len(lines)) != y.Recorder.Head().Sequence || !strings.HasPrefix(lines[len(lines)-1], `{"sequence":1,`) {
		t.Errorf("the export has %d lines, want %d; the last is %s", len(lines), y.Recorder.Head().Sequence, lines[len(lines)-1])
	}
	has(t, boss.get(http.StatusOK, "/users"), "bob", "developer", "operator")
	has(t, boss.get(http.StatusOK, "/help"), "How it works", "max_push", "1GiB")
	has(t, boss.get(http.StatusOK, "/help?topic=rollback"), "usage: slipway rollback")
	boss.get(http.StatusNotFound, "/help?topic=nonsense")
	has(t, boss.get(http.StatusNotFound, "/nothing"), "There is no such page.")
}
