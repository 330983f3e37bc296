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
	User      UserName  `json:"user,omitempty"` // empty if it was opened by a token that belongs to nobody
	Limit     *Limit    `json:"limit,omitempty"`
	Hash      string    `json:"hash,omitempty"` // SHA-256 of the cookie's value, hexadecimal
	Agent     string    `json:"agent"`          // what the browser calls itself, at most 200 bytes
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
