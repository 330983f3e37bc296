package control

import (
	"context"
	"errors"
	"strings"

	"golang.org/x/crypto/ssh"

	"slipway/deploy"
)

// MaxKeys bounds what is taken as public keys at once, in bytes.
const MaxKeys = 16 << 10

// Keys returns a user's keys, oldest first, for the user and for admins.
func (c *Control) Keys(ctx context.Context, who deploy.Caller, user deploy.UserName) ([]deploy.Key, error) {
	if _, err := c.User(ctx, who, user); err != nil {
		return nil, err
	}
	return c.Records.Keys(ctx, user)
}

// AddKeys gives a user the keys of authorized_keys lines.
func (c *Control) AddKeys(ctx context.Context, who deploy.Caller, user deploy.UserName, lines []byte) ([]deploy.Key, error) {
	if _, err := c.User(ctx, who, user); err != nil {
		return nil, err
	}
	keys, err := c.parseKeys(ctx, user, lines)
	if err != nil {
		return nil, err
	}
	return keys, c.addKeys(ctx, who, keys)
}

func (c *Control) addKeys(ctx context.Context, who deploy.Caller, keys []deploy.Key) error {
	for _, key := range keys {
		if err := c.Record(ctx, who, deploy.Event{Type: deploy.EventKeyAdded}.WithData(key)); err != nil {
			return err
		}
	}
	return nil
}

// parseKeys reads public keys in the authorized_keys format. None of them may be registered.
func (c *Control) parseKeys(ctx context.Context, user deploy.UserName, b []byte) ([]deploy.Key, error) {
	if len(b) > MaxKeys {
		return nil, deploy.Reject(deploy.CodeUsage, "that is more than %d KiB: not a public key", MaxKeys>>10)
	}
	var keys []deploy.Key
	for len(strings.TrimSpace(string(b))) > 0 {
		parsed, comment, _, rest, err := ssh.ParseAuthorizedKey(b)
		if err != nil {
			return nil, notAKey(b)
		}
		b = rest
		line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(parsed)))
		if comment != "" {
			line += " " + comment
		}
		key := deploy.Key{User: user, Fingerprint: ssh.FingerprintSHA256(parsed), Line: line, AddedAt: now()}
		if owner, err := c.Records.UserByKey(ctx, key.Fingerprint); err == nil {
			return nil, deploy.Reject(deploy.CodeExists, "the key %s is registered already, for user %s", key.Fingerprint, owner.Name)
		} else if !errors.Is(err, deploy.ErrNotFound) {
			return nil, err
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, deploy.Reject(deploy.CodeUsage, "no public key in what was given").WithHint("pipe it in or name its file: -key ~/.ssh/id_ed25519.pub")
	}
	return keys, nil
}

func notAKey(b []byte) error {
	hint := "give the .pub file, such as ~/.ssh/id_ed25519.pub"
	if strings.Contains(string(b), "PRIVATE KEY") {
		return deploy.Reject(deploy.CodeUsage, "this is a private key: keep it to yourself").WithHint("%s", hint)
	}
	return deploy.Reject(deploy.CodeUsage, "no public key in what was given").WithHint("%s", hint)
}

// RemoveKey takes a key from a user.
func (c *Control) RemoveKey(ctx context.Context, who deploy.Caller, user deploy.UserName, fingerprint string) error {
	keys, err := c.Keys(ctx, who, user)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if k.Fingerprint == fingerprint {
			return c.Record(ctx, who, deploy.Event{Type: deploy.EventKeyRemoved}.WithData(k))
		}
	}
	return deploy.Reject(deploy.CodeNotFound, "user %s has no key %.100s", user, fingerprint).WithHint("slipway key list %s", user)
}
