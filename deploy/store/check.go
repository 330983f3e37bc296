package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"gorm.io/gorm"

	"slipway/deploy"
)

// ErrBehind says that the database lacks events, so that nobody can tell from it whether another one
// may be recorded.
var ErrBehind = errors.New("the database is behind the audit log")

// Check tells, before an event is recorded, whether it would contradict what is known: a user or an
// app made twice, a key that somebody has, a deployment's number given again ([deploy.ErrExists]), or
// something done to what is not there ([deploy.ErrNotFound]). head is the sequence of the last event
// recorded. Events that tell what happened to a deployment or a target are never held up.
func (s *Store) Check(ctx context.Context, e deploy.Event, head uint64) error {
	check := checks(e)
	if check == nil {
		return nil
	}
	last, err := s.LastSequence(ctx)
	if err != nil {
		return err
	}
	if last < head {
		return fmt.Errorf("%w: it has had event %d of %d", ErrBehind, last, head)
	}
	return check(look{db: s.read.WithContext(ctx)})
}

// checks returns what there is to check of an event; nil for nothing.
func checks(e deploy.Event) func(look) error {
	switch e.Type {
	case deploy.EventUserCreated, deploy.EventUserRemoved:
		return func(l look) error { return l.user(e) }
	case deploy.EventKeyAdded, deploy.EventKeyRemoved:
		return func(l look) error { return l.key(e) }
	case deploy.EventAppCreated, deploy.EventAppRemoved:
		return func(l look) error { return l.app(e) }
	case deploy.EventGrantSet:
		return func(l look) error { return l.grant(e) }
	case deploy.EventTokenCreated, deploy.EventTokenRevoked:
		return func(l look) error { return l.token(e) }
	case deploy.EventSessionOpened, deploy.EventSessionClosed:
		return func(l look) error { return l.session(e) }
	case deploy.EventDeploymentQueued:
		return func(l look) error { return l.queued(e) }
	case deploy.EventRegressionMarked:
		return func(l look) error { return l.regression(e) }
	}
	return nil
}

// look looks for rows.
type look struct{ db *gorm.DB }

// must checks that a row is there, or that none is.
func (l look) must(exist bool, what string, model any, where string, args ...any) error {
	var n int64
	if err := l.db.Model(model).Where(where, args...).Count(&n).Error; err != nil {
		return fmt.Errorf("looking for %s: %w", what, err)
	}
	switch {
	case exist && n == 0:
		return fmt.Errorf("%s: %w", what, deploy.ErrNotFound)
	case !exist && n > 0:
		return fmt.Errorf("%s: %w", what, deploy.ErrExists)
	}
	return nil
}

func (l look) user(e deploy.Event) error {
	var u deploy.User
	if err := decode(e, &u); err != nil {
		return err
	}
	return l.must(e.Type == deploy.EventUserRemoved, "user "+string(u.Name), &userRow{}, "name = ?", u.Name)
}

func (l look) key(e deploy.Event) error {
	var k deploy.Key
	if err := decode(e, &k); err != nil {
		return err
	}
	if e.Type == deploy.EventKeyRemoved {
		return l.must(true, "key "+k.Fingerprint, &keyRow{}, "fingerprint = ?", k.Fingerprint)
	}
	if err := l.must(true, "user "+string(k.User), &userRow{}, "name = ?", k.User); err != nil {
		return err
	}
	return l.must(false, "key "+k.Fingerprint, &keyRow{}, "fingerprint = ?", k.Fingerprint)
}

func (l look) app(e deploy.Event) error {
	if e.Type == deploy.EventAppRemoved {
		return l.appNamed(true, e.App)
	}
	var a deploy.App
	if err := decode(e, &a); err != nil {
		return err
	}
	if err := l.appNamed(false, a.Name); err != nil {
		return err
	}
	return l.must(false, fmt.Sprintf("an app with ID %d", a.ID), &appRow{}, "id = ?", a.ID)
}

func (l look) appNamed(exist bool, name deploy.AppName) error {
	return l.must(exist, "app "+string(name), &appRow{}, "name = ? AND removed_at IS NULL", name)
}

func (l look) grant(e deploy.Event) error {
	var g deploy.Grant
	if err := decode(e, &g); err != nil {
		return err
	}
	if err := l.appNamed(true, cmp.Or(e.App, g.App)); err != nil {
		return err
	}
	return l.must(true, "user "+string(g.User), &userRow{}, "name = ?", g.User)
}

func (l look) token(e deploy.Event) error {
	var t deploy.Token
	if err := decode(e, &t); err != nil {
		return err
	}
	if e.Type == deploy.EventTokenRevoked {
		return l.must(true, "token "+t.ID, &tokenRow{}, "id = ? AND revoked_at IS NULL", t.ID)
	}
	if t.User != "" {
		if err := l.must(true, "user "+string(t.User), &userRow{}, "name = ?", t.User); err != nil {
			return err
		}
	}
	if t.Limit.App != "" { // it would be one of the next app of that name
		if err := l.appNamed(true, t.Limit.App); err != nil {
			return err
		}
	}
	return l.must(false, "token "+t.ID, &tokenRow{}, "id = ?", t.ID)
}

func (l look) session(e deploy.Event) error {
	var s deploy.Session
	if err := decode(e, &s); err != nil {
		return err
	}
	if s.User != "" && e.Type == deploy.EventSessionOpened {
		if err := l.must(true, "user "+string(s.User), &userRow{}, "name = ?", s.User); err != nil {
			return err
		}
	}
	return l.must(e.Type == deploy.EventSessionClosed, "session "+s.ID, &sessionRow{}, "id = ?", s.ID)
}

func (l look) queued(e deploy.Event) error {
	var d deploy.Deployment
	if err := decode(e, &d); err != nil {
		return err
	}
	if err := l.appNamed(true, cmp.Or(d.App, e.App)); err != nil {
		return err
	}
	n := cmp.Or(d.Number, e.Deployment)
	return l.must(false, "deployment "+n.String(), &deploymentRow{}, "number = ?", n)
}

func (l look) regression(e deploy.Event) error {
	var r deploy.Regression
	if err := decode(e, &r); err != nil {
		return err
	}
	for _, n := range []deploy.Number{cmp.Or(r.Deployment, e.Deployment), r.FixedBy} {
		if n == 0 {
			continue
		}
		if err := l.must(true, "deployment "+n.String(), &deploymentRow{}, "number = ?", n); err != nil {
			return err
		}
	}
	return nil
}

func decode(e deploy.Event, v any) error {
	if err := json.Unmarshal(e.Data, v); err != nil {
		return fmt.Errorf("reading the data of event %s: %w", e.Type, err)
	}
	return nil
}
