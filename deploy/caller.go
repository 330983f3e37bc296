package deploy

import "time"

// Caller is who asks something of the server: a person by key, by token or by session, or the operator at
// the server's own socket.
type Caller struct {
	Actor Actor
	User  UserName // "" for the operator, and for a token that belongs to nobody
	Admin bool     // may do everything within Limit
	Key   Pusher   // with which the user signed in over SSH; zero otherwise
	Limit *Limit   // nil for none
}

// Everything tells whether the caller may do everything everywhere.
func (c Caller) Everything() bool {
	return c.Admin && (c.Limit == nil || c.Limit.Role == RoleAdmin && c.Limit.App == "")
}

// RoleOn is what the caller is on an app on which grant was given to its user, "" for nobody: RoleAdmin
// may do everything to it.
func (c Caller) RoleOn(app AppName, grant Role) Role {
	role := grant
	if c.Admin {
		role = RoleAdmin
	}
	if c.Limit == nil {
		return role
	}
	if c.Limit.App != "" && c.Limit.App != app {
		return ""
	}
	return least(role, c.Limit.Role)
}

// Scope is the apps that the caller may read of.
func (c Caller) Scope() Scope {
	s := Scope{User: c.User}
	if c.User == "" && !c.Admin {
		s.User = nobody // the zero scope is everything
	}
	if c.Admin {
		s.User = ""
	}
	if c.Limit != nil {
		s.App = c.Limit.App
	}
	return s
}

// nobody cannot be the name of a user.
const nobody UserName = "-"

// Pusher is the caller as the gate sees one whose role on the app is given.
func (c Caller) Pusher(role Role) Pusher {
	p := c.Key
	p.User, p.Admin = c.User, role == RoleAdmin
	if c.User == "" {
		p.User = Operator
	}
	return p
}

// Limit narrows what a caller may do to less than the user's own rights: that of a token.
type Limit struct {
	Role Role    `json:"role"`          // at most this
	App  AppName `json:"app,omitempty"` // only this app; all if empty
}

// Token is a secret that stands for a caller in the API. Only its hash is kept.
type Token struct {
	ID        string    `json:"id"` // the part of the secret that may be shown
	Name      string    `json:"name"`
	User      UserName  `json:"user,omitempty"` // whose rights it has; empty for one that an operator made
	Limit     Limit     `json:"limit"`
	Hash      string    `json:"hash,omitempty"` // SHA-256 of the whole secret, hexadecimal
	CreatedAt time.Time `json:"createdAt"`
	ExpiresAt time.Time `json:"expiresAt,omitzero"` // zero for never
	RevokedAt time.Time `json:"revokedAt,omitzero"`
}

// Session is a browser that is signed in. Only the hash of its cookie is kept.
type Session struct {
	ID        string    `json:"id"`
	User      UserName  `json:"user,omitempty"`  // empty for an operator, and if a token opened it that belongs to nobody
	Token     string    `json:"token,omitempty"` // ID of the token that opened it, with whose limit, and until its end; empty for a link
	Hash      string    `json:"hash,omitempty"`  // SHA-256 of the cookie's value, hexadecimal
	Agent     string    `json:"agent"`           // what the browser calls itself, at most 200 bytes
	IP        string    `json:"ip"`
	OpenedAt  time.Time `json:"openedAt"`
	ExpiresAt time.Time `json:"expiresAt"`
}

// Regression says that an accepted deployment had broken something, as was found out later.
type Regression struct {
	Deployment Number    `json:"deployment"`
	Reason     string    `json:"reason"`
	FixedBy    Number    `json:"fixedBy,omitempty"` // the deployment that mended it; zero if none has
	MarkedAt   time.Time `json:"markedAt"`
}

// Visit is where somebody signs in from.
type Visit struct {
	IP    string
	Agent string // what the browser calls itself
}
