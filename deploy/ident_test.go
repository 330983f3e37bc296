package deploy

import (
	"strings"
	"testing"
)

func TestParseAppName(t *testing.T) {
	for _, good := range []string{"a", "shop", "shop-2", "a1", strings.Repeat("a", 40)} {
		if got, err := ParseAppName(good); err != nil || string(got) != good {
			t.Errorf("ParseAppName(%q) = %q, %v", good, got, err)
		}
	}
	for _, bad := range []string{"", "-a", "a-", "A", "1a", "a.b", "a/b", "..", "a\n", "ä", strings.Repeat("a", 41)} {
		if got, err := ParseAppName(bad); err == nil {
			t.Errorf("ParseAppName(%q) = %q, want an error", bad, got)
		}
	}
}

func TestParseOID(t *testing.T) {
	for s, good := range map[string]bool{
		strings.Repeat("a", 40): true, strings.Repeat("0", 64): true,
		strings.Repeat("a", 41): false, strings.Repeat("A", 40): false, "": false, "--help": false,
	} {
		if _, err := ParseOID(s); (err == nil) != good {
			t.Errorf("ParseOID(%q): %v", s, err)
		}
	}
	for s, want := range map[string]OID{
		"3f2c": "3f2c", "3F2C9e1": "3f2c9e1", strings.Repeat("A", 64): OID(strings.Repeat("a", 64)),
		"3f2": "", "": "", "main": "", "3f2c%": "", "3f2c ": "", strings.Repeat("a", 65): "",
	} {
		if got, err := ParseOIDPrefix(s); got != want || (err == nil) != (want != "") {
			t.Errorf("ParseOIDPrefix(%q) = %q, %v", s, got, err)
		}
	}
	if !OID(strings.Repeat("0", 40)).IsZero() || !OID("").IsZero() || OID(strings.Repeat("a", 40)).IsZero() {
		t.Error("IsZero is wrong")
	}
}

func TestAllows(t *testing.T) {
	for _, c := range []struct {
		user, grant Role
		right       Right
		want        bool
	}{
		{RoleAdmin, "", RightBypass, true},
		{RoleDeveloper, "", RightRead, false}, // a user's role alone opens no app
		{RoleDeveloper, RoleDeveloper, RightPush, true},
		{RoleDeveloper, RoleDeveloper, RightBypass, false},
		{RoleViewer, RoleViewer, RightRead, true},
		{RoleViewer, RoleViewer, RightPush, false},
		{RoleViewer, RoleDeveloper, RightPush, true},
	} {
		if got := Allows(c.user, c.grant, c.right); got != c.want {
			t.Errorf("Allows(%q, %q, %q) = %t", c.user, c.grant, c.right, got)
		}
	}
}
