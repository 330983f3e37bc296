package store_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/deploy"
)

// givenAgain is a company whose shop was removed, with a deployment in work and a refused push, and made anew.
// Victor may read the new one.
func givenAgain(t *testing.T) *history {
	h := company(t)
	h.add(queued(1, oid("a")))
	h.add(of(1, deploy.EventStageStarted))
	h.add(deploy.Event{Type: deploy.EventPushRefused, App: "shop", Reason: "a zebra"}.WithData(deploy.Reject(deploy.CodeFrozen, "a zebra")))
	h.add(deploy.Event{Type: deploy.EventAppRemoved, App: "shop"})
	h.add(appCreated("shop", 3))
	h.add(granted("shop", "victor", deploy.RoleViewer))
	h.add(of(1, deploy.EventInterrupted)) // of the old app
	h.add(queued(2, oid("b")))
	return h
}

// TestOthersOfANameGivenAgain: statistics, the queue, pages and the newest deployments are those of the app
// that has the name, for who may read that one alone.
func TestOthersOfANameGivenAgain(t *testing.T) {
	h := givenAgain(t)
	ctx := t.Context()
	for name, within := range map[string]deploy.Scope{
		"a viewer": {User: "victor"}, "a token": {App: "shop"}, "both": {User: "victor", App: "shop"}, "an admin's token": {User: "root", App: "shop"},
	} {
		for _, app := range []deploy.AppName{"", "shop"} {
			of := fmt.Sprintf("app %q, seen by %s: ", app, name)
			s := got[deploy.Statistics](t)(h.store.Statistics(ctx, deploy.StatisticsFilter{App: app, VisibleTo: within, Until: time.Now().Add(time.Minute), Weeks: deploy.MaxWeeks}))
			same(t, of+"deployments counted", s.Total.Deployments, 1)
			same(t, of+"interrupted", s.Total.Interrupted, 0)
			same(t, of+"refused", s.Total.Refused, 0)
			same(t, of+"deployments", numbers(got[[]deploy.Deployment](t)(
				h.store.Deployments(ctx, deploy.DeploymentFilter{App: app, VisibleTo: within}))), []deploy.Number{2})
			same(t, of+"found by words", numbers(got[[]deploy.Deployment](t)(
				h.store.Deployments(ctx, deploy.DeploymentFilter{App: app, VisibleTo: within, Text: "cart"}))), []deploy.Number{2})
		}
		waiting := got[[]deploy.QueueEntry](t)(h.store.Queue(ctx, within))
		same(t, "the queue, seen by "+name, len(waiting), 1)
		same(t, "who waits, seen by "+name, waiting[0].Deployment.Number, 2)
		same(t, "the newest, seen by "+name, got[map[deploy.AppName]deploy.Deployment](t)(h.store.LastDeployments(ctx, within))["shop"].Number, 2)
	}
	all := got[deploy.Statistics](t)(h.store.Statistics(ctx, deploy.StatisticsFilter{Until: time.Now().Add(time.Minute), Weeks: deploy.MaxWeeks})).Total
	same(t, "all that an admin sees", []int{all.Deployments, all.Interrupted, all.Refused}, []int{2, 1, 1})
}

// TestEventsOfANameGivenAgain: who may read the new app reads nothing of the old one, not even what
// happens to the old one's deployments after that.
func TestEventsOfANameGivenAgain(t *testing.T) {
	h := givenAgain(t)
	ctx := t.Context()

	events := func(f deploy.EventFilter) []string {
		f.Limit = 1000
		all := []string{}
		for _, e := range got[[]deploy.Event](t)(h.store.Events(ctx, f)) {
			all = append(all, fmt.Sprint(e.Type, " ", e.Deployment))
		}
		return all
	}
	fresh := []string{"deployment.queued 2", "grant.set 0", "app.created 0"}
	for name, within := range map[string]deploy.Scope{
		"a viewer": {User: "victor"}, "a token": {App: "shop"}, "both": {User: "victor", App: "shop"}, "an admin's token": {User: "root", App: "shop"},
	} {
		same(t, "of shop, seen by "+name, events(deploy.EventFilter{App: "shop", VisibleTo: within}), fresh)
	}
	same(t, "an admin sees both", len(events(deploy.EventFilter{App: "shop", VisibleTo: deploy.Scope{User: "root"}})), 10)
	same(t, "somebody without a grant", events(deploy.EventFilter{VisibleTo: deploy.Scope{User: "alice"}}), []string{})
	same(t, "an app that is not there", events(deploy.EventFilter{VisibleTo: deploy.Scope{User: "root", App: "wiki"}}), []string{})
	same(t, "deployments of a token", numbers(got[[]deploy.Deployment](t)(
		h.store.Deployments(ctx, deploy.DeploymentFilter{VisibleTo: deploy.Scope{App: "shop"}}))), []deploy.Number{2})
	same(t, "the queue of a token", len(got[[]deploy.QueueEntry](t)(h.store.Queue(ctx, deploy.Scope{App: "shop"}))), 1)
}

