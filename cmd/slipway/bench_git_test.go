//go:build bench

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/deploy"
)

// benchPush compares a push through the whole gate with plain pushes, and shows where its time goes.
func benchPush(t *testing.T, p *place, r *report) {
	ours := p.newApp(t, "push", benchManifest)
	ours.push("slipway")
	var begins, ends []time.Time
	all := []contestant{{"slipway", func() { ours.commit(); p.settled(t, 1) }, func() {
		begins = append(begins, time.Now())
		ours.push("slipway")
		ends = append(ends, time.Now())
	}}}
	if p.sshd != nil {
		theirs := p.newTree(t, "push-openssh", benchManifest)
		theirs.git("remote", "add", "openssh", p.sshd.newBare(t, p, "push"))
		theirs.push("openssh")
		all = append(all, contestant{"openssh", func() { theirs.commit(); p.settled(t, 1) }, func() { theirs.push("openssh") }})
	}
	local := p.newTree(t, "push-local", benchManifest)
	bare := filepath.Join(p.dir, "home", "local.git")
	p.run(t, "", "git", "init", "-q", "--bare", bare)
	local.git("remote", "add", "path", bare)
	local.push("path")
	all = append(all, contestant{"path", func() { local.commit() }, func() { local.push("path") }})

	took := takeTurns(t, *benchRounds, all...)
	s := r.section("A push", "a push of one small commit", "takes", "the gate against it", "goal")
	s.note("Through the gate: received, checked, checked out, built and tested in the sandbox (both `true`), released, started, switched to, accepted; `bake_time = \"0s\"`. The others only store it.")
	s.row("through the gate", took["slipway"].String(), "", "")
	if f, ok := took["openssh"]; ok {
		x := ratioOf(took["slipway"], f)
		s.row("OpenSSH, a user whose shell is git-shell", f.String(), x.String(), atMost(x.value, 0.5, ""))
	} else {
		s.row("OpenSSH", "not measured: "+p.noSSHD, "", "≤ 0.5")
	}
	s.row("a path on this machine", took["path"].String(), ratioOf(took["slipway"], took["path"]).String(), "")
	// The first push and the unmeasured turn are in the records, too.
	stageTimes(t, p, r, begins[1:], ends[1:])
	p.removeApp(t, "push")
}

// stageTimes shows the parts of the newest deployments, whose pushes began and ended then.
func stageTimes(t *testing.T, p *place, r *report, begins, ends []time.Time) {
	t.Helper()
	records := p.records(t)
	newest := last(records)
	parts := map[string]*figures{}
	var order []string
	add := func(name string, d time.Duration) {
		if parts[name] == nil {
			parts[name] = new(figures)
			order = append(order, name)
		}
		parts[name].add(d)
	}
	for i := range begins {
		d := records[newest-deploy.Number(len(begins)-1-i)]
		add("ssh, receiving, checking, the record of the push", d.at[deploy.EventDeploymentQueued].Sub(begins[i]))
		add("its turn in the queue", d.at[deploy.EventDeploymentStarted].Sub(d.at[deploy.EventDeploymentQueued]))
		staged := d.at[deploy.EventDeploymentStarted]
		for _, name := range []deploy.StageName{deploy.StageCheckout, deploy.StageBuild, "test.unit", deploy.StageRelease, deploy.StageSwitch, deploy.StageMonitor} {
			add("stage "+strings.ReplaceAll(string(name), ".", " "), d.stages[name])
			staged = staged.Add(d.stages[name])
		}
		add("between the stages", d.at[deploy.EventAccepted].Sub(staged))
		add("accepted, until the ref has moved", d.at[deploy.EventRefMoved].Sub(d.at[deploy.EventAccepted]))
		add("the ref's move, until git push has ended", ends[i].Sub(d.at[deploy.EventRefMoved]))
	}
	s := r.section("Where a push through the gate spends its time", "part", "takes")
	for _, name := range order {
		s.row(name, parts[name].String())
	}
}

