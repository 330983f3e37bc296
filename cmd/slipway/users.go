package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"slipway/deploy"
	"slipway/deploy/control"
)

func (c *commands) userAdd(ctx context.Context, who deploy.Caller, args []string, std stdio) error {
	f := newFlags("user add")
	roleName := f.String("role", string(deploy.RoleDeveloper), "")
	key := f.String("key", "", "")
	names, err := f.parse(args, 1, 1)
	if err != nil {
		return err
	}
	if err := control.NeedAdmin(who); err != nil {
		return err
	}
	name, err := userNamed(names[0])
	if err != nil {
		return err
	}
	role, err := deploy.ParseRole(*roleName)
	if err != nil {
		return usageError(err.Error())
	}
	var lines []byte
	if *key != "" {
		if lines, err = keyLines(std.in); err != nil {
			return err
		}
	}
	keys, err := c.control.AddUser(ctx, who, name, role, lines)
	if err != nil {
		return err
	}
	fmt.Fprintf(std.out, "user %s added (%s)\n", name, role)
	return added(keys, std)
}

// keyLines reads what should be public keys.
func keyLines(in io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(in, control.MaxKeys+1))
	if err != nil {
		return nil, fmt.Errorf("reading the key: %w", err)
	}
	return append(b, '\n'), nil // also nothing is something that was given
}

func added(keys []deploy.Key, std stdio) error {
	for _, key := range keys {
		fmt.Fprintf(std.out, "key %s added for %s\n", key.Fingerprint, key.User)
	}
	return nil
}

func (c *commands) userList(ctx context.Context, who deploy.Caller, args []string, std stdio) error {
	if _, err := newFlags("user list").parse(args, 0, 0); err != nil {
		return err
	}
	users, err := c.control.Users(ctx, who)
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(std.out, 0, 8, 2, ' ', 0)
	for _, u := range users {
		keys, err := c.control.Keys(ctx, who, u.Name)
		if err != nil {
			return err
		}
		fmt.Fprintf(t, "%s\t%s\t%d keys\tsince %s\n", u.Name, u.Role, len(keys), day(u.CreatedAt))
	}
	return t.Flush()
}

// day writes a date for people.
func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

func (c *commands) userRemove(ctx context.Context, who deploy.Caller, args []string, std stdio) error {
	names, err := newFlags("user remove").parse(args, 1, 1)
	if err != nil {
		return err
	}
	name, err := userNamed(names[0])
	if err != nil {
		return err
	}
	if err := c.control.RemoveUser(ctx, who, name); err != nil {
		return err
	}
	fmt.Fprintf(std.out, "user %s removed, with all keys and grants\n", name)
	return nil
}

func (c *commands) keyAdd(ctx context.Context, who deploy.Caller, args []string, std stdio) error {
	f := newFlags("key add")
	_ = f.String("key", "-", "")
	names, err := f.parse(args, 1, 1)
	if err != nil {
		return err
	}
	name, err := userNamed(names[0])
	if err != nil {
		return err
	}
	lines, err := keyLines(std.in)
	if err != nil {
		return err
	}
	keys, err := c.control.AddKeys(ctx, who, name, lines)
	if err != nil {
		return err
	}
	return added(keys, std)
}

func (c *commands) keyList(ctx context.Context, who deploy.Caller, args []string, std stdio) error {
	names, err := newFlags("key list").parse(args, 0, 1)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		names = []string{string(who.User)}
	}
	name, err := userNamed(names[0])
	if err != nil {
		return err
	}
	keys, err := c.control.Keys(ctx, who, name)
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

func (c *commands) keyRemove(ctx context.Context, who deploy.Caller, args []string, std stdio) error {
	names, err := newFlags("key remove").parse(args, 2, 2)
	if err != nil {
		return err
	}
	name, err := userNamed(names[0])
	if err != nil {
		return err
	}
	if err := c.control.RemoveKey(ctx, who, name, names[1]); err != nil {
		return err
	}
	fmt.Fprintf(std.out, "key %s of %s removed\n", names[1], name)
	return nil
}
