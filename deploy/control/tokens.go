package control

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"

	"slipway/deploy"
)

// A token's secret is slipway_ID_RANDOM, so that scanners of source code find it. RANDOM has 130 bits.
var secretPattern = regexp.MustCompile(`^slipway_([a-z2-7]{10})_([a-z2-7]{26})$`)

// maxTokens is how many tokens one user may have that were not revoked.
const maxTokens = 100

// CreateToken makes a token that stands for the caller's user, with at most the limit's rights. It
// returns the secret, which is kept nowhere.
func (c *Control) CreateToken(ctx context.Context, who deploy.Caller, n deploy.NewToken) (deploy.Token, string, error) {
	if err := c.mayCreate(ctx, who, n); err != nil {
		return deploy.Token{}, "", err
	}
	id := strings.ToLower(rand.Text()[:10])
	secret := "slipway_" + id + "_" + strings.ToLower(rand.Text())
	t := deploy.Token{ID: id, Name: n.Name, User: who.User, Limit: n.Limit, Hash: hashOf(secret), CreatedAt: now()}
	if n.Expires > 0 {
		t.ExpiresAt = t.CreatedAt.Add(n.Expires)
	}
	if err := c.Record(ctx, who, deploy.Event{Type: deploy.EventTokenCreated}.WithData(t)); err != nil {
		return deploy.Token{}, "", err
	}
	return public(t), secret, nil
}

var tokenName = regexp.MustCompile(`^[\pL\pN][\pL\pN ._@/:+-]{0,99}$`)

func (c *Control) mayCreate(ctx context.Context, who deploy.Caller, n deploy.NewToken) error {
	if !whole(who) {
		return deploy.Reject(deploy.CodeForbidden, "a token with less than your own rights cannot make tokens").
			WithHint("make it by your key: ssh HOST token create NAME")
	}
	if !tokenName.MatchString(n.Name) {
		return deploy.Reject(deploy.CodeUsage, "%.60q is not a token's name: use letters, digits, spaces and ._@/:+-, at most 100", n.Name)
	}
	if _, err := deploy.ParseRole(string(n.Limit.Role)); err != nil {
		return deploy.Reject(deploy.CodeUsage, "%v", err)
	}
	if n.Limit.Role == deploy.RoleAdmin && !who.Admin {
		return deploy.Reject(deploy.CodeForbidden, "a token cannot have more rights than you have: you are no admin")
	}
	if n.Expires < 0 {
		return deploy.Reject(deploy.CodeUsage, "a token cannot have expired when it is made")
	}
	if n.Limit.App != "" {
		if _, err := c.App(ctx, who, n.Limit.App, deploy.RightRead); err != nil {
			return err
		}
	}
	mine, err := c.tokensOf(ctx, who.User)
	if err != nil {
		return err
	}
	if len(mine) >= maxTokens {
		return deploy.Reject(deploy.CodeLimit, "there are %d tokens of yours already", len(mine)).WithHint("slipway token revoke ID   ends one")
	}
	return nil
}

// Tokens returns the caller's tokens that were not revoked, and everybody's for admins, without hashes.
func (c *Control) Tokens(ctx context.Context, who deploy.Caller) ([]deploy.Token, error) {
	if who.Everything() {
		all, err := c.Records.Tokens(ctx)
		for i := range all {
			all[i] = public(all[i])
		}
		return all, err
	}
	if !whole(who) {
		return nil, NeedAdmin(who)
	}
	return c.tokensOf(ctx, who.User)
}

func (c *Control) tokensOf(ctx context.Context, user deploy.UserName) ([]deploy.Token, error) {
	all, err := c.Records.Tokens(ctx)
	all = slices.DeleteFunc(all, func(t deploy.Token) bool { return t.User != user })
	for i := range all {
		all[i] = public(all[i])
	}
	return all, err
}

// public is a token as people see it.
func public(t deploy.Token) deploy.Token {
	t.Hash = ""
	return t
}

// RevokeToken ends a token, the caller's own or, for admins, anybody's.
func (c *Control) RevokeToken(ctx context.Context, who deploy.Caller, id string) (deploy.Token, error) {
	missing := deploy.Reject(deploy.CodeNotFound, "there is no token %.60q", id).WithHint("slipway token list")
	t, err := c.Records.Token(ctx, id)
	if errors.Is(err, deploy.ErrNotFound) || err == nil && (!t.RevokedAt.IsZero() || ownOrAdmin(who, t.User) != nil) {
		return deploy.Token{}, missing
	}
	if err != nil {
		return deploy.Token{}, err
	}
	return public(t), c.recordRevoked(ctx, who, t)
}

