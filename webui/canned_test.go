package webui

import (
	"fmt"
	"html/template"
	"math"
	"strings"
	"time"

	"slipway/deploy"
	"slipway/webui/ansi"
	"slipway/webui/chart"
)

// The canned data of the golden files and of the screenshots: a small team on a busy morning, with the
// texts that could do harm.

func at(clock string) time.Time {
	t, err := time.Parse(time.DateTime, "2026-11-22 "+clock)
	if err != nil {
		panic(err)
	}
	return t
}

func oid(c string) deploy.OID { return deploy.OID(strings.Repeat(c, 40)[:40]) }

func frame(title, section string) Frame {
	return Frame{Title: title, Section: section, Now: at("10:24:31"), Name: "alice", Caller: deploy.Caller{User: "alice", Admin: true}}
}

func strip(words ...string) []Step {
	var all []Step
	for i, name := range []string{"checkout", "build", "test", "release", "switch", "watch"} {
		state := ahead()
		if i < len(words) {
			state = outcomeOf(deploy.Outcome(words[i]))
		}
		all = append(all, Step{name, state})
	}
	return all
}

func wave(n int, f func(float64) float64) []float64 {
	all := make([]float64, n)
	for i := range all {
		all[i] = math.Max(0, f(float64(i)))
	}
	return all
}

func cannedBerths() []Berth {
	requests := wave(60, func(x float64) float64 { return 40 + 25*math.Sin(x/7) + 9*math.Sin(x*1.7) })
	errors := wave(60, func(x float64) float64 { return 6*math.Sin(x/3) - 5 })
	return []Berth{
		{
			App: "shop", Address: "http://shop.localhost:8000",
			Serving:   &Serving{41, "1b2c3d4e5f", "Charge postage by weight, and round it as the carrier does", "Alice Meyer", at("09:12:00")},
			Instances: []Dot{{"web 1", State{"pass", "●", "healthy"}, "42 MiB"}, {"web 2", State{"pass", "●", "healthy"}, "44 MiB"}, {"worker 1", State{"pass", "●", "healthy"}, "61 MiB"}},
			Traffic:   chart.Spark("requests of shop in the last 30 minutes", 150, 28, chart.Series{Class: "requests", Values: requests}, chart.Series{Class: "errors", Values: errors}),
			Requests:  "1,204 requests, 3 errors in 30 min",
			Queue: []Waiting{
				{Number: 43, Who: "bob", Subject: "Keep the cart when a visitor signs in", Strip: strip("pass", "pass", ""), Elapsed: 12400 * time.Millisecond, Median: 41 * time.Second},
				{Number: 44, Place: 1, Who: "carol", Subject: "Translate the checkout into French", Strip: strip(), Elapsed: 4 * time.Second, Median: 41 * time.Second},
			},
			MayPush: true, MayFreeze: true,
		},
		{
			App: "blog", Address: "http://blog.localhost:8000",
			Serving:   &Serving{38, "9f8e7d6c5b", "Fix the feed's dates", "Dora Kern", at("08:00:00").Add(-50 * time.Hour)},
			Instances: []Dot{{"web 1", State{"fail", "○", "down"}, "restarted 4 times, last: exit status 1"}},
			Traffic:   chart.Spark("requests of blog in the last 30 minutes", 150, 28, chart.Series{Class: "requests", Values: wave(60, func(x float64) float64 { return 3 + 3*math.Sin(x) })}),
			Requests:  "96 requests, no errors in 30 min",
			Frozen:    "the database is being moved, back at noon", FrozenAt: at("09:55:00"),
			Drift: "release 37 serves, the ref is at 9f8e7d6: roll back by hand or redeploy",
		},
		{App: "intern", Address: "http://intern.localhost:8000"},
	}
}

