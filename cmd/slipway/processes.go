package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"

	"slipway/cmd/slipway/aside"
	"slipway/deploy"
	"slipway/deploy/sandbox"
	"slipway/deploy/traffic"
)

// The processes that the server starts beside itself, and that outlive it.

// keeperCommand keeps one instance running. By hand, in an instance's folder, it starts that instance again.
func keeperCommand(ctx context.Context, args []string, std stdio) error {
	err := aside.Keeper(ctx, args, std.err)
	if errors.Is(err, aside.ErrUsage) {
		return usageError(err.Error())
	}
	return err
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

// boxes says how this server's sandboxes are made; its keepers, which are processes of their own, make
// them the same way.
func (c *config) boxes(logger *slog.Logger) sandbox.Config {
	// Two servers on one machine must not find each other's processes.
	sum := sha256.Sum256([]byte(c.layout))
	return sandbox.Config{
		Mode: sandbox.Mode(c.Sandbox), Toolchains: c.Toolchains, Group: "slipway-" + hex.EncodeToString(sum[:4]), Logger: logger,
	}
}

// routes is the router's table by the records, for a router that has just been started.
func (s *server) routes(ctx context.Context) ([]traffic.Route, error) {
	apps, err := s.store.Apps(ctx)
	if err != nil {
		return nil, err
	}
	var all []traffic.Route
	for _, app := range apps {
		target := deploy.Target{App: app.Name, Environment: deploy.Production}
		route := traffic.Route{App: app.Name}
		if route.Release, err = s.pipeline.InForce(ctx, target); err != nil {
			return nil, err
		}
		if route.Release != 0 {
			all, err := s.engine.Instances(ctx, target, route.Release)
			if err != nil {
				return nil, err
			}
			// Workers get no traffic.
			route.Upstreams = slices.DeleteFunc(all, func(i deploy.Instance) bool { return i.Addr == "" })
		}
		all = append(all, route)
	}
	return all, nil
}
