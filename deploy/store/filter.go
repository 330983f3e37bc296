package store

import (
	"context"
	"fmt"
	"strings"

	"gorm.io/gorm"

	"slipway/deploy"
)

// filter is a [deploy.DeploymentFilter] as a query.
type filter deploy.DeploymentFilter

// Deployments returns deployments that fit the filter, newest first.
func (s *Store) Deployments(ctx context.Context, wanted deploy.DeploymentFilter) ([]deploy.Deployment, error) {
	db := s.read.WithContext(ctx)
	f := filter(wanted)
	apps, err := scope(db, f.App, f.VisibleTo)
	if err != nil {
		return nil, fmt.Errorf("reading deployments: %w", err)
	}
	var rows []deploymentRow
	if err := f.page(db, apps).Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("reading deployments: %w", err)
	}
	return each(rows, deploymentRow.deployment), nil
}

// selection is the IDs of the apps that a filter is about.
type selection struct {
	all bool
	ids []uint32
}

// scope returns the apps of that name ("" for any) that are within s.
func scope(db *gorm.DB, name deploy.AppName, s deploy.Scope) (selection, error) {
	q, all := db.Model(&appRow{}), true
	for _, only := range []deploy.AppName{name, s.App} {
		if only != "" {
			q, all = q.Where("name = ?", only), false
		}
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

// page selects the filter's page of the deployments of the apps.
func (f filter) page(db *gorm.DB, of selection) *gorm.DB {
	limit := pageSize(f.Limit)
	page := func(where string, args ...any) *gorm.DB {
		return f.on(db.Model(&deploymentRow{}).Where(where, args...)).Order("number DESC").Limit(limit)
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
		parts[i], args[i] = fmt.Sprintf("SELECT * FROM (?) AS app%d", i), page("app_id = ?", id)
	}
	return db.Raw(strings.Join(parts, " UNION ALL ")+" ORDER BY number DESC LIMIT ?", append(args, limit)...)
}

// on adds the conditions that are not about apps.
func (f filter) on(q *gorm.DB) *gorm.DB {
	where := func(wanted bool, condition string, args ...any) {
		if wanted {
			q = q.Where(condition, args...)
		}
	}
	text := "%" + likeQuote.Replace(lower(f.Text)) + "%"
	where(f.User != "", "pusher_user = ?", f.User)
	where(f.Status != "", "status = ?", f.Status)
	where(f.FailedStage != "", "failed_stage = ?", f.FailedStage)
	where(f.Code != "", "code = ?", f.Code)
	where(f.Revision != "", "new_oid = ?", f.Revision)
	where(f.Ref != "", "ref = ?", f.Ref)
	where(f.Bypassed, "bypass = ?", true)
	where(f.Text != "", `(LOWER(reason) LIKE ? ESCAPE '\' OR LOWER(commit_subject) LIKE ? ESCAPE '\')`, text, text)
	where(!f.Since.IsZero(), "queued_at >= ?", at(f.Since))
	where(!f.Until.IsZero(), "queued_at < ?", at(f.Until))
	where(f.Before != 0, "number < ?", f.Before)
	return q
}

// lower makes letters small as SQLite's LOWER does: those of ASCII.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)
}

// likeQuote makes text stand for itself in LIKE.
var likeQuote = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)