func cannedRows() []DeploymentRow {
	var rows []DeploymentRow
	for i, d := range []deploy.Deployment{
		{Status: deploy.StatusRunning, Commit: deploy.Commit{Subject: "Keep the cart when a visitor signs in"}, Pusher: deploy.Pusher{User: "bob"}},
		{Status: deploy.StatusRejected, Code: deploy.CodeTest, FailedStage: "test.unit", Reason: `test set "unit" failed (exit status 1)`, Commit: deploy.Commit{Subject: "Simplify the total"}, Pusher: deploy.Pusher{User: "alice"}},
		{Status: deploy.StatusAccepted, Commit: deploy.Commit{Subject: "Charge postage by weight, and round it as the carrier does"}, Pusher: deploy.Pusher{User: "alice"}},
		{Status: deploy.StatusAccepted, Bypass: &deploy.Bypass{Reason: "the mail server of the tests is down"}, Commit: deploy.Commit{Subject: "Stop the flood of mails"}, Pusher: deploy.Pusher{User: "root"}},
		{Status: deploy.StatusRejected, Code: deploy.CodeMonitor, FailedStage: deploy.StageMonitor, Reason: "5 of 40 requests failed (12.5%), at most 1%", Commit: deploy.Commit{Subject: "Cache the prices"}, Pusher: deploy.Pusher{User: "bob"}},
		{Status: deploy.StatusAccepted, Again: &deploy.Again{Kind: deploy.AgainRollback, Of: 36, Reason: "prices were wrong"}, Commit: deploy.Commit{Subject: "Show stock"}, Pusher: deploy.Pusher{User: "alice"}},
		{Status: deploy.StatusErrored, Code: deploy.CodeTechnical, FailedStage: "test.integration", Reason: "tcp://db.internal:5432 does not answer", Commit: deploy.Commit{Subject: "Add an index"}, Pusher: deploy.Pusher{User: "carol"}},
		{Status: deploy.StatusCanceled, Code: deploy.CodeCanceled, Reason: "the pusher went away", Commit: deploy.Commit{Subject: "Try something"}, Pusher: deploy.Pusher{User: "dave"}},
	} {
		d.Number, d.App, d.New = deploy.Number(43-i), "shop", oid(fmt.Sprintf("%x3f2c9e1", 15-i))
		d.QueuedAt = at("10:24:19").Add(-time.Duration(i*i) * 9 * time.Minute)
		rows = append(rows, DeploymentRow{d, stateOf(d.Status), time.Duration(37+i*5) * time.Second})
	}
	return rows
}

func lines(from int, raw ...string) []Line {
	var style ansi.Style
	var all []Line
	for i, l := range raw {
		var html string
		html, style = ansi.Line(l, style)
		all = append(all, Line{from + i, template.HTML(html)})
	}
	return all
}

func cannedLogs() []Log {
	address := func(l Log) Log {
		l.Whole, l.Page = "/deployments/42/log/"+l.Name+".txt", "/deployments/42/log/"+l.Name
		return l
	}
	return []Log{
		address(Log{Name: "test.unit", State: outcomeOf(deploy.OutcomeFail), Took: 5100 * time.Millisecond, Open: true, Total: 7, Lines: lines(1,
			"=== RUN   TestTotal", "    cart_test.go:12: got \x1b[31m3\x1b[0m, want \x1b[32m2\x1b[0m", "    cart_test.go:16: total of two mugs and a bag: got \x1b[31m1700\x1b[0m, want \x1b[32m2900\x1b[0m",
			"\x1b[1;31m--- FAIL: TestTotal (0.00s)\x1b[0m", "FAIL", "FAIL\tshop\t0.013s", "FAIL")}),
		address(Log{Name: "build", State: outcomeOf(deploy.OutcomePass), Took: 3200 * time.Millisecond, Total: 402, Before: 400, Places: emptyBlocks(400), Lines: lines(401, "go build -o bin/shop .", "proxy: GET proxy.example.org 200")}),
		address(Log{Name: "checkout", State: outcomeOf(deploy.OutcomePass), Took: 100 * time.Millisecond, Total: 0}),
	}
}

