package control_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"slipway/deploy"
	"slipway/deploy/control"
	"slipway/deploy/control/controltest"
)

// need is who may do something.
type need string

const (
	read   need = "read"   // who may read the app
	push   need = "push"   // who may push to it
	bypass need = "bypass" // an admin of it
	all    need = "all"    // who may do everything everywhere
	dora   need = "dora"   // dora, with all her rights, or an admin
)

// deed is a method called about shop, or about dora.
type deed struct {
	name   string
	need   need
	record deploy.EventType // what is recorded first if it is done; "" for nothing
	do     func(x ctx, c *ctl, who caller) error
}

type (
	ctx    = context.Context
	ctl    = control.Control
	caller = deploy.Caller
)

func second[A, B any](_ A, b B) B        { return b }
func third[A, B, C any](_ A, _ B, c C) C { return c }

const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c dora"

// deeds are all that can be asked for, in an order in which each can be done.
func deeds() []deed {
	return append(readings(), []deed{
		{"set variables", push, deploy.EventVariableSet, func(x ctx, c *ctl, who caller) error {
			return second(c.SetVariables(x, who, "shop", deploy.Variables{{Name: "KEY", Value: "s3cret-value"}}))
		}},
		{"read variables", push, deploy.EventVariablesRead, func(x ctx, c *ctl, who caller) error { return second(c.VariableValues(x, who, "shop")) }},
		{"run", push, deploy.EventRunStarted, func(x ctx, c *ctl, who caller) error {
			return second(c.OneOff(x, who, "shop", []string{"echo", "s3cret-value"}, stdio()))
		}},
		{"unset variables", push, deploy.EventVariableUnset, func(x ctx, c *ctl, who caller) error { return c.UnsetVariables(x, who, "shop", "KEY") }},
		{"restart", push, deploy.EventRestartIntended, func(x ctx, c *ctl, who caller) error { return second(c.Restart(x, who, "shop")) }},
		{"cancel", push, "", func(x ctx, c *ctl, who caller) error { return c.Cancel(x, who, 1, "") }},
		{"mark a regression", push, deploy.EventRegressionMarked, func(x ctx, c *ctl, who caller) error {
			return second(c.MarkRegression(x, who, 1, "no tax", 0))
		}},
		{"roll back", push, "", func(x ctx, c *ctl, who caller) error {
			return second(c.BeginAgain(x, who, "shop", deploy.Again{Kind: deploy.AgainRollback, Of: 1, Reason: "slow"}))
		}},
		{"redeploy", push, "", func(x ctx, c *ctl, who caller) error {
			return second(c.Again(x, who, "shop", deploy.Again{Kind: deploy.AgainRedeploy}, nil))
		}},
		{"freeze", bypass, deploy.EventTargetFrozen, func(x ctx, c *ctl, who caller) error { return c.Freeze(x, who, "shop", "a holiday") }},
		{"unfreeze", bypass, deploy.EventTargetUnfrozen, func(x ctx, c *ctl, who caller) error { return c.Unfreeze(x, who, "shop", "") }},
		{"add keys", dora, deploy.EventKeyAdded, func(x ctx, c *ctl, who caller) error { return second(c.AddKeys(x, who, "dora", []byte(key))) }},
		{"remove a key", dora, deploy.EventKeyRemoved, func(x ctx, c *ctl, who caller) error {
			return c.RemoveKey(x, who, "dora", "SHA256:"+fingerprint)
		}},
		{"list grants", all, "", func(x ctx, c *ctl, who caller) error { return second(c.Grants(x, who, "shop")) }},
		{"grant", all, deploy.EventGrantSet, func(x ctx, c *ctl, who caller) error {
			return c.Grant(x, who, deploy.Grant{App: "shop", User: "dora", Role: deploy.RoleDeveloper})
		}},
		{"list users", all, "", func(x ctx, c *ctl, who caller) error { return second(c.Users(x, who)) }},
		{"add a user", all, deploy.EventUserCreated, func(x ctx, c *ctl, who caller) error {
			return second(c.AddUser(x, who, "more", deploy.RoleViewer, nil))
		}},
		{"remove a user", all, deploy.EventUserRemoved, func(x ctx, c *ctl, who caller) error { return c.RemoveUser(x, who, "more") }},
		{"verify", all, deploy.EventAuditVerified, func(x ctx, c *ctl, who caller) error { return second(c.VerifyChain(x, who)) }},
		{"create an app", all, deploy.EventAppCreated, func(x ctx, c *ctl, who caller) error {
			return second(c.CreateApp(x, who, deploy.NewApp{Name: "wiki"}))
		}},
		{"remove an app", all, deploy.EventAppRemoved, func(x ctx, c *ctl, who caller) error { return c.RemoveApp(x, who, "shop", "shop") }},
	}...)
}

