package main

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
)

// loss is what a power cut can take of a release that has its name and is not on disk yet. It lasts
// milliseconds, in which no cut can be had, so the files are taken away by hand: they are all there, and their
// sync is not recorded, at the point that afterRelease names.
type loss struct {
	name string
	take func(unsynced) error
}

const afterRelease = "after start"

// unsynced are the places of the release of the deployment in work.
type unsynced struct{ tree, work, plan, instance, spec string }

func losses() []loss {
	return []loss{
		{"files of its tree and what its spec says", func(u unsynced) error {
			return errors.Join(os.Remove(filepath.Join(u.tree, "built")), os.Truncate(filepath.Join(u.tree, "REVISION"), 0), os.Truncate(u.spec, 0))
		}},
		{"what its plan says", func(u unsynced) error { return os.Truncate(u.plan, 0) }},
		{"its plan and its spec", func(u unsynced) error { return errors.Join(os.Remove(u.plan), os.Remove(u.spec)) }},
		{"its name, its plan and its instance", func(u unsynced) error {
			return errors.Join(os.Rename(u.tree, u.work), os.Remove(u.plan), os.RemoveAll(u.instance))
		}},
	}
}

// withLosses puts the losses before a plan.
func withLosses(plan []crash) []crash {
	var all []crash
	for _, l := range losses() {
		all = append(all, crash{kind: kinds()[0], name: afterRelease, victim: everything, loses: &l})
	}
	return append(all, plan...)
}

// lose takes away what a crash loses besides its victim. All of it must have been there.
func (w *crashWorld) lose(l *loss) {
	w.t.Helper()
	app, n := filepath.Join(w.data, "apps", "visited"), strconv.Itoa(w.last+1)
	u := unsynced{
		tree: filepath.Join(app, "releases", n), work: filepath.Join(app, "work", n),
		plan: filepath.Join(app, "instances", n+".json"), instance: filepath.Join(app, "instances", n+"-web-1"),
	}
	u.spec = filepath.Join(u.instance, "spec.json")
	for _, path := range []string{u.tree, u.plan, u.spec} {
		_, err := os.Stat(path)
		w.must(err)
	}
	w.must(l.take(u))
}
