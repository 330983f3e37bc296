package store

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"gorm.io/gorm"

	"slipway/deploy"
)

// filter is a [deploy.DeploymentFilter] as a query.
type filter deploy.DeploymentFilter

// Deployments returns deployments that fit the filter, newest first.
func (s *Store) Deployments(ctx context.Context, wanted deploy.DeploymentFilter) ([]deploy.Deployment, error) {
	rows, err := ask(ctx, s, filter(wanted).read)
	if err != nil {
		return nil, fmt.Errorf("reading deployments: %w", err)
	}
	if wanted.After != 0 {
		slices.Reverse(rows)
	}
	return each(rows, deploymentRow.deployment), nil
}

func (f filter) read(db *gorm.DB) ([]deploymentRow, error) {
	if f.contradictory() {
		return nil, nil
	}
	apps, err := scope(db, f.App, f.VisibleTo)
	if err != nil {
		return nil, err
	}
	if f.Revision != "" {
		return f.ofRevision(db, apps)
	}
	if f.Text != "" {
		return f.search(db, apps)
	}
	if !apps.all && len(apps.ids) > 1 {
		rows, whole, err := f.among(db, apps, nil, f.leading(db))
		if err != nil || whole {
			return rows, err
		}
	}
	var rows []deploymentRow
	err = f.page(db, apps, pageSize(f.Limit)).Find(&rows).Error
	return rows, err
}

// ofRevision returns the page of the deployments of the revisions that begin so. They are few, whatever else is
// asked for, so they are found by that alone.
func (f filter) ofRevision(db *gorm.DB, apps selection) ([]deploymentRow, error) {
	words := sought(f.Text)
	if f.Text != "" && len(words) == 0 {
		return nil, nil // a text without words is in no deployment
	}
	found := db.Model(&deploymentRow{}).Select("number").
		Where("new_oid >= ? AND new_oid < ?", f.Revision, f.Revision+"g"). // no digit comes after f
		Order("number " + f.order())
	var rows []deploymentRow
	err := having(f.on(of(apps, chosen(db, found)), true), words).
		Order("deployments.number " + f.order()).Limit(pageSize(f.Limit)).Find(&rows).Error
	return rows, err
}

// contradictory tells whether nothing can fit: only what has ended otherwise than well has failed at something.
func (f filter) contradictory() bool {
	failed := f.FailedStage != "" || f.Code != ""
	return failed && (f.Status == deploy.StatusAccepted || f.Status == deploy.StatusRunning || f.Status == deploy.StatusQueued)
}

// selection is the IDs of the apps that a filter is about.
type selection struct {
	all bool
	ids []uint32
}

// scope returns the apps of that name ("" for any) that are within s.
func scope(db *gorm.DB, name deploy.AppName, s deploy.Scope) (selection, error) {
	q, all := db.Model(&appRow{}), true
	if name != "" {
		q, all = q.Where("name = ?", name), false
	}
	if s.App != "" {
		// Not one that had the name before: what is limited to a name is not meant for that.
		q, all = q.Where("name = ? AND removed_at IS NULL", s.App), false
	}
	if s.User != "" {
		var user userRow
		if err := db.Limit(1).Find(&user, "name = ?", s.User).Error; err != nil {
			return selection{}, err
		}
		if user.Role != deploy.RoleAdmin {
			q, all = q.Where("id IN (?)", visibleTo(db, s.User)), false
		}
	}
	if all {
		return selection{all: true}, nil
	}
	var ids []uint32
	err := q.Order("id").Pluck("id", &ids).Error
	return selection{ids: ids}, err
}

// appsAtOnce is for how many apps a page is put together from a page of each, which an index gives at
// once; for more apps the newest deployments are looked through instead.
const appsAtOnce = 50