// fingerprint is that of key.
const fingerprint = "fe85JkIjo8VPe+XqXJGH5Mau1EMFdK1OdKvJUFicyA8"

func stdio() control.Stdio { return control.Stdio{} }

func readings() []deed {
	return []deed{
		{"app", read, "", func(x ctx, c *ctl, who caller) error { return second(c.App(x, who, "shop", deploy.RightRead)) }},
		{"role", read, "", func(x ctx, c *ctl, who caller) error { return second(c.Role(x, who, "shop")) }},
		{"state", read, "", func(x ctx, c *ctl, who caller) error { return second(c.State(x, who, "shop")) }},
		{"standing", read, "", func(x ctx, c *ctl, who caller) error { return second(c.Standing(x, who, "shop")) }},
		{"releases", read, "", func(x ctx, c *ctl, who caller) error { return second(c.Releases(x, who, "shop")) }},
		{"names of variables", read, "", func(x ctx, c *ctl, who caller) error { return second(c.VariableNames(x, who, "shop")) }},
		{"deployments", read, "", func(x ctx, c *ctl, who caller) error {
			return second(c.Deployments(x, who, deploy.DeploymentFilter{App: "shop"}))
		}},
		{"deployment", read, "", func(x ctx, c *ctl, who caller) error { return second(c.Deployment(x, who, 1, deploy.RightRead)) }},
		{"stages", read, "", func(x ctx, c *ctl, who caller) error { return third(c.Stages(x, who, 1)) }},
		{"log", read, "", func(x ctx, c *ctl, who caller) error { return second(c.LogPath(x, who, 1, "build")) }},
		{"follow a log", read, "", func(x ctx, c *ctl, who caller) error {
			return c.Follow(x, who, 1, "build", 0, func([]byte, int64) error { return nil })
		}},
		{"measurements", read, "", func(x ctx, c *ctl, who caller) error { return second(c.MeasurementsPath(x, who, 1)) }},
		{"commits", read, "", func(x ctx, c *ctl, who caller) error { return second(c.Commits(x, who, 1, 10)) }},
		{"diff", read, "", func(x ctx, c *ctl, who caller) error { return second(c.Diff(x, who, 1, deploy.DiffLimits{})) }},
		{"events of an app", read, "", func(x ctx, c *ctl, who caller) error {
			return second(c.Events(x, who, deploy.EventFilter{App: "shop"}))
		}},
		{"events of a deployment", read, "", func(x ctx, c *ctl, who caller) error {
			return second(c.Events(x, who, deploy.EventFilter{Deployment: 1}))
		}},
		{"statistics", read, "", func(x ctx, c *ctl, who caller) error {
			return second(c.Statistics(x, who, deploy.StatisticsFilter{App: "shop"}))
		}},
		{"user", dora, "", func(x ctx, c *ctl, who caller) error { return second(c.User(x, who, "dora")) }},
		{"keys", dora, "", func(x ctx, c *ctl, who caller) error { return second(c.Keys(x, who, "dora")) }},
	}
}

// somebody is one who asks, with what there is to expect.
type somebody struct {
	name  string
	role  deploy.Role // on shop
	all   bool        // everything everywhere
	dora  bool        // is she, with all her rights
	comes func(w *world) deploy.Caller
}

