package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"slipway/deploy"
)

// beside is a branch that is not gated.
type beside struct {
	app deploy.AppName
	ref deploy.RefName
}

// besides tells of each such branch where it may be: where it was moved last, and where it was about to move
// since.
type besides map[beside][]deploy.OID

// take follows the events of branches that are not gated.
func (b besides) take(e deploy.Event) error {
	at := beside{e.App, e.Ref}
	switch e.Type {
	case deploy.EventAppRemoved:
		for one := range b {
			if one.app == e.App {
				delete(b, one)
			}
		}
	case deploy.EventRefIntended:
		made := e.Old.IsZero() && b[at] == nil
		if !made && !slices.Contains(b[at], e.Old) {
			return fmt.Errorf("%s of %s is about to leave %s, and may be at %v only", e.Ref, e.App, e.Old, b[at])
		}
		b[at] = append(b[at], e.Old, e.New)
	case deploy.EventRefUpdated:
		if !slices.Contains(b[at], e.New) {
			return fmt.Errorf("%s of %s moved to %s without an intent", e.Ref, e.App, e.New)
		}
		b[at] = []deploy.OID{e.New}
	}
	return nil
}

// besidesAgree compares the branches of an app that are not gated with what is recorded of them.
func (w *crashWorld) besidesAgree(r *ledger, app deploy.AppName) error {
	for one, may := range r.beside {
		if one.app != app {
			continue
		}
		out, err := w.git("--git-dir="+filepath.Join(w.data, "repos", string(app)+".git"), "rev-parse", "-q", "--verify", string(one.ref)).Output()
		at := deploy.OID(strings.TrimSpace(string(out)))
		agrees := slices.Contains(may, at)
		if err != nil { // there is none
			agrees = slices.ContainsFunc(may, deploy.OID.IsZero)
		}
		if !agrees {
			return fmt.Errorf("%s: %s is %q, recorded is %q", app, one.ref, at, may)
		}
	}
	return nil
}
