package repo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"slipway/deploy"
)

// Prepare locks a ref whose value is u.Old and gets everything ready to make it u.New. Until Commit
// or Abort nobody else moves the ref; if this process dies, git lets go of it unmoved. The error is a
// *deploy.Rejection with deploy.CodeStale if the ref is not, or is no longer, u.Old. The transaction
// outlives ctx.
func (s *Store) Prepare(ctx context.Context, app deploy.AppName, u deploy.RefUpdate) (deploy.RefTransaction, error) {
	t, err := s.prepare(ctx, app, []deploy.RefUpdate{u})
	if err != nil {
		return nil, err
	}
	t.noted = true
	return t, nil
}

// PrepareAll is Prepare for several refs of which all move, or none. Deleting a ref holds a lock on
// all packed refs until the end, so be quick with such a transaction.
func (s *Store) PrepareAll(ctx context.Context, app deploy.AppName, updates []deploy.RefUpdate) (deploy.RefTransaction, error) {
	t, err := s.prepare(ctx, app, updates)
	if err != nil {
		return nil, err
	}
	return t, nil
}

func (s *Store) prepare(ctx context.Context, app deploy.AppName, updates []deploy.RefUpdate) (*transaction, error) {
	input, err := instructions(updates)
	if err != nil {
		return nil, err
	}
	t := &transaction{store: s, app: app, updates: updates, folders: s.refFolders(app, updates...)}
	if t.git, err = s.begin(app); err != nil {
		return nil, fmt.Errorf("preparing to move %s: %w", names(updates), err)
	}
	if err = t.git.exchangeWithin(ctx, input, "prepare: ok"); err == nil {
		return t, nil
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("preparing to move %s: %w", names(updates), context.Cause(ctx))
	}
	if rejection := s.stale(ctx, app, updates); rejection != nil {
		return nil, rejection
	}
	return nil, fmt.Errorf("preparing to move %s: %w", names(updates), err)
}

// instructions are what an [updater] with an open transaction reads to prepare updates.
func instructions(updates []deploy.RefUpdate) (string, error) {
	var b strings.Builder
	for _, u := range updates {
		if err := CheckRefName(u.Ref); err != nil {
			return "", err
		}
		zero, err := zeroOf(u)
		if err != nil {
			return "", err
		}
		// "update" with a zero old value creates, with a zero new one deletes.
		fmt.Fprintf(&b, "option no-deref\x00update %s\x00%s\x00%s\x00", u.Ref, or(u.New, zero), or(u.Old, zero))
	}
	b.WriteString("prepare\x00")
	return b.String(), nil
}

// zeroOf checks both ids, because git would take any expression for one, and returns the zero id of
// their length.
func zeroOf(u deploy.RefUpdate) (deploy.OID, error) {
	length := 0
	for _, oid := range []deploy.OID{u.Old, u.New} {
		if oid == "" {
			continue
		}
		if _, err := deploy.ParseOID(string(oid)); err != nil || length != 0 && length != len(oid) {
			return "", fmt.Errorf("moving %s: %.70q is not the id of an object there", u.Ref, string(oid))
		}
		length = len(oid)
	}
	if u.Old.IsZero() && u.New.IsZero() {
		return "", fmt.Errorf("moving %s: from nothing to nothing", u.Ref)
	}
	return deploy.OID(strings.Repeat("0", length)), nil
}

// same compares ids of which there are several that mean nothing.
func same(a, b deploy.OID) bool { return a == b || a.IsZero() && b.IsZero() }

func or(oid, zero deploy.OID) deploy.OID {
	if oid.IsZero() {
		return zero
	}
	return oid
}

// stale returns a rejection if one of the refs is not where its update expects it.
func (s *Store) stale(ctx context.Context, app deploy.AppName, updates []deploy.RefUpdate) *deploy.Rejection {
	refs := make([]deploy.RefName, len(updates))
	for i, u := range updates {
		refs[i] = u.Ref
	}
	now, err := s.ResolveAll(ctx, app, refs...)
	if err != nil {
		return nil // the caller has the first error, which says more
	}
	for _, u := range updates {
		if is := now[u.Ref]; !same(is, u.Old) {
			r := deploy.Reject(deploy.CodeStale, "%s is at %s now, not at %s", u.Ref.Short(), place(is), place(u.Old))
			r.Line = "stale: " + r.Message
			return r.WithHint("take in what is there, then push again:\n  git pull --rebase && git push")
		}
	}
	return nil
}

func place(oid deploy.OID) string {
	if oid.IsZero() {
		return "nothing"
	}
	return oid.Short()
}

func names(updates []deploy.RefUpdate) string {
	if len(updates) == 1 {
		return string(updates[0].Ref)
	}
	return fmt.Sprintf("%d refs", len(updates))
}

// transaction is one of a running git update-ref.
type transaction struct {
	store   *Store
	app     deploy.AppName
	updates []deploy.RefUpdate
	folders refFolders
	noted   bool // for LastMove
	git     *updater

	mu   sync.Mutex
	over bool
}

// Commit implements [deploy.RefTransaction]. When it returns nil, the refs have moved and that is on
// disk. When it fails, what it could not find out is in the error; the refs tell.
func (t *transaction) Commit(ctx context.Context) error {
	if !t.finish() {
		return errors.New("committing a ref transaction that is over")
	}
	err := t.git.exchange("commit\x00", "commit: ok")
	if err == nil {
		t.store.updaters.give(t.app, t.git)
	} else if !t.store.moved(context.WithoutCancel(ctx), t.app, t.updates) {
		return fmt.Errorf("moving %s: %w", names(t.updates), err)
	}
	if t.noted {
		t.store.moves.set(t.app, t.updates[0])
	}
	return t.folders.sync()
}

// Abort implements [deploy.RefTransaction].
func (t *transaction) Abort() error {
	if !t.finish() {
		return nil
	}
	// At the end of its input git aborts by itself. That it died earlier is no harm: the lock's file
	// is what could stay behind, and Sweep removes it.
	_ = t.git.end()
	return nil
}

func (t *transaction) finish() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	first := !t.over
	t.over = true
	return first
}

// moved tells whether every ref is where its update wants it.
func (s *Store) moved(ctx context.Context, app deploy.AppName, updates []deploy.RefUpdate) bool {
	for _, u := range updates {
		is, err := s.Resolve(ctx, app, u.Ref)
		if err != nil || !same(is, u.New) {
			return false
		}
	}
	return true
}
