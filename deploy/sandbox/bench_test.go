package sandbox

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// BenchmarkStart compares a whole run of /bin/true in the sandbox (cgroups, rlimits, seccomp, until
// everything is gone) with the same run of bubblewrap alone, given the same arguments. Both take turns, so
// that a busy machine slows both, and medians are compared.
//
//	go test -run '^$' -bench Start -benchtime 200x ./deploy/sandbox
func BenchmarkStart(b *testing.B) {
	s := newSandbox()
	spec := spec("/bin/true")
	spec.Dir = "/app"
	spec.Mounts = append(spec.Mounts, Mount{Source: folder(b, s, 7), Target: "/app", Writable: true})
	spec.Limits = Limits{Memory: 256 << 20, Processes: 64, CPU: 2, FileSize: 1 << 30, Time: time.Minute}
	var ours, bare, ratios []float64
	for b.Loop() {
		begin := time.Now()
		p, err := s.Start(context.Background(), spec, Stdio{})
		if err != nil {
			b.Fatal(err)
		}
		if r, err := p.Wait(); err != nil || r.Err() != nil {
			b.Fatal(r, err)
		}
		middle := time.Now()
		if err := bareBubblewrap(s, &spec); err != nil {
			b.Fatal(err)
		}
		mine, its := middle.Sub(begin).Seconds()*1000, time.Since(middle).Seconds()*1000
		ours, bare, ratios = append(ours, mine), append(bare, its), append(ratios, mine/its)
	}
	report(b, "ms/sandbox", ours)
	report(b, "ms/bubblewrap", bare)
	report(b, "ratio", ratios)
	b.ReportMetric(median(ours)/median(bare), "ratio")
	b.ReportMetric(0, "ns/op")
}

// report reports the median, and the 10th and 90th percentile.
func report(b *testing.B, unit string, all []float64) {
	b.ReportMetric(median(all), unit)
	b.ReportMetric(all[len(all)/10], "p10-"+unit)
	b.ReportMetric(all[len(all)*9/10], "p90-"+unit)
}

// median sorts what it is given.
func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}

// bareBubblewrap runs bubblewrap with the sandbox's arguments and nothing else.
func bareBubblewrap(s *Sandbox, spec *Spec) error {
	var d descriptors
	defer d.close()
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer write.Close()
	number := d.add(read)
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	args, err := s.arguments(spec, &d, d.add(null))
	if err != nil {
		return err
	}
	path, err := s.bubblewrap()
	if err != nil {
		return err
	}
	cmd := exec.Command(path, append([]string{"--args", number, "--"}, spec.Argv...)...)
	cmd.Env, cmd.Dir, cmd.ExtraFiles = []string{}, "/", d.files
	if s.root {
		uid, gid := s.HostID(spec.ID)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	if _, err := write.WriteString(strings.Join(args, "\x00") + "\x00"); err != nil {
		return err
	}
	write.Close()
	return cmd.Run()
}

// BenchmarkScratch is what it costs that a tree of 20,000 files stays as it is, beside a run that may write
// to it.
//
//	go test -run '^$' -bench Scratch -benchtime 5x ./deploy/sandbox
func BenchmarkScratch(b *testing.B) {
	plain := newSandbox()
	tree := folder(b, plain, 7)
	mount := Mount{Source: tree, Target: "/app", Writable: true}
	fill := shell("for d in $(seq 200); do mkdir $d; cd $d; for f in $(seq 100); do echo content of $f >$f; done; cd ..; done")
	fill.Dir, fill.Mounts = "/app", append(fill.Mounts, mount)
	must(b, plain, fill)
	covered := mount
	covered.Scratch = tree + ".scratch"
	for _, c := range []struct {
		name  string
		s     *Sandbox
		mount Mount
	}{
		{"none", plain, mount},
		{"overlay", plain, covered},
		{"copy", New(Config{Group: testGroup(), CopyScratch: true}), covered},
	} {
		b.Run(c.name, func(b *testing.B) {
			run := spec("/bin/true")
			run.Mounts = append(run.Mounts, c.mount)
			for b.Loop() {
				must(b, c.s, run)
			}
		})
	}
}