func TestEventsPageBothWays(t *testing.T) {
	h := company(t)
	page := func(f deploy.EventFilter) []uint64 {
		all := []uint64{}
		for _, e := range got[[]deploy.Event](t)(h.store.Events(t.Context(), f)) {
			all = append(all, e.Sequence)
		}
		return all
	}
	same(t, "the newest", page(deploy.EventFilter{Limit: 3}), []uint64{10, 9, 8})
	same(t, "the next page", page(deploy.EventFilter{Limit: 3, Before: 8}), []uint64{7, 6, 5})
	same(t, "back", page(deploy.EventFilter{Limit: 3, After: 7}), []uint64{10, 9, 8})
	same(t, "before the first one", page(deploy.EventFilter{Limit: 3, After: 10}), []uint64{})
}

// TestTimesWithAClockThatWasSetBack: the order of the numbers is the order of time.
func TestTimesWithAClockThatWasSetBack(t *testing.T) {
	h := company(t)
	for i, minute := range []int{0, 10, 5, 7, 20} { // 5 and 7 count as 10
		e := of(deploy.Number(i+1), deploy.EventDeploymentQueued)
		h.add(e.WithData(deploy.Deployment{Number: e.Deployment, App: "shop", QueuedAt: noon.Add(time.Duration(minute) * time.Minute)}))
	}
	for name, test := range map[string]struct {
		since, until int
		want         []deploy.Number
	}{
		"all": {0, 60, []deploy.Number{5, 4, 3, 2, 1}}, "the beginning": {0, 10, []deploy.Number{1}}, "the end": {11, 60, []deploy.Number{5}},
		"the same": {10, 11, []deploy.Number{4, 3, 2}}, "nothing": {1, 10, []deploy.Number{}}, "the future": {30, 60, []deploy.Number{}},
	} {
		f := deploy.DeploymentFilter{Since: noon.Add(time.Duration(test.since) * time.Minute), Until: noon.Add(time.Duration(test.until) * time.Minute)}
		same(t, name, numbers(got[[]deploy.Deployment](t)(h.store.Deployments(t.Context(), f))), test.want)
	}
	same(t, "what is shown", got[deploy.Deployment](t)(h.store.Deployment(t.Context(), 3)).QueuedAt, noon.Add(5*time.Minute))
}