func everybody() []somebody {
	shop := func(r deploy.Role) deploy.Grant { return deploy.Grant{App: "shop", Role: r} }
	blog := deploy.Grant{App: "blog", Role: deploy.RoleDeveloper}
	admin, developer, viewer := deploy.RoleAdmin, deploy.RoleDeveloper, deploy.RoleViewer
	root := func(w *world) deploy.Caller { return w.person("root", admin) }
	her := func(w *world) deploy.Caller { return w.person("dora", developer, shop(developer), blog) }
	by := func(who func(w *world) deploy.Caller, l deploy.Limit) func(w *world) deploy.Caller {
		return func(w *world) deploy.Caller { return w.with(who(w), l) }
	}
	operators := func(*world) deploy.Caller { return controltest.Operator() }
	return []somebody{
		{"the operator", admin, true, false, operators},
		{"an admin", admin, true, false, root},
		{"a developer", developer, false, true, her},
		{"a viewer", viewer, false, false, func(w *world) deploy.Caller { return w.person("vera", viewer, shop(viewer)) }},
		{"a stranger", "", false, false, func(w *world) deploy.Caller { return w.person("stan", developer, blog) }},
		{"nobody", "", false, false, func(*world) deploy.Caller { return deploy.Caller{} }},
		{"an admin's token", admin, true, false, by(root, deploy.Limit{Role: admin})},
		{"an admin's token to read", viewer, false, false, by(root, deploy.Limit{Role: viewer})},
		{"an admin's token of shop", admin, false, false, by(root, deploy.Limit{Role: admin, App: "shop"})},
		{"an admin's token of blog", "", false, false, by(root, deploy.Limit{Role: admin, App: "blog"})},
		{"a developer's token", developer, false, true, by(her, deploy.Limit{Role: developer})},
		{"a developer's token to read", viewer, false, false, by(her, deploy.Limit{Role: viewer})},
		{"a developer's token of blog", "", false, false, by(her, deploy.Limit{Role: developer, App: "blog"})},
		{"an operator's token", admin, true, false, by(operators, deploy.Limit{Role: admin})},
		{"an operator's token of blog", "", false, false, by(operators, deploy.Limit{Role: developer, App: "blog"})},
	}
}

// expected is the code of the answer to somebody, "" for yes.
func (s somebody) expected(n need) deploy.Code {
	may := false
	switch n {
	case all:
		may = s.all
	case dora:
		may = s.all || s.dora
	default:
		if s.role == "" {
			return deploy.CodeNotFound // to whom may not read it, it does not exist
		}
		may = deploy.Allows(s.role, s.role, map[need]deploy.Right{read: deploy.RightRead, push: deploy.RightPush, bypass: deploy.RightBypass}[n])
	}
	if !may {
		return deploy.CodeForbidden
	}
	return ""
}

// TestRights asks everything as everybody. What is not allowed is recorded by nothing, what is done with who
// did it; and no variable's value is recorded.
func TestRights(t *testing.T) {
	for _, s := range everybody() {
		t.Run(s.name, func(t *testing.T) {
			w := newWorld(t)
			w.apps()
			who := s.comes(w)
			if _, err := w.Store.User(t.Context(), "dora"); errors.Is(err, deploy.ErrNotFound) {
				w.person("dora", deploy.RoleDeveloper)
			}
			for _, d := range deeds() {
				before := w.Recorder.Head().Sequence
				err := d.do(t.Context(), w.Control, who)
				want := s.expected(d.need)
				if got := codeOf(err); got != want {
					t.Errorf("%s: %q, want %q: %v", d.name, got, want, err)
				}
				events := w.since(before)
				switch {
				case want != "" || d.record == "":
					if len(events) > 0 {
						t.Errorf("%s: recorded %v", d.name, events)
					}
				case len(events) == 0:
					t.Errorf("%s: nothing is recorded", d.name)
				default:
					first := events[len(events)-1] // the newest is the first of them
					if first.Type != d.record || first.Actor != who.Actor {
						t.Errorf("%s: recorded %s of %+v, want %s of %+v", d.name, first.Type, first.Actor, d.record, who.Actor)
					}
					for _, e := range events {
						if strings.Contains(e.Reason+string(e.Data), "s3cret") {
							t.Errorf("%s: a value is recorded: %s %s", d.name, e.Reason, e.Data)
						}
					}
				}
			}
		})
	}
}

