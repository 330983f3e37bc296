package deploy

import "testing"

// TestRoleOn: a limit takes away and never gives.
func TestRoleOn(t *testing.T) {
	admin, user := Caller{Admin: true}, Caller{User: "alice"}
	limited := func(c Caller, l Limit) Caller { c.Limit = &l; return c }
	for name, c := range map[string]struct {
		caller     Caller
		grant      Role
		want       Role
		everything bool
	}{
		"admin":                         {admin, "", RoleAdmin, true},
		"granted":                       {user, RoleDeveloper, RoleDeveloper, false},
		"not granted":                   {user, "", "", false},
		"admin as admin":                {limited(admin, Limit{Role: RoleAdmin}), "", RoleAdmin, true},
		"admin as viewer":               {limited(admin, Limit{Role: RoleViewer}), "", RoleViewer, false},
		"admin on this app":             {limited(admin, Limit{Role: RoleAdmin, App: "shop"}), "", RoleAdmin, false},
		"admin on another app":          {limited(admin, Limit{Role: RoleAdmin, App: "blog"}), "", "", false},
		"viewer as admin":               {limited(user, Limit{Role: RoleAdmin}), RoleViewer, RoleViewer, false},
		"developer as viewer":           {limited(user, Limit{Role: RoleViewer}), RoleDeveloper, RoleViewer, false},
		"developer as developer":        {limited(user, Limit{Role: RoleDeveloper, App: "shop"}), RoleDeveloper, RoleDeveloper, false},
		"developer on another app":      {limited(user, Limit{Role: RoleDeveloper, App: "blog"}), RoleDeveloper, "", false},
		"without a role":                {limited(user, Limit{}), RoleDeveloper, "", false},
		"nobody's grant stays nothing":  {limited(user, Limit{Role: RoleAdmin, App: "shop"}), "", "", false},
		"admin with a limit of no role": {limited(admin, Limit{}), RoleDeveloper, "", false},
	} {
		if got := c.caller.RoleOn("shop", c.grant); got != c.want {
			t.Errorf("%s: is %q on shop, want %q", name, got, c.want)
		}
		if got := c.caller.Everything(); got != c.everything {
			t.Errorf("%s: may do everything: %v", name, got)
		}
	}
}

// TestScope: only who may read all has the scope of everything.
func TestScope(t *testing.T) {
	shop := &Limit{Role: RoleViewer, App: "shop"}
	for name, c := range map[string]struct {
		caller Caller
		want   Scope
	}{
		"admin":              {Caller{User: "olga", Admin: true}, Scope{}},
		"admin's shop token": {Caller{User: "olga", Admin: true, Limit: shop}, Scope{App: "shop"}},
		"user":               {Caller{User: "vera"}, Scope{User: "vera"}},
		"user's shop token":  {Caller{User: "vera", Limit: shop}, Scope{User: "vera", App: "shop"}},
		"nobody":             {Caller{}, Scope{User: nobody}},
	} {
		if got := c.caller.Scope(); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}