func cannedDeployment() *DeploymentPage {
	d := cannedRows()[1].Deployment
	d.Commit = deploy.Commit{Subject: "Simplify the total", Author: "Alice Meyer", AuthoredAt: at("10:01:00")}
	d.Previous = 41
	total := 8.4
	stage := func(name deploy.StageName, o deploy.Outcome, from, to float64) StageRow {
		state := outcomeOf(o)
		return StageRow{Name: name, State: state, Took: time.Duration((to - from) * float64(time.Second)), Bar: chart.Span(string(name), state.Class, from, to, total)}
	}
	return &DeploymentPage{
		Frame: frame("shop deployment 42", "deployments"), Deployment: d, State: stateOf(d.Status), Took: 8400 * time.Millisecond,
		Sentence: `Rejected: test set "unit" failed (exit status 1). Production still serves 1b2c3d4 (deployment 41).`,
		Tail:     []string{"--- FAIL: TestTotal (0.00s)", "    cart_test.go:12: got 3, want 2"},
		Stages:   []StageRow{stage("checkout", "pass", 0, 0.1), stage("build", "pass", 0.1, 3.3), stage("test.unit", "fail", 3.3, 8.4), stage("test.integration", "canceled", 3.3, 8.4)},
		Logs:     cannedLogs(),
		Commits:  []CommitRow{{d.New, d.Commit}},
		Diff: Diff{Files: 1, Added: 1, Removed: 2, Lines: []DiffLine{
			{"file", "cart.go"}, {"hunk", "@@ -10,4 +10,3 @@ func (c *Cart) Total() int {"}, {"", " \tsum := 0"}, {"removed", "-\tfor _, l := range c.Lines {"}, {"removed", "-\t\tsum += l.Price * l.Count"}, {"added", "+\tfor range c.Lines { sum++ } // <b>"},
		}},
		Events: []EventRow{
			{deploy.Event{Sequence: 812, Type: deploy.EventRejected, At: at("10:24:27"), Actor: deploy.ServerActor("pipeline"), App: "shop", Deployment: 42, Reason: d.Reason}, "{\n  \"code\": \"test\"\n}"},
			{deploy.Event{Sequence: 801, Type: deploy.EventDeploymentQueued, At: at("10:24:19"), Actor: deploy.Actor{Type: deploy.ActorUser, Name: "alice", IP: "127.0.0.1"}, App: "shop", Deployment: 42}, ""},
		},
		Transcript: Log{Name: "transcript", State: stateOf(d.Status), Total: 2, Lines: lines(1, `shop  deployment 42  e3f2c9e "Simplify the total"  alice`, "✓ checkout                  0.1s"), Whole: "/deployments/42/log/transcript.txt", Page: "/deployments/42/log/transcript"},
		MayAgain:   true,
	}
}

// cannedWatched is a deployment under watch, live.
func cannedWatched() *DeploymentPage {
	p := cannedDeployment()
	p.Deployment = cannedRows()[0].Deployment
	p.Commit.Author = "Bob"
	p.State, p.Title, p.Live = stateOf(p.Status), "shop deployment 43", "/deployments/43/live"
	p.Sentence, p.Hint, p.Tail = "In work: it serves, and is being watched.", "", nil
	p.Stages = append(p.Stages[:2:2], StageRow{Name: deploy.StageMonitor, State: outcomeOf(""), Took: 9 * time.Second, Going: true, Bar: chart.Span("monitor", "run", 3.3, 12.3, 12.3)})
	p.Going, p.Took = true, 12300*time.Millisecond
	p.Logs, p.MayAgain, p.MayCancel = p.Logs[1:], false, true
	p.Checks = []CheckRow{
		{"probe", outcomeOf(deploy.OutcomePass), "36 of 36 answered, slowest 12 ms"},
		{"errors", outcomeOf(deploy.OutcomeNoData), "0 of 31 requests failed (0.0%), at most 1%"},
		{"memory", outcomeOf(deploy.OutcomeFail), "271 MiB, at most 256 MiB"},
	}
	seconds := []string{"0 s", "1 s", "2 s", "3 s", "4 s", "5 s", "6 s", "7 s", "8 s"}
	p.Watch = []Chart{
		{"Memory", chart.Lines("memory of the candidate", chart.Axis{Labels: seconds, Write: func(v float64) string { return fmt.Sprintf("%g MiB", v) }}, 256, "limit 256 MiB",
			chart.Series{Class: "memory", Values: []float64{40, 60, 90, 130, 160, 200, 240, 260, 271}}), &Table{[]string{"After", "Memory"}, [][]string{{"0 s", "40 MiB"}, {"8 s", "271 MiB"}}}},
		{"Failed requests", chart.Lines("share of failed requests", chart.Axis{Labels: seconds, Write: func(v float64) string { return fmt.Sprintf("%g%%", v) }}, 1, "limit 1%",
			chart.Series{Class: "errors", Values: []float64{0, 0, 0.4, 0.2, 0.1, 0, 0, 0.3, 0.2}}), &Table{[]string{"After", "Failed requests"}, [][]string{{"2 s", "0.4%"}, {"8 s", "0.2%"}}}},
	}
	return p
}

