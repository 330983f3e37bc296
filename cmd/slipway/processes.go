package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"path/filepath"
	"slices"
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

// boxes says how this server's sandboxes are made; its keepers, which are processes of their own, make
// them the same way.
func (c *config) boxes(logger *slog.Logger) sandbox.Config {
	// Two servers on one machine must not find each other's processes.
	sum := sha256.Sum256([]byte(c.layout))
	return sandbox.Config{
		Mode: sandbox.Mode(c.Sandbox), Toolchains: c.Toolchains, Group: "slipway-" + hex.EncodeToString(sum[:4]), Logger: logger,
	}
}

// keeperArgv is how an instance's keeper is started; release adds the instance's folder.
func keeperArgv(self string, c sandbox.Config) []string {
	argv := []string{self, "keeper", "-sandbox", string(c.Mode), "-group", c.Group}
	if len(c.Toolchains) > 0 {
		argv = append(argv, "-toolchains", strings.Join(c.Toolchains, ":"))
	}
	return argv
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