func (c *Control) recordRevoked(ctx context.Context, who deploy.Caller, t deploy.Token) error {
	return c.Record(ctx, who, deploy.Event{Type: deploy.EventTokenRevoked}.WithData(deploy.Token{ID: t.ID, Name: t.Name, User: t.User, Limit: t.Limit}))
}

// revokeTokens ends the tokens of what is about to be removed, each with a record of its own. One that is
// made meanwhile ends with what is removed, and one that somebody else has ended meanwhile is well ended.
func (c *Control) revokeTokens(ctx context.Context, who deploy.Caller, those func(deploy.Token) bool) error {
	all, err := c.Records.Tokens(ctx)
	if err != nil {
		return err
	}
	for _, t := range all {
		if !those(t) {
			continue
		}
		err := c.recordRevoked(ctx, who, t)
		if r, ok := deploy.AsRejection(err); ok && r.Code == deploy.CodeNotFound {
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// CallerByToken returns who comes with a token's secret: the user with the rights that it has now,
// narrowed by the token. Where from is known to the caller of this method: origin is api or web. Any
// secret that does not work is the same rejection.
func (c *Control) CallerByToken(ctx context.Context, secret, ip, origin string) (deploy.Caller, deploy.Token, error) {
	refused := deploy.Reject(deploy.CodeUnauthorized, "the token is unknown, revoked or has expired")
	m := secretPattern.FindStringSubmatch(secret)
	if m == nil {
		return deploy.Caller{}, deploy.Token{}, refused
	}
	t, err := c.Records.Token(ctx, m[1])
	if err != nil && !errors.Is(err, deploy.ErrNotFound) {
		return deploy.Caller{}, deploy.Token{}, err
	}
	same := subtle.ConstantTimeCompare([]byte(t.Hash), []byte(hashOf(secret))) == 1
	if !same || !valid(t) {
		return deploy.Caller{}, deploy.Token{}, refused
	}
	who, err := c.callerOf(ctx, t, ip, origin)
	if errors.Is(err, deploy.ErrNotFound) {
		return deploy.Caller{}, deploy.Token{}, refused
	}
	return who, public(t), err
}

// valid tells whether a token was neither revoked nor has expired.
func valid(t deploy.Token) bool {
	return t.RevokedAt.IsZero() && (t.ExpiresAt.IsZero() || time.Now().Before(t.ExpiresAt))
}

func (c *Control) callerOf(ctx context.Context, t deploy.Token, ip, origin string) (deploy.Caller, error) {
	key := deploy.KeyToken + t.ID
	who := deploy.Caller{
		Actor: deploy.Actor{Type: deploy.ActorToken, Name: t.Name, Key: key, IP: ip, Origin: origin},
		Admin: true, Key: deploy.Pusher{Fingerprint: key, IP: ip}, Limit: &t.Limit,
	}
	if t.User == "" {
		return who, nil
	}
	user, err := c.Records.User(ctx, t.User)
	if err != nil {
		return deploy.Caller{}, err
	}
	who.User, who.Admin = user.Name, user.Role == deploy.RoleAdmin
	who.Actor.Type, who.Actor.Name = deploy.ActorUser, string(user.Name)
	return who, nil
}

// SignInFailed records that somebody tried to come in: at once, or, while they try again and again, once a
// minute how often, which needs [Control.Run].
func (c *Control) SignInFailed(ctx context.Context, secret, ip, origin string) error {
	actor := deploy.Actor{Type: deploy.ActorUser, IP: ip, Origin: origin}
	if m := secretPattern.FindStringSubmatch(secret); m != nil {
		actor.Key = deploy.KeyToken + m[1]
	}
	e, alone := c.failures.Add(actor, "the token or link is unknown, revoked or has expired", time.Now())
	if !alone {
		return nil
	}
	return c.Record(ctx, deploy.Caller{Actor: e.Actor}, e)
}

// recordFailure records failed sign-ins that were put together.
func (c *Control) recordFailure(ctx context.Context, e deploy.Event) {
	if err := c.Record(ctx, deploy.Caller{Actor: e.Actor}, e); err != nil {
		c.Logger.Error("recording failed sign-ins", "ip", e.Actor.IP, "error", err)
	}
}

func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}
