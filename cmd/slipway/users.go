package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/crypto/ssh"

	"slipway/deploy"
)

// maxKey bounds what is read as a public key, in bytes.
const maxKey = 16 << 10

func (c *commands) userAdd(ctx context.Context, who caller, args []string, std stdio) error {
	f := newFlags("user add")
	roleName := f.String("role", string(deploy.RoleDeveloper), "")
	key := f.String("key", "", "")
	names, err := f.parse(args, 1, 1)
	if err != nil {
		return err
	}
	if err := who.needAdmin(); err != nil {
		return err
	}
	name, err := deploy.ParseUserName(names[0])
	if err != nil {
		return usageError(err.Error())
	}
	role, err := deploy.ParseRole(*roleName)
	if err != nil {
		return usageError(err.Error())
	}
	if _, err := c.store.User(ctx, name); err == nil {
		return deploy.Reject(deploy.CodeExists, "there is a user %q already", name).WithHint("slipway key add %s -key FILE   adds another key", name)
	} else if !errors.Is(err, deploy.ErrNotFound) {
		return err
	}
	var keys []deploy.Key
	if *key != "" {
		if keys, err = c.readKeys(ctx, name, std.in); err != nil {
			return err
		}
	}
	user := deploy.User{Name: name, Role: role, CreatedAt: now()}
	if err := c.record(ctx, who, deploy.Event{Type: deploy.EventUserCreated}.WithData(user)); err != nil {
		return err
	}
	fmt.Fprintf(std.out, "user %s added (%s)\n", name, role)
	return c.addKeys(ctx, who, keys, std)
}

// now is the present, as it is recorded.
func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