func codeOf(err error) deploy.Code {
	if err == nil {
		return ""
	}
	if r, ok := deploy.AsRejection(err); ok {
		return r.Code
	}
	return deploy.Code("fault: " + err.Error())
}

// TestListsHoldWhatMayBeRead: what names no app tells of none that may not be read.
func TestListsHoldWhatMayBeRead(t *testing.T) {
	for _, s := range everybody() {
		t.Run(s.name, func(t *testing.T) {
			w := newWorld(t)
			w.apps()
			who := s.comes(w)
			w.Must(w.Control.Freeze(t.Context(), controltest.Operator(), "shop", "a zebra"))
			lists := map[string]func() (any, error){
				"apps":        func() (any, error) { return w.Control.Apps(t.Context(), who) },
				"queue":       func() (any, error) { return w.Control.Queue(t.Context(), who) },
				"deployments": func() (any, error) { return w.Control.Deployments(t.Context(), who, deploy.DeploymentFilter{}) },
				"events":      func() (any, error) { return w.Control.Events(t.Context(), who, deploy.EventFilter{Limit: 1000}) },
			}
			for name, list := range lists {
				got, err := list()
				w.Must(err)
				if tells := strings.Contains(fmt.Sprintf("%+v", got), "shop"); tells != (s.role != "") {
					t.Errorf("%s tell of shop: %v: %+v", name, tells, got)
				}
			}
		})
	}
}

// TestNoDifferenceToWhatIsNotThere: to a stranger an app that is there is refused in the words of one that
// is not.
func TestNoDifferenceToWhatIsNotThere(t *testing.T) {
	w := newWorld(t)
	w.apps()
	who := w.person("stan", deploy.RoleDeveloper)
	for _, right := range []deploy.Right{deploy.RightRead, deploy.RightPush, deploy.RightBypass} {
		_, there := w.Control.App(t.Context(), who, "shop", right)
		_, none := w.Control.App(t.Context(), who, "none", right)
		if got, want := there.Error(), strings.ReplaceAll(none.Error(), "none", "shop"); got != want {
			t.Errorf("%s: %q and %q", right, got, want)
		}
		_, there = w.Control.Deployment(t.Context(), who, 1, right)
		_, none = w.Control.Deployment(t.Context(), who, 7, right)
		if got, want := there.Error(), strings.ReplaceAll(none.Error(), "7", "1"); got != want {
			t.Errorf("%s: %q and %q", right, got, want)
		}
	}
}

// TestUnfreezeTellsWhatIsWrong: the app takes deployments again, and the admin hears what is not right.
func TestUnfreezeTellsWhatIsWrong(t *testing.T) {
	for name, test := range map[string]struct {
		wrong error
		says  string
	}{
		"a fault":     {errors.New("no such process"), "shop takes deployments again, but what runs could not be made what is recorded: the server's log says why"},
		"a rejection": {deploy.Reject(deploy.CodeSwitch, "the router does not answer"), "recorded: the router does not answer"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.apps()
			w.Must(w.Control.Freeze(t.Context(), controltest.Operator(), "shop", "x"))
			w.rest.wrong = test.wrong
			err := w.Control.Unfreeze(t.Context(), controltest.Operator(), "shop", "")
			if codeOf(err) != deploy.CodeUnavailable || !strings.Contains(err.Error(), test.says) {
				t.Errorf("the admin reads %v", err)
			}
			if state, err := w.Control.State(t.Context(), controltest.Operator(), "shop"); err != nil || state.Frozen != "" {
				t.Errorf("%+v, %v", state, err)
			}
		})
	}
}
