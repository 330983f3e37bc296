package store_test

import (
	"errors"
	"slices"
	"testing"

	"slipway/deploy"
	"slipway/deploy/store"
)

// names returns the names of apps.
func names(apps []deploy.App) []deploy.AppName {
	all := []deploy.AppName{}
	for _, a := range apps {
		all = append(all, a.Name)
	}
	return all
}

// company has two apps, an admin, a developer of one app, and a viewer of the other.
func company(t *testing.T) *history {
	h := newHistory(t)
	for _, e := range []deploy.Event{
		userCreated("root", deploy.RoleAdmin), userCreated("alice", deploy.RoleDeveloper), userCreated("victor", deploy.RoleViewer),
		keyAdded("root", "SHA256:root"), keyAdded("alice", "SHA256:alice"), keyAdded("alice", "SHA256:laptop"),
		appCreated("shop", 1), appCreated("blog", 2),
		granted("shop", "alice", deploy.RoleDeveloper), granted("blog", "victor", deploy.RoleViewer),
	} {
		h.add(e)
	}
	return h
}

func TestWhoSeesWhat(t *testing.T) {
	h := company(t)
	s, ctx := h.store, t.Context()
	for user, want := range map[deploy.UserName][]deploy.AppName{
		"root": {"blog", "shop"}, "alice": {"shop"}, "victor": {"blog"}, "nobody": {}, "": {},
	} {
		same(t, "the apps of "+string(user), names(got[[]deploy.App](t)(s.AppsVisible(ctx, user))), want)
	}
	same(t, "all apps", names(got[[]deploy.App](t)(s.Apps(ctx))), []deploy.AppName{"blog", "shop"})
	for _, test := range []struct {
		user deploy.UserName
		app  deploy.AppName
		want deploy.Role
	}{{"alice", "shop", deploy.RoleDeveloper}, {"alice", "blog", ""}, {"root", "shop", ""}, {"nobody", "shop", ""}} {
		_, role, err := s.Access(ctx, test.user, test.app)
		if err != nil || role != test.want {
			t.Errorf("%s has %q on %s, error %v; want %q", test.user, role, test.app, err, test.want)
		}
	}
	if _, _, err := s.Access(ctx, "root", "none"); !errors.Is(err, deploy.ErrNotFound) {
		t.Errorf("an app that does not exist: %v", err)
	}
	same(t, "grants", got[[]deploy.Grant](t)(s.Grants(ctx, "shop")),
		[]deploy.Grant{{App: "shop", User: "alice", Role: deploy.RoleDeveloper}})

	h.add(granted("shop", "alice", deploy.RoleViewer))
	_, role, err := s.Access(ctx, "alice", "shop")
	if err != nil || role != deploy.RoleViewer {
		t.Errorf("after another grant alice has %q, error %v", role, err)
	}
	h.add(granted("shop", "alice", ""))
	if _, role, _ := s.Access(ctx, "alice", "shop"); role != "" {
		t.Errorf("after the grant was taken away alice has %q", role)
	}
}

func TestRemovedUserLosesKeysAndGrants(t *testing.T) {
	h := company(t)
	s, ctx := h.store, t.Context()
	same(t, "keys", len(got[[]deploy.Key](t)(s.Keys(ctx, "alice"))), 2)
	same(t, "whose key", got[deploy.User](t)(s.UserByKey(ctx, "SHA256:laptop")).Name, "alice")
	h.add(deploy.Event{Type: deploy.EventKeyRemoved}.WithData(deploy.Key{User: "alice", Fingerprint: "SHA256:laptop"}))
	if _, err := s.UserByKey(ctx, "SHA256:laptop"); !errors.Is(err, deploy.ErrNotFound) {
		t.Errorf("a removed key: %v", err)
	}
	h.add(deploy.Event{Type: deploy.EventUserRemoved}.WithData(deploy.User{Name: "alice"}))
	if _, err := s.UserByKey(ctx, "SHA256:alice"); !errors.Is(err, deploy.ErrNotFound) {
		t.Errorf("the key of a removed user: %v", err)
	}
	if _, err := s.User(ctx, "alice"); !errors.Is(err, deploy.ErrNotFound) {
		t.Errorf("a removed user: %v", err)
	}
	h.add(userCreated("alice", deploy.RoleDeveloper))
	if _, role, _ := s.Access(ctx, "alice", "shop"); role != "" {
		t.Errorf("a new user of the same name has the old one's role %q", role)
	}
}