func cannedStatistics() *StatisticsPage {
	var found deploy.Statistics
	count := func(day int, often, shift float64) int {
		return max(0, int(math.Round(often*(1+math.Sin(float64(day)*shift)))))
	}
	for day := range 28 {
		t := deploy.Tally{Accepted: count(day, 6, 0.9), GateRejected: count(day, 1.5, 2), RolledBack: count(day, 0.4, 3), Errored: count(day, 0.3, 1.3), Canceled: count(day, 0.5, 0.7), Regressions: count(day, 0.3, 5)}
		t.Deployments = t.Accepted + t.GateRejected + t.RolledBack + t.Errored + t.Canceled
		found.Days = append(found.Days, deploy.Period{Start: at("00:00:00").AddDate(0, 0, day-27), Tally: t})
		if day%7 == 0 {
			found.Weeks = append(found.Weeks, deploy.Period{Start: at("00:00:00").AddDate(0, 0, day-27), Tally: t})
		}
	}
	spread := func(p50, p90 time.Duration) deploy.Spread {
		return deploy.Spread{Count: 190, P50: p50, P90: p90, Max: 2 * p90}
	}
	found.Verdict, found.QueueWait = spread(41*time.Second, 130*time.Second), spread(2*time.Second, 35*time.Second)
	found.LeadTimeForChanges, found.FailedDeploymentRecoveryTime = spread(80*time.Minute, 9*time.Hour), spread(6*time.Second, 20*time.Second)
	found.DeploymentFrequency, found.FailureRate, found.ChangeFailureRate = 6.2, deploy.Share{Count: 23, Of: 190}, deploy.Share{Count: 3, Of: 167}
	found.Total.Bypasses = 2
	for i, stage := range []deploy.StageName{"checkout", "build", "test.unit", "test.integration", "release", "switch", "monitor"} {
		took := time.Duration(1+i*i%7) * 3 * time.Second
		found.Stages = append(found.Stages, deploy.StageTally{Name: stage, Took: spread(took, 2*took), Rejected: deploy.Share{Count: []int{0, 4, 11, 3, 1, 0, 4}[i], Of: 190}})
	}
	found.Causes = []deploy.FailureCause{{Signature: `cart_test.go:N: got N, want N`, Stage: "test.unit", Count: 7, Apps: []deploy.AppName{"shop"}, FirstAt: at("10:00:00").AddDate(0, 0, -9), LastAt: at("10:24:27"), Example: 42, Reason: "cart_test.go:12: got 3, want 2"}}
	return &StatisticsPage{
		Frame: frame("Statistics", "stats"), Weeks: 4, Apps: []deploy.AppName{"blog", "shop"},
		Figures: figuresOf(found), Charts: chartsOf(found), Clusters: clustersOf(found.Causes),
	}
}