// page selects the first so many of the deployments of the apps that fit, but for the text and the revision.
func (f filter) page(db *gorm.DB, of selection, limit int) *gorm.DB {
	page := func(where string, args ...any) *gorm.DB {
		return f.on(db.Model(&deploymentRow{}).Where(where, args...), false).Order("number " + f.order()).Limit(limit)
	}
	switch {
	case of.all:
		return page("1 = 1")
	case len(of.ids) == 1:
		return page("app_id = ?", of.ids[0])
	case len(of.ids) == 0 || len(of.ids) > appsAtOnce:
		return page("app_id IN ?", of.ids)
	}
	parts, args := make([]string, len(of.ids)), make([]any, len(of.ids), len(of.ids)+1)
	for i, id := range of.ids {
		parts[i], args[i] = fmt.Sprintf("SELECT * FROM (?) AS app%d", i), page("app_id = ?", id).Select("number")
	}
	return db.Model(&deploymentRow{}).Where("number IN (?)", db.Raw("SELECT number FROM ("+strings.Join(parts, " UNION ALL ")+
		") AS every ORDER BY number "+f.order()+" LIMIT ?", append(args, limit)...)).Order("number " + f.order()).Limit(limit)
}

func (f filter) order() string { return newestFirst(f.After == 0) }

// condition is one of a filter's.
type condition struct {
	is  string
	arg any
}

const (
	ofUser   = "pusher_user = ?"
	ofStatus = "status = ?"
)

// conditions are those that are neither about apps nor about the order, the one that few deployments fit
// before the one that many do. Where the second half of one says what follows from the first, it is there
// for SQLite to see that an index of some rows will do.
func (f filter) conditions() []condition {
	accepted := f.Status == deploy.StatusAccepted
	var all []condition
	add := func(wanted bool, is string, arg any) {
		if wanted {
			all = append(all, condition{is, arg})
		}
	}
	add(f.Bypassed, "bypass", nil)
	add(f.FailedStage != "", "failed_stage = ? AND failed_stage <> ''", f.FailedStage)
	add(f.Code != "", "code = ? AND code <> ''", f.Code)
	add(f.User != "", ofUser, f.User)
	add(f.Status != "" && !accepted, ofStatus, f.Status)
	add(f.Ref != "", "ref = ?", f.Ref)
	add(accepted, ofStatus, f.Status)
	return all
}

// on adds the conditions that are not about apps. found is whether the rows are found by something else.
func (f filter) on(q *gorm.DB, found bool) *gorm.DB {
	all := f.conditions()
	indexed := 1
	switch {
	case found:
		indexed = 0
	case len(all) > 1 && f.together(all):
		indexed = 2
	}
	for i, c := range all {
		// SQLite knows nothing of how many rows there are of a value. A plus keeps it from an index.
		if i >= indexed && q.Name() == string(dialectSQLite) {
			c.is = "+" + c.is
		}
		q = c.on(q)
	}
	return f.between(q)
}

// together tells whether there is an index of the first two conditions: of a user's failures, and of how a user's
// deployments of an app ended.
func (f filter) together(all []condition) bool {
	return f.usersFailures() || all[0].is == ofUser && all[1].is == ofStatus
}

// usersFailures tells whether the first two conditions are at which stage, or how, a user's deployments failed.
// There are indexes of them with and without the app.
func (f filter) usersFailures() bool {
	return f.User != "" && !f.Bypassed && (f.FailedStage != "") != (f.Code != "")
}

func (c condition) on(q *gorm.DB) *gorm.DB {
	if c.arg == nil {
		return q.Where(c.is)
	}
	return q.Where(c.is, c.arg)
}

// between adds the bounds of the numbers.
func (f filter) between(q *gorm.DB) *gorm.DB {
	where := func(wanted bool, is string, args ...any) {
		if wanted {
			q = q.Where(is, args...)
		}
	}
	// The numbers are in the order of the times, so these are ranges of them.
	where(!f.Since.IsZero(), "deployments.number >= COALESCE((SELECT number FROM deployments WHERE queued_order >= ?"+
		" ORDER BY queued_order, number LIMIT 1), ?)", at(f.Since), deploy.Number(math.MaxInt64))
	where(!f.Until.IsZero(), "deployments.number < COALESCE((SELECT number FROM deployments WHERE queued_order >= ?"+
		" ORDER BY queued_order, number LIMIT 1), ?)", at(f.Until), deploy.Number(math.MaxInt64))
	where(f.Before != 0, "deployments.number < ?", f.Before)
	where(f.After != 0, "deployments.number > ?", f.After)
	return q
}
