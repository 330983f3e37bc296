package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"slipway/deploy"
)

func (c *commands) tokenCreate(ctx context.Context, who deploy.Caller, args []string, std stdio) error {
	f := newFlags("token create")
	roleName := f.String("role", string(deploy.RoleViewer), "")
	appName := f.String("app", "", "")
	expires := f.String("expires", "90d", "")
	names, err := f.parse(args, 1, 1)
	if err != nil {
		return err
	}
	n := deploy.NewToken{Name: names[0]}
	if n.Limit.Role, err = deploy.ParseRole(*roleName); err != nil {
		return usageError(err.Error())
	}
	if *appName != "" {
		if n.Limit.App, err = appNamed(*appName); err != nil {
			return err
		}
	}
	if *expires != "never" {
		if n.Expires, err = parseDays(*expires); err != nil || n.Expires == 0 {
			return usageError(fmt.Sprintf("-expires %.20q: it is a number of days such as 90d, or never", *expires))
		}
	}
	t, secret, err := c.control.CreateToken(ctx, who, n)
	if err != nil {
		return err
	}
	fmt.Fprintf(std.err, "token %s (%s) is shown this once; end it with: slipway token revoke %s\n", t.ID, tokenWords(t), t.ID)
	_, err = fmt.Fprintln(std.out, secret)
	return err
}

// tokenWords says what a token may do, and until when.
func tokenWords(t deploy.Token) string {
	on, until := "all apps", "never expires"
	if t.Limit.App != "" {
		on = string(t.Limit.App)
	}
	if !t.ExpiresAt.IsZero() {
		until = "until " + day(t.ExpiresAt)
		if !time.Now().Before(t.ExpiresAt) {
			until = "expired " + day(t.ExpiresAt)
		}
	}
	return fmt.Sprintf("at most %s on %s, %s", t.Limit.Role, on, until)
}

func (c *commands) tokenList(ctx context.Context, who deploy.Caller, args []string, std stdio) error {
	if _, err := newFlags("token list").parse(args, 0, 0); err != nil {
		return err
	}
	tokens, err := c.control.Tokens(ctx, who)
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(std.out, 0, 8, 2, ' ', 0)
	for _, token := range tokens {
		owner := token.User
		if owner == "" {
			owner = deploy.Operator
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\tsince %s\n", token.ID, token.Name, owner, tokenWords(token), day(token.CreatedAt))
	}
	return t.Flush()
}

func (c *commands) tokenRevoke(ctx context.Context, who deploy.Caller, args []string, std stdio) error {
	names, err := newFlags("token revoke").parse(args, 1, 1)
	if err != nil {
		return err
	}
	t, err := c.control.RevokeToken(ctx, who, names[0])
	if err != nil {
		return err
	}
	fmt.Fprintf(std.out, "token %s (%s) is revoked\n", t.ID, t.Name)
	return nil
}