// canned is every page with canned data, by its template and a name for the file.
func canned() map[string]struct {
	page string
	view any
} {
	type entry = struct {
		page string
		view any
	}
	events := cannedDeployment().Events
	hostile := cannedBerths()[1:2]
	hostile[0].Serving.Author, hostile[0].Serving.Subject, hostile[0].Frozen = "Dora <script>alert(1)</script>", `"><b>"Fix"</b> the feed's dates`, "<img src=x onerror=alert(2)>"
	log := cannedLogs()[0]
	log.Lines = lines(2081, "cart_test.go:13: <script>alert('log')</script>", "\x1b]0;title\x07\x1b[2J\u202eevil", "\x1b[38;5;1m\x1b[7;1;4m"+strings.Repeat("x", 300))
	log.Total = 2083
	busy := frame("Production", "production")
	const manual = "# slipway.toml\n\nSee [below](#build), <script>alert(1)</script> is nothing.\n\n## [build]\n\n| key | default |\n| --- | --- |\n| `run` | none |\n\n```toml\n[build]\nrun = \"make build\"\n```\n"
	written, err := prose(manual)
	if err != nil {
		panic(err)
	}
	busy.Live = "/live"
	return map[string]entry{
		"production":         {"production", &ProductionPage{busy, cannedBerths()}},
		"production-hostile": {"production", &ProductionPage{frame("Production", "production"), hostile}},
		"production-empty":   {"production", &ProductionPage{Frame: frame("Production", "production")}},
		"app": {"app", &AppPage{Frame: frame("shop", "production"), Berth: cannedBerths()[0], Clone: "ssh://localhost:2222/shop",
			Releases: []ReleaseRow{
				{Serving{41, "1b2c3d4e5f", "Charge postage by weight, and round it as the carrier does", "Alice Meyer", at("09:12:00")}, true, false},
				{Serving{40, "2b2c3d4e5f", "Stop the flood of mails", "root", at("08:40:00")}, false, true},
			},
			Variables: []VariableRow{{"DATABASE_URL", false, at("07:00:00")}, {"STRIPE_KEY", true, at("07:00:00").AddDate(0, -2, 0)}}, History: cannedRows()}},
		"history": {"history", &HistoryPage{Frame: frame("Deployments", "deployments"), Rows: cannedRows(), Older: "/deployments?before=36", AsJSON: "/api/v1/deployments", AsCSV: "/deployments.csv",
			Filter: FilterForm{App: "shop", Text: "cart", Apps: []deploy.AppName{"blog", "shop"}, Statuses: []deploy.Status{deploy.StatusAccepted, deploy.StatusRejected}, Stages: []deploy.StageName{"build", "test.unit"}}}},
		"deployment":         {"deployment", cannedDeployment()},
		"deployment-running": {"deployment", cannedWatched()},
		"log":                {"log", &LogPage{Frame: frame("test.unit", "deployments"), Number: 42, App: "shop", Log: log, From: 2081, To: 2083, Previous: "/deployments/42/log/test.unit?from=1"}},
		"stats":              {"stats", cannedStatistics()},
		"audit": {"audit", &AuditPage{Frame: frame("Audit", "audit"), Head: "812:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", Verified: State{"pass", "✓", "no line was changed"}, VerifiedAt: at("04:00:00"), VerifiedUntil: 790, MayVerify: true, Since: "2026-11-20T08:00",
			Types: []deploy.EventType{deploy.EventAccepted}, Rows: events, Export: "/audit.jsonl"}},
		"people": {"people", &PeoplePage{Frame: frame("People", "users"),
			Users: []UserRow{{deploy.User{Name: "alice", Role: deploy.RoleAdmin, CreatedAt: at("07:00:00")}, []deploy.Key{{Fingerprint: "SHA256:uNiVztksCsDhcc0u9e8BrqG1ggmqeGe4Wqzq1pb7eKY", AddedAt: at("07:00:00")}}, nil},
				{deploy.User{Name: "bob", Role: deploy.RoleDeveloper, CreatedAt: at("07:00:00")}, nil, []deploy.Grant{{App: "shop", User: "bob", Role: deploy.RoleDeveloper}}}},
			Tokens:   []TokenRow{{deploy.Token{ID: "k3j9", Name: "dashboard", User: "alice", Limit: deploy.Limit{Role: deploy.RoleViewer, App: "shop"}, CreatedAt: at("07:00:00"), ExpiresAt: at("07:00:00").AddDate(0, 3, 0)}, State{"pass", "✓", "valid"}}},
			Sessions: []SessionRow{{deploy.Session{ID: "a1", User: "alice", Agent: "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0", IP: "127.0.0.1", OpenedAt: at("09:00:00"), ExpiresAt: at("21:00:00")}, true}, {deploy.Session{ID: "a2", User: "bob", Agent: "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1", IP: "127.0.0.1", OpenedAt: at("08:00:00"), ExpiresAt: at("20:00:00")}, false}}}},
		"help":    {"help", &HelpPage{Frame: frame("Help", "help"), Topics: []Topic{{Name: "manifest"}, {Name: "commands"}}, Topic: Topic{Name: "manifest", Text: manual, Markdown: true}, Prose: written, Setting: []Setting{{"ssh", ":2222", "server.toml"}, {"http", "127.0.0.1:8080", "default"}}}},
		"login":   {"login", &SignInPage{Frame: Frame{Title: "Sign in", Now: at("10:24:31")}, SSH: "ssh -p 2222 localhost login"}},
		"problem": {"problem", &ProblemPage{Frame: frame("Not found", ""), Status: 404, Text: "There is no such page, or none that you may see.", Hint: "Ask an admin for a role on the app."}},
	}
}
