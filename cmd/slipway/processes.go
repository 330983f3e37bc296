package main

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"

	"slipway/deploy"
	"slipway/deploy/release"
	"slipway/deploy/sandbox"
	"slipway/deploy/traffic"
	"slipway/deploy/variables"
)

// The processes that the server starts beside itself, and that outlive it.

// keeperCommand keeps one instance running: slipway keeper [-sandbox MODE] [-group NAME] [-toolchains A:B] DIR.
// By hand, in an instance's folder, it starts that instance again.
func keeperCommand(ctx context.Context, args []string, std stdio) error {
	f := newFlags("keeper")
	mode := f.String("sandbox", string(sandbox.ModeBubblewrap), "")
	group := f.String("group", "", "")
	toolchains := f.String("toolchains", "", "")
	names, err := f.parse(args, 1, 1)
	if err != nil {
		return err
	}
	logger := slog.New(slog.NewTextHandler(std.err, nil))
	c := sandbox.Config{Mode: sandbox.Mode(*mode), Group: *group, Logger: logger}
	if *toolchains != "" {
		c.Toolchains = strings.Split(*toolchains, ":")
	}
	dir, err := filepath.Abs(names[0])
	if err != nil {
		return err
	}
	return release.KeeperMain(ctx, dir, sandbox.New(c), variables.New(deploy.LayoutOf(dir)).Open, logger)
}

// routerCommand passes the apps' traffic on: slipway router -listen ADDR -domain DOMAIN -dir DIR.
func routerCommand(ctx context.Context, args []string, std stdio) error {
	f := newRouterFlags()
	if _, err := f.parse(args, 0, 0); err != nil {
		return err
	}
	return traffic.Serve(ctx, traffic.Config{
		Listen: *f.listen, Domain: *f.domain, Socket: filepath.Join(*f.dir, "sock"), StateFile: filepath.Join(*f.dir, "table.json"),
		Version: version, Logger: slog.New(slog.NewTextHandler(std.err, nil)),
	})
}

// routerFlags is the command line of the router.
type routerFlags struct {
	*flags
	listen, domain, dir *string
}

func newRouterFlags() routerFlags {
	f := newFlags("router")
	return routerFlags{f, f.String("listen", ":8000", ""), f.String("domain", "localhost", ""), f.String("dir", "", "")}
}