// TestRemovedApp is not to be seen any more, while what was deployed stays; a new app of that name
// starts from nothing, and who may see the new one does not see the old one's history.
func TestRemovedApp(t *testing.T) {
	h := company(t)
	s, ctx := h.store, t.Context()
	h.accept(1, 0, oid("0"), oid("a"))
	h.add(deploy.Event{Type: deploy.EventAppRemoved, App: "shop"})
	if _, err := s.App(ctx, "shop"); !errors.Is(err, deploy.ErrNotFound) {
		t.Errorf("the removed app: %v", err)
	}
	if _, err := s.Releases(ctx, "shop"); !errors.Is(err, deploy.ErrNotFound) {
		t.Errorf("its releases: %v", err)
	}
	same(t, "targets", len(got[[]deploy.TargetState](t)(s.TargetStates(ctx))), 0)
	same(t, "history", len(got[[]deploy.Deployment](t)(s.Deployments(ctx, deploy.DeploymentFilter{App: "shop"}))), 1)
	same(t, "the next ID", got[uint32](t)(s.NextAppID(ctx)), 3)
	h.add(deploy.Event{Type: deploy.EventAppRemoved, App: "blog"})
	same(t, "the next ID", got[uint32](t)(s.NextAppID(ctx)), 3)

	if gone := names(got[[]deploy.App](t)(s.RemovedApps(ctx))); !slices.Equal(gone, []deploy.AppName{"shop", "blog"}) {
		t.Errorf("removed apps: %v", gone)
	}

	h.add(appCreated("shop", 3))
	if gone := names(got[[]deploy.App](t)(s.RemovedApps(ctx))); !slices.Equal(gone, []deploy.AppName{"blog"}) {
		t.Errorf("removed apps whose name is free: %v", gone)
	}
	h.add(granted("shop", "victor", deploy.RoleViewer))
	shop := deploy.Target{App: "shop", Environment: deploy.Production}
	same(t, "the new app's target", got[deploy.TargetState](t)(s.TargetState(ctx, shop)), deploy.TargetState{Target: shop})
	same(t, "what victor sees", len(got[[]deploy.Deployment](t)(s.Deployments(ctx, deploy.DeploymentFilter{VisibleTo: deploy.Scope{User: "victor"}}))), 0)
	same(t, "what an admin sees", len(got[[]deploy.Deployment](t)(s.Deployments(ctx, deploy.DeploymentFilter{VisibleTo: deploy.Scope{User: "root"}}))), 1)
	if _, role, _ := s.Access(ctx, "alice", "shop"); role != "" {
		t.Errorf("alice kept the role %q on the new app", role)
	}
}

func TestCheckRefusesWhatContradicts(t *testing.T) {
	h := company(t)
	h.accept(1, 0, oid("0"), oid("a"))
	head := uint64(len(h.events))
	userRemoved := deploy.Event{Type: deploy.EventUserRemoved}
	keyRemoved := deploy.Event{Type: deploy.EventKeyRemoved}
	elsewhere := queued(2, oid("b"))
	elsewhere.App = "none"
	tests := map[string]struct {
		e    deploy.Event
		want error
	}{
		"a user twice":           {userCreated("alice", deploy.RoleViewer), deploy.ErrExists},
		"a new user":             {userCreated("bob", deploy.RoleViewer), nil},
		"nobody removed":         {userRemoved.WithData(deploy.User{Name: "bob"}), deploy.ErrNotFound},
		"a user removed":         {userRemoved.WithData(deploy.User{Name: "alice"}), nil},
		"somebody else's key":    {keyAdded("victor", "SHA256:alice"), deploy.ErrExists},
		"a key of nobody":        {keyAdded("bob", "SHA256:bob"), deploy.ErrNotFound},
		"a new key":              {keyAdded("victor", "SHA256:victor"), nil},
		"no key removed":         {keyRemoved.WithData(deploy.Key{Fingerprint: "SHA256:bob"}), deploy.ErrNotFound},
		"an app twice":           {appCreated("shop", 3), deploy.ErrExists},
		"an ID twice":            {appCreated("wiki", 2), deploy.ErrExists},
		"a new app":              {appCreated("wiki", 3), nil},
		"no app removed":         {deploy.Event{Type: deploy.EventAppRemoved, App: "wiki"}, deploy.ErrNotFound},
		"a grant to nobody":      {granted("shop", "bob", deploy.RoleViewer), deploy.ErrNotFound},
		"a grant on nothing":     {granted("wiki", "alice", deploy.RoleViewer), deploy.ErrNotFound},
		"a grant":                {granted("blog", "alice", deploy.RoleViewer), nil},
		"a number twice":         {queued(1, oid("b")), deploy.ErrExists},
		"a new number":           {queued(2, oid("b")), nil},
		"a stage of nothing":     {of(9, deploy.EventStageStarted), nil},
		"a freeze of nothing":    {deploy.Event{Type: deploy.EventTargetFrozen, App: "none"}, nil},
		"what nobody knows yet":  {deploy.Event{Type: "of.tomorrow"}, nil},
		"an app's name in Event": {deploy.Event{Type: deploy.EventGrantSet, App: "shop"}.WithData(deploy.Grant{User: "victor"}), nil},
	}
	for name, test := range tests {
		if err := h.store.Check(t.Context(), test.e, head); !errors.Is(err, test.want) || (test.want == nil) != (err == nil) {
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		}
	}
	if err := h.store.Check(t.Context(), userCreated("bob", deploy.RoleViewer), head+1); !errors.Is(err, store.ErrBehind) {
		t.Errorf("a database that is behind: got %v, want %v", err, store.ErrBehind)
	}
	if err := h.store.Check(t.Context(), of(1, deploy.EventRollbackIntended), head+1); err != nil {
		t.Errorf("a rollback with a database that is behind: %v", err)
	}
}