func TestQueue(t *testing.T) {
	h := company(t)
	ctx := t.Context()
	h.accept(1, 0, oid("0"), oid("a"))
	h.add(queued(2, oid("b")))
	h.add(started(2, 1, oid("a")))
	stage := func(n deploy.Number, kind deploy.EventType, name deploy.StageName) time.Time {
		e := of(n, kind)
		e.Stage = name
		if kind == deploy.EventStageFinished {
			e.Outcome = deploy.OutcomePass
		}
		return h.add(e)
	}
	stage(2, deploy.EventStageStarted, "build")
	stage(2, deploy.EventStageFinished, "build")
	stage(2, deploy.EventStageStarted, "test.unit")
	since := stage(2, deploy.EventStageStarted, "test.slow") // beside it
	h.add(queued(3, oid("c")))
	h.add(queued(4, oid("d")))
	h.add(accepted(4, 1, oid("a"), oid("d"))) // its ref has not moved, but it has had its turn
	blog := of(5, deploy.EventDeploymentQueued)
	blog.App = "blog"
	h.add(blog.WithData(deploy.Deployment{Number: 5, App: "blog"}))

	type entry struct {
		Number deploy.Number
		Status deploy.Status
		Stage  deploy.StageName
		Since  time.Time
	}
	queue := func(within deploy.Scope) []entry {
		all := []entry{}
		for _, e := range got[[]deploy.QueueEntry](t)(h.store.Queue(ctx, within)) {
			all = append(all, entry{e.Deployment.Number, e.Deployment.Status, e.Stage, e.StageStartedAt})
		}
		return all
	}
	running, waiting := entry{2, deploy.StatusRunning, "test.slow", since}, entry{3, deploy.StatusQueued, "", time.Time{}}
	other := entry{5, deploy.StatusQueued, "", time.Time{}}
	same(t, "the whole queue", queue(deploy.Scope{}), []entry{running, waiting, other})
	same(t, "alice's", queue(deploy.Scope{User: "alice"}), []entry{running, waiting})
	same(t, "victor's", queue(deploy.Scope{User: "victor"}), []entry{other})
	same(t, "nobody's", queue(deploy.Scope{User: "nobody"}), []entry{})
	same(t, "an admin's token's", queue(deploy.Scope{User: "root", App: "blog"}), []entry{other})

	last := func(within deploy.Scope) map[deploy.AppName]deploy.Number {
		all := map[deploy.AppName]deploy.Number{}
		for name, d := range got[map[deploy.AppName]deploy.Deployment](t)(h.store.LastDeployments(ctx, within)) {
			all[name] = d.Number
		}
		return all
	}
	h.add(appCreated("idle", 9))
	same(t, "the last of each", last(deploy.Scope{}), map[deploy.AppName]deploy.Number{"shop": 4, "blog": 5})
	same(t, "the last that alice sees", last(deploy.Scope{User: "alice"}), map[deploy.AppName]deploy.Number{"shop": 4})
	h.add(deploy.Event{Type: deploy.EventAppRemoved, App: "shop"})
	h.add(appCreated("shop", 10))
	same(t, "of a name given again", last(deploy.Scope{}), map[deploy.AppName]deploy.Number{"blog": 5})

	of := got[map[deploy.Number][]deploy.Stage](t)(h.store.StagesOf(ctx, 1, 2, 3, 99))
	names := []deploy.StageName{}
	for _, s := range of[2] {
		names = append(names, s.Name)
	}
	same(t, "stages of several", names, []deploy.StageName{"build", "test.unit", "test.slow"})
	same(t, "deployments with stages", len(of), 1)
	same(t, "one of them", of[2], got[[]deploy.Stage](t)(h.store.Stages(ctx, 2)))
}

func TestMedians(t *testing.T) {
	h := company(t)
	play := func(n deploy.Number, build time.Duration, ends deploy.EventType) {
		h.add(queued(n, oid("a")))
		begin, end := of(n, deploy.EventStageStarted), of(n, deploy.EventStageFinished)
		begin.Stage, end.Stage, end.Outcome = "build", "build", deploy.OutcomePass
		begin.At, end.At = noon, noon.Add(build)
		h.add(begin)
		h.add(end)
		h.add(of(n, ends).WithData(deploy.SwitchData{To: n}))
	}
	play(1, time.Hour, deploy.EventAccepted) // the 21st from the end
	for n := deploy.Number(2); n <= 21; n++ {
		play(n, time.Duration(n)*time.Second, deploy.EventAccepted)
	}
	play(22, time.Hour, deploy.EventRejected)
	same(t, "medians", got[map[deploy.StageName]time.Duration](t)(h.store.Medians(t.Context(), "shop")),
		map[deploy.StageName]time.Duration{"build": 11500 * time.Millisecond})
	same(t, "of nothing", len(got[map[deploy.StageName]time.Duration](t)(h.store.Medians(t.Context(), "blog"))), 0)
	if _, err := h.store.Medians(t.Context(), "none"); err == nil {
		t.Error("an app that does not exist has medians")
	}
}