// readKeys reads public keys in the authorized_keys format. None of them may be registered.
func (c *commands) readKeys(ctx context.Context, user deploy.UserName, in io.Reader) ([]deploy.Key, error) {
	b, err := io.ReadAll(io.LimitReader(in, maxKey+1))
	if err != nil {
		return nil, fmt.Errorf("reading the key: %w", err)
	}
	if len(b) > maxKey {
		return nil, deploy.Reject(deploy.CodeUsage, "that is more than %d KiB: not a public key", maxKey>>10)
	}
	var keys []deploy.Key
	for len(strings.TrimSpace(string(b))) > 0 {
		parsed, comment, _, rest, err := ssh.ParseAuthorizedKey(b)
		if err != nil {
			hint := "give the .pub file, such as ~/.ssh/id_ed25519.pub"
			if strings.Contains(string(b), "PRIVATE KEY") {
				return nil, deploy.Reject(deploy.CodeUsage, "this is a private key: keep it to yourself").WithHint("%s", hint)
			}
			return nil, deploy.Reject(deploy.CodeUsage, "no public key in what was given").WithHint("%s", hint)
		}
		b = rest
		line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(parsed)))
		if comment != "" {
			line += " " + comment
		}
		key := deploy.Key{User: user, Fingerprint: ssh.FingerprintSHA256(parsed), Line: line, AddedAt: now()}
		if owner, err := c.store.UserByKey(ctx, key.Fingerprint); err == nil {
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

func (c *commands) addKeys(ctx context.Context, who caller, keys []deploy.Key, std stdio) error {
	for _, key := range keys {
		if err := c.record(ctx, who, deploy.Event{Type: deploy.EventKeyAdded}.WithData(key)); err != nil {
			return err
		}
		fmt.Fprintf(std.out, "key %s added for %s\n", key.Fingerprint, key.User)
	}
	return nil
}

func (c *commands) userList(ctx context.Context, who caller, args []string, std stdio) error {
	if _, err := newFlags("user list").parse(args, 0, 0); err != nil {
		return err
	}
	if err := who.needAdmin(); err != nil {
		return err
	}
	users, err := c.store.Users(ctx)
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(std.out, 0, 8, 2, ' ', 0)
	for _, u := range users {
		keys, err := c.store.Keys(ctx, u.Name)
		if err != nil {
			return err
		}
		fmt.Fprintf(t, "%s\t%s\t%d keys\tsince %s\n", u.Name, u.Role, len(keys), day(u.CreatedAt))
	}
	return t.Flush()
}

// day writes a date for people.
func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

func (c *commands) userRemove(ctx context.Context, who caller, args []string, std stdio) error {
	names, err := newFlags("user remove").parse(args, 1, 1)
	if err != nil {
		return err
	}
	if err := who.needAdmin(); err != nil {
		return err
	}
	user, err := c.user(ctx, names[0])
	if err != nil {
		return err
	}
	if err := c.record(ctx, who, deploy.Event{Type: deploy.EventUserRemoved}.WithData(user)); err != nil {
		return err
	}
	fmt.Fprintf(std.out, "user %s removed, with all keys and grants\n", user.Name)
	return nil
}

func (c *commands) user(ctx context.Context, name string) (deploy.User, error) {
	parsed, err := deploy.ParseUserName(name)
	if err != nil {
		return deploy.User{}, usageError(err.Error())
	}
	user, err := c.store.User(ctx, parsed)
	if errors.Is(err, deploy.ErrNotFound) {
		return user, deploy.Reject(deploy.CodeNotFound, "there is no user %q", parsed).WithHint("slipway user list")
	}
	return user, err
}

// ownOrAdmin lets people manage their own keys.
func (w caller) ownOrAdmin(u deploy.UserName) error {
	if w.user == u && u != "" {
		return nil
	}
	return w.needAdmin()
}

func (c *commands) keyAdd(ctx context.Context, who caller, args []string, std stdio) error {
	f := newFlags("key add")
	_ = f.String("key", "-", "")
	names, err := f.parse(args, 1, 1)
	if err != nil {
		return err
	}
	if err := who.ownOrAdmin(deploy.UserName(names[0])); err != nil {
		return err
	}
	user, err := c.user(ctx, names[0])
	if err != nil {
		return err
	}
	keys, err := c.readKeys(ctx, user.Name, std.in)
	if err != nil {
		return err
	}
	return c.addKeys(ctx, who, keys, std)
}

func (c *commands) keyList(ctx context.Context, who caller, args []string, std stdio) error {
	names, err := newFlags("key list").parse(args, 0, 1)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		names = []string{string(who.user)}
	}
	if err := who.ownOrAdmin(deploy.UserName(names[0])); err != nil {
		return err
	}
	user, err := c.user(ctx, names[0])
	if err != nil {
		return err
	}
	keys, err := c.store.Keys(ctx, user.Name)
	if err != nil {
		return err
	}
	for _, k := range keys {
		fmt.Fprintf(std.out, "%s  %s  since %s\n", k.Fingerprint, comment(k.Line), day(k.AddedAt))
	}
	return nil
}

// comment returns the third word of an authorized_keys line, and what follows.
func comment(line string) string {
	if words := strings.SplitN(line, " ", 3); len(words) == 3 {
		return words[2]
	}
	return "-"
}

func (c *commands) keyRemove(ctx context.Context, who caller, args []string, std stdio) error {
	names, err := newFlags("key remove").parse(args, 2, 2)
	if err != nil {
		return err
	}
	if err := who.ownOrAdmin(deploy.UserName(names[0])); err != nil {
		return err
	}
	user, err := c.user(ctx, names[0])
	if err != nil {
		return err
	}
	keys, err := c.store.Keys(ctx, user.Name)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if k.Fingerprint == names[1] {
			if err := c.record(ctx, who, deploy.Event{Type: deploy.EventKeyRemoved}.WithData(k)); err != nil {
				return err
			}
			fmt.Fprintf(std.out, "key %s of %s removed\n", k.Fingerprint, k.User)
			return nil
		}
	}
	return deploy.Reject(deploy.CodeNotFound, "user %s has no key %s", user.Name, names[1]).WithHint("slipway key list %s", user.Name)
}
