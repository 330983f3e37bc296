package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"slipway/deploy"
	"slipway/deploy/manifest"
	"slipway/deploy/traffic"
)

// What the doctor looks at of traffic and apps.

// ports tells whether the server listens, or could.
func (p *patient) ports(ctx context.Context) []finding {
	addresses := []string{p.config.SSH, p.config.HTTP}
	if p.pid != 0 {
		addresses[0] = p.sshAddr
		return answering(ctx, addresses)
	}
	if _, err := p.health(ctx); err != nil {
		addresses = append(addresses, p.config.Proxy)
	}
	for _, a := range addresses {
		l, err := net.Listen("tcp", a)
		if err != nil {
			return []finding{ill("ports", err.Error(), fmt.Sprintf("see who has it: ss -ltnp 'sport = :%s'; or take another in server.toml", portOf(a)))}
		}
		l.Close()
	}
	return []finding{well("ports", "%s are free", strings.Join(addresses, ", "))}
}

// answering tells whether somebody answers at the addresses.
func answering(ctx context.Context, addresses []string) []finding {
	ctx, cancel := context.WithTimeout(ctx, looking)
	defer cancel()
	for _, a := range addresses {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", a)
		if err != nil {
			return []finding{ill("ports", "nothing answers: "+err.Error(), "the server's log says why; restart it: apps and traffic go on")}
		}
		conn.Close()
	}
	return []finding{well("ports", "%s answer", strings.Join(addresses, " and "))}
}

// health asks the router how it is, once: a dead one keeps whoever asks waiting.
func (p *patient) health(ctx context.Context) (traffic.Health, error) {
	p.asked.Do(func() {
		ctx, cancel := context.WithTimeout(ctx, looking)
		defer cancel()
		p.routerHealth, p.routerErr = p.router.Health(ctx)
	})
	return p.routerHealth, p.routerErr
}

// routing asks the router how it is.
func (p *patient) routing(ctx context.Context) []finding {
	h, err := p.health(ctx)
	if err != nil {
		return []finding{ill("router", "it does not answer: no app gets traffic", p.byServer("start the server: it starts the router",
			"the server starts it again by itself; if not: "+filepath.Join(p.config.layout.Router(), "log")))}
	}
	conn, err := (&net.Dialer{Timeout: looking}).DialContext(ctx, "tcp", h.Listen)
	if err != nil {
		return []finding{ill("router", "nothing answers where it listens: "+err.Error(), "read "+filepath.Join(p.config.layout.Router(), "log"))}
	}
	conn.Close()
	if h.StateError != "" {
		return []finding{warning("router", "its table is not on disk: "+h.StateError, "make room on the disk")}
	}
	return []finding{well("router", "pid %d listens on %s, knows %d apps, %d requests in flight", h.PID, h.Listen, h.Apps, h.Requests)}
}

// byServer picks what to say without a server, or with one.
func (p *patient) byServer(without, with string) string {
	if p.pid == 0 {
		return without
	}
	return with
}

// unfinished lists what a dead server left.
func (p *patient) unfinished(ctx context.Context) []finding {
	if p.pid != 0 || p.records == nil {
		return nil
	}
	left, err := p.records.Unfinished(ctx)
	if err != nil {
		return []finding{ill("deployments", err.Error(), "")}
	}
	var all []finding
	for _, d := range left {
		all = append(all, warning("deployments", fmt.Sprintf("%d of %s was cut off", d.Number, d.App), "the next start settles it: slipway serve"))
	}
	return all
}

// apps examines one app after the other.
func (p *patient) apps(ctx context.Context) []finding {
	if p.records == nil {
		return []finding{ill("apps", "what they should serve is unknown: the audit log cannot be read", "")}
	}
	apps, err := p.records.Apps(ctx)
	if err != nil {
		return []finding{ill("apps", err.Error(), "")}
	}
	var all []finding
	for _, app := range apps {
		found := p.app(ctx, app)
		if p.pid != 0 && slices.ContainsFunc(found, func(f finding) bool { return f.mark == markIll }) {
			// A deployment that was just being accepted looks like that, for a moment.
			again := time.NewTimer(time.Second)
			select {
			case <-again.C:
			case <-ctx.Done():
			}
			found = p.app(ctx, app)
		}
		all = append(all, found...)
	}
	return all
}

// app compares what an app's records, ref, link, traffic and processes say.
func (p *patient) app(ctx context.Context, app deploy.App) []finding {
	what := "app " + string(app.Name)
	state, err := p.records.TargetState(ctx, deploy.Target{App: app.Name, Environment: deploy.Production})
	if err != nil {
		return []finding{ill(what, err.Error(), "")}
	}
	var found []finding
	if state.Frozen != "" {
		found = append(found, warning(what, "frozen: "+state.Frozen, fmt.Sprintf("when it is mended: slipway unfreeze %s", app.Name)))
	}
	for _, wrong := range []error{p.drift(ctx, app, state), p.misrouted(ctx, state), p.unkept(ctx, state)} {
		if wrong != nil {
			found = append(found, ill(what, wrong.Error(), p.byServer(
				"the next start puts it right, or freezes the app and says why: slipway serve",
				fmt.Sprintf("look at it: slipway status; put a good release into production: slipway rollback %s -reason \"…\"", app.Name))))
		}
	}
	found = append(found, p.broken(ctx, app)...)
	switch {
	case len(found) > 0:
		return found
	case state.Serving == 0:
		return []finding{well(what, "nothing is deployed")}
	}
	return []finding{well(what, "%s is %s, which release %s serves", app.GatedRef.Short(), state.Revision.Short(), state.Serving)}
}