// TestFiltersAgainstAList asks for what a loop over all deployments finds as well, with more of them than
// a search looks at on one way.
func TestFiltersAgainstAList(t *testing.T) {
	h := company(t)
	ctx := t.Context()
	h.add(granted("blog", "alice", deploy.RoleViewer))
	random := rand.New(rand.NewPCG(4, 2))
	from := func(all ...string) string { return all[random.IntN(len(all))] }
	const count = 2000
	all := make([]deploy.Deployment, 0, count)
	events := len(h.events)
	for n := deploy.Number(1); n <= count; n++ {
		subject := from("Fix", "Add", "Remove") + " " + from("the cart", "TestTotal", "pages", "pages", "pages")
		if n%700 == 0 {
			subject += " zebra"
		}
		d := deploy.Deployment{Number: n, App: deploy.AppName(from("shop", "shop", "blog")), Ref: "refs/heads/main", Commit: deploy.Commit{Subject: subject},
			New: deploy.OID(fmt.Sprintf("%040x", random.Uint64()>>(4*random.IntN(4)))), Pusher: deploy.Pusher{User: deploy.UserName(from("ann", "bob", "cy"))}}
		h.stamp(deploy.Event{Type: deploy.EventDeploymentQueued, Deployment: n, App: d.App}.WithData(d))
		if d.Status = deploy.StatusQueued; random.IntN(10) == 0 {
			d.Status, d.FailedStage, d.Reason = deploy.StatusRejected, deploy.StageName(from("build", "test.unit")), from("exit status 1", "exit status 2 in cart")
			d.Code = deploy.Code(from("build", "test"))
			h.stamp(deploy.Event{Type: deploy.EventRejected, Deployment: n, App: d.App, Stage: d.FailedStage, Reason: d.Reason}.WithData(deploy.Rejection{Code: d.Code}))
		}
		all = append(all, d)
	}
	if err := h.store.Project(ctx, h.events[events:]...); err != nil {
		t.Fatal(err)
	}
	for round := range 250 {
		f := deploy.DeploymentFilter{Limit: 1 + random.IntN(40)}
		if random.IntN(2) == 0 {
			f.Text = from("zebra", "CART", "total", "testtotal", "pages fix", "exit cart", "exit zebra", "nothing", "status 1 fix")
		}
		if random.IntN(2) == 0 {
			f.App = deploy.AppName(from("shop", "blog", "none"))
		}
		if random.IntN(2) == 0 {
			f.User = deploy.UserName(from("ann", "dora"))
		}
		if random.IntN(3) == 0 {
			f.Status = deploy.Status(from("rejected", "rejected", "queued"))
		}
		if random.IntN(4) == 0 {
			f.Code = deploy.Code(from("build", "test"))
		}
		if random.IntN(4) == 0 {
			f.FailedStage = deploy.StageName(from("build", "test.unit"))
		}
		if random.IntN(4) == 0 {
			f.VisibleTo.User = deploy.UserName(from("alice", "victor", "root"))
		}
		switch random.IntN(4) {
		case 0:
			f.Before = deploy.Number(random.IntN(count))
		case 1:
			f.After = deploy.Number(random.IntN(count))
		case 2:
			f.Revision = all[random.IntN(count)].New[:4+random.IntN(37)]
		}
		same(t, fmt.Sprintf("round %d: %+v", round, f), numbers(got[[]deploy.Deployment](t)(h.store.Deployments(ctx, f))), listed(f, all))
	}
}

// listed is what the filter means.
func listed(f deploy.DeploymentFilter, all []deploy.Deployment) []deploy.Number {
	fits := func(d deploy.Deployment) bool {
		text := " " + strings.ToLower(strings.ReplaceAll(d.Commit.Subject+" "+d.Reason, "TestTotal", "testtotal test total")) + " "
		for _, w := range strings.Fields(strings.ToLower(f.Text)) {
			if !strings.Contains(text, " "+w+" ") {
				return false
			}
		}
		return (f.App == "" || d.App == f.App) && (f.User == "" || d.Pusher.User == f.User) && (f.Status == "" || d.Status == f.Status) &&
			(f.FailedStage == "" || d.FailedStage == f.FailedStage) && (f.Code == "" || d.Code == f.Code) && (f.VisibleTo.User != "victor" || d.App == "blog") &&
			strings.HasPrefix(string(d.New), string(f.Revision)) && (f.Before == 0 || d.Number < f.Before) && d.Number > f.After
	}
	found := []deploy.Number{}
	for _, d := range slices.Backward(all) {
		if fits(d) {
			found = append(found, d.Number)
		}
	}
	if f.After != 0 {
		return found[max(0, len(found)-f.Limit):]
	}
	return found[:min(len(found), f.Limit)]
}

// TestNUL: PostgreSQL cannot hold what SQLite can; both answer the same.
func TestNUL(t *testing.T) {
	h := company(t)
	e := queued(1, oid("a"))
	e.Data = []byte(`{"number":1,"app":"shop","commit":{"subject":"a\u0000b \\u0000 \\\u0000"}}`)
	e.Reason = "x\x00y\xff"
	h.add(e)
	same(t, "the subject", got[deploy.Deployment](t)(h.store.Deployment(t.Context(), 1)).Commit.Subject, "a\uFFFDb \\u0000 \\\uFFFD")
	events := got[[]deploy.Event](t)(h.store.Events(t.Context(), deploy.EventFilter{Limit: 1}))
	same(t, "the reason", events[0].Reason, "x\uFFFDy\uFFFD")
	same(t, "nothing is unfit", got[uint64](t)(h.store.LastSequence(t.Context())), uint64(len(h.events)))
}