// benchSideBySide measures pushes of 8 clients at once, each on an app of its own.
func benchSideBySide(t *testing.T, p *place, r *report) {
	const clients, each = 8, 3
	var ours, theirs []*tree
	for i := range clients {
		w := p.newApp(t, fmt.Sprintf("side%d", i), benchManifest)
		w.push("slipway")
		ours = append(ours, w)
		if p.sshd != nil {
			w := p.newTree(t, fmt.Sprintf("side-openssh%d", i), benchManifest)
			w.git("remote", "add", "openssh", p.sshd.newBare(t, p, fmt.Sprintf("side%d", i)))
			w.push("openssh")
			theirs = append(theirs, w)
		}
	}
	var gate, plain, ssh figures
	for range 3 {
		gate = append(gate, atOnce(ours, "main", "slipway", each))
		p.settled(t, clients)
		plain = append(plain, atOnce(ours, "other", "slipway", each))
		if p.sshd != nil {
			ssh = append(ssh, atOnce(theirs, "main", "openssh", each))
		}
	}
	s := r.section("Pushes a second, 8 clients at once on 8 apps", "pushes", "a second")
	s.row("through the gate, `main`", rate(gate))
	s.row("to another branch, which is only stored", rate(plain))
	if p.sshd != nil {
		s.row("OpenSSH", rate(ssh))
	}
	for i := range clients {
		p.removeApp(t, fmt.Sprintf("side%d", i))
	}
	p.settled(t, 0)
}

func rate(f figures) string {
	return fmt.Sprintf("%s (%s–%s)", digits(f.median()), digits(f.quantile(0)), digits(f.quantile(1)))
}

// atOnce lets every tree push so many commits one after the other, all trees at once, and returns how
// many pushes a second that was. The commits are made before.
func atOnce(trees []*tree, branch, remote string, each int) float64 {
	for _, w := range trees {
		for i := range each {
			w.commit()
			w.git("tag", "-f", fmt.Sprintf("next%d", i))
		}
	}
	var all sync.WaitGroup
	begin := time.Now()
	for _, w := range trees {
		all.Go(func() {
			for i := range each {
				w.git("push", "-q", remote, fmt.Sprintf("next%d^{commit}:refs/heads/%s", i, branch))
			}
		})
	}
	all.Wait()
	return float64(len(trees)*each) / time.Since(begin).Seconds()
}

// benchFetch compares what reads: the list of refs, a fetch of one commit, a clone of a big repository.
func benchFetch(t *testing.T, p *place, r *report) {
	s := r.section("Reading", "", "Slipway", "OpenSSH", "ratio", "goal")
	if p.sshd == nil {
		s.note("Not measured: %s.", p.noSSHD)
		return
	}
	const files, size = 10_000, 10 << 10
	s.note("The big repository has %d files of together %d MB that do not compress; what is cloned is not checked out, which is the client's work alone.", files, files*size/1_000_000)
	p.slipway(t, "app", "create", "fetch")
	// Its files are on a branch that is not gated.
	writer := &tree{place: p, t: t, dir: filepath.Join(p.dir, "home", "big")}
	p.run(t, "", "git", "init", "-q", writer.dir)
	fastImport(t, p, writer.dir, "refs/heads/big", files, size)
	writer.git("checkout", "-q", "--orphan", "small")
	writer.commit()
	remotes := map[string]string{"slipway": p.url("fetch"), "openssh": p.sshd.newBare(t, p, "fetch")}
	readers := map[string]*tree{}
	for name, url := range remotes {
		writer.git("remote", "add", name, url)
		writer.git("push", "-q", name, "big", "small")
		readers[name] = &tree{place: p, t: t, dir: filepath.Join(p.dir, "home", "reader-"+name)}
		p.run(t, "", "git", "clone", "-q", "--single-branch", "--branch", "small", url, readers[name].dir)
	}
	compare := func(what string, rounds int, prepare, work func(name string)) {
		var all []contestant
		for _, name := range []string{"slipway", "openssh"} {
			all = append(all, contestant{name, func() { prepare(name) }, func() { work(name) }})
		}
		took := takeTurns(t, rounds, all...)
		x := ratioOf(took["slipway"], took["openssh"])
		s.row(what, took["slipway"].String(), took["openssh"].String(), x.String(), atMost(x.value, 1, ""))
	}
	nothing := func(string) {}
	compare("`ls-remote`", *benchRounds, nothing, func(name string) { readers[name].git("ls-remote", "-q") })
	compare("fetch of one small commit", *benchRounds, func(name string) {
		writer.commit()
		writer.git("push", "-q", name, "small")
	}, func(name string) { readers[name].git("fetch", "-q") })
	clone := filepath.Join(p.dir, "home", "clone")
	compare("clone of the big repository", max(*benchRounds/4, 1), func(string) {
		if err := os.RemoveAll(clone); err != nil {
			t.Fatal(err)
		}
	}, func(name string) {
		p.run(t, "", "git", "clone", "-q", "--no-checkout", "--branch", "big", remotes[name], clone)
	})
	p.removeApp(t, "fetch")
	os.RemoveAll(clone)
	os.RemoveAll(writer.dir)
}