// broken lists the refs because of which git takes no push.
func (p *patient) broken(ctx context.Context, app deploy.App) []finding {
	what := "app " + string(app.Name)
	refs, err := p.repos.Broken(ctx, app.Name)
	if err != nil {
		return []finding{ill(what, err.Error(), "restore a backup: slipway help restore")}
	}
	var all []finding
	for _, ref := range refs {
		dir := p.repos.Dir(app.Name)
		mend := fmt.Sprintf("remove it, and push it again: git --git-dir=%s update-ref --no-deref -d %s\nif it is empty, git cannot: rm %s", dir, ref, filepath.Join(dir, string(ref)))
		if ref == app.GatedRef {
			mend = "restore a backup: slipway help restore"
		}
		all = append(all, ill(what, fmt.Sprintf("git takes no push: %s leads to nothing that can be read", ref), mend))
	}
	return all
}

// drift tells how ref, link and release differ from the records.
func (p *patient) drift(ctx context.Context, app deploy.App, state deploy.TargetState) error {
	ref, err := p.repos.Resolve(ctx, app.Name, app.GatedRef)
	if err != nil {
		return err
	}
	if ref != state.Revision && (!ref.IsZero() || !state.Revision.IsZero()) {
		return fmt.Errorf("drift: %s is %s, and %s was accepted last", app.GatedRef, orNothing(ref), orNothing(state.Revision))
	}
	if state.Serving == 0 {
		return nil
	}
	dir := p.config.layout.Release(app.Name, state.Serving)
	if !holds(dir, state.Revision) {
		return fmt.Errorf("%s is not the release of %s that was accepted", dir, state.Revision.Short())
	}
	link := p.config.layout.Current(app.Name)
	if to, err := os.Readlink(link); err != nil || filepath.Base(to) != state.Serving.String() {
		return fmt.Errorf("drift: %s does not point to release %s", link, state.Serving)
	}
	return nil
}

func orNothing(o deploy.OID) string {
	if o.IsZero() {
		return "nothing"
	}
	return o.Short()
}

// misrouted tells whether traffic goes elsewhere than it should.
func (p *patient) misrouted(ctx context.Context, state deploy.TargetState) error {
	if state.Serving == 0 || p.elsewhere(state) {
		return nil
	}
	if _, err := p.health(ctx); err != nil {
		return errors.New("where its traffic goes is unknown: the router does not answer")
	}
	ctx, cancel := context.WithTimeout(ctx, looking)
	defer cancel()
	should, err := p.inForce(ctx, state.Target)
	if err != nil {
		return err
	}
	does, err := p.engine.Serving(ctx, state.Target)
	if err != nil {
		return fmt.Errorf("where its traffic goes is unknown: %w", err)
	}
	if does != should {
		return fmt.Errorf("its traffic goes to release %s, not to %s", does, should)
	}
	return nil
}

// elsewhere tells whether an app's production is not on this machine.
func (p *patient) elsewhere(state deploy.TargetState) bool {
	root, err := os.OpenRoot(p.config.layout.Release(state.Target.App, state.Serving))
	if err != nil {
		return false
	}
	defer root.Close()
	m, err := manifest.Read(root)
	return err == nil && m.External()
}

// unkept tells what of the release that serves does not run as it should.
func (p *patient) unkept(ctx context.Context, state deploy.TargetState) error {
	if state.Serving == 0 || p.elsewhere(state) {
		return nil
	}
	unkept, err := p.engine.Unkept(ctx, state.Target, state.Serving)
	if err != nil {
		return err
	}
	if unkept {
		return fmt.Errorf("a process of release %s has no keeper: it does not run", state.Serving)
	}
	instances, err := p.engine.Instances(ctx, state.Target, state.Serving)
	if err != nil {
		return err
	}
	for _, i := range instances {
		s, err := p.engine.Inspect(ctx, i)
		if err != nil {
			return err
		}
		if !s.Running {
			return fmt.Errorf("%s.%d of release %s is down (%s): read %s", i.Process, i.Index, state.Serving, s.LastExit, s.LogPath)
		}
		if i.Addr != "" && !s.Listening {
			return fmt.Errorf("%s.%d of release %s does not listen on %s: read %s", i.Process, i.Index, state.Serving, i.Addr, s.LogPath)
		}
	}
	return nil
}
