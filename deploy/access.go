package deploy

import (
	"fmt"
	"time"
)

// Role is what a user may do: admin everywhere, developer or viewer per app.
type Role string

// The roles.
const (
	RoleAdmin     Role = "admin"     // everything, on every app
	RoleDeveloper Role = "developer" // as a grant: push and read; as a user's role: nothing by itself
	RoleViewer    Role = "viewer"    // as a grant: read; as a user's role: nothing by itself
)

// ParseRole checks s as a role.
func ParseRole(s string) (Role, error) {
	switch r := Role(s); r {
	case RoleAdmin, RoleDeveloper, RoleViewer:
		return r, nil
	}
	return "", fmt.Errorf("%.40q is not a role: use admin, developer or viewer", s)
}

// User is a person or a machine with keys. Apps are private: whoever is not an admin sees an app only
// by a grant.
type User struct {
	Name      UserName  `json:"name"`
	Role      Role      `json:"role"`
	CreatedAt time.Time `json:"createdAt"`
}

// Key is a public key of a user.
type Key struct {
	User        UserName  `json:"user"`
	Fingerprint string    `json:"fingerprint"` // SHA256:…
	Line        string    `json:"line"`        // in the authorized_keys format, without options
	AddedAt     time.Time `json:"addedAt"`
}

// Grant gives a user a role on an app.
type Grant struct {
	App  AppName  `json:"app"`
	User UserName `json:"user"`
	Role Role     `json:"role"`
}

// Right is something one may want to do to an app.
type Right string

// The rights.
const (
	RightRead   Right = "read"   // fetch, history, logs
	RightPush   Right = "push"   // push, cancel, roll back
	RightBypass Right = "bypass" // force past the gate, freeze
)

// least returns the role that may do less.
func least(a, b Role) Role {
	for _, r := range []Role{"", RoleViewer, RoleDeveloper} {
		if a == r || b == r {
			return r
		}
	}
	return RoleAdmin
}

// Allows tells whether a user of role u, granted g on an app ("" for no grant), has right r on it.
func Allows(u, g Role, r Right) bool {
	if u == RoleAdmin {
		return true
	}
	switch r {
	case RightRead:
		return g == RoleDeveloper || g == RoleViewer
	case RightPush:
		return g == RoleDeveloper
	}
	return false
}
