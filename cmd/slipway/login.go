package main

import (
	"context"
	"fmt"

	"slipway/deploy"
)

// login prints a link that signs a browser in, once.
func (c *commands) login(ctx context.Context, who deploy.Caller, args []string, std stdio) error {
	f := newFlags("login")
	name := f.String("user", "", "")
	if _, err := f.parse(args, 0, 0); err != nil {
		return err
	}
	var as deploy.UserName
	if *name != "" {
		var err error
		if as, err = userNamed(*name); err != nil {
			return err
		}
	}
	secret, lasts, err := c.control.SignInLink(ctx, who, as)
	if err != nil {
		return err
	}
	fmt.Fprintf(std.err, "open this within %d minutes; it works once:\n", int(lasts.Minutes()))
	_, err = fmt.Fprintf(std.out, "%s/login?link=%s\n", c.web, secret)
	return err
}
