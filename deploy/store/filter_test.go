package store

import (
	"log/slog"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gorm.io/gorm"

	"slipway/deploy"
)

// looksUp fits a step that finds deployments by their revision or number.
var looksUp = regexp.MustCompile(`new_oid>\?|(number|rowid)=\?`)

// TestRevisionIsFoundByItself: whatever else is asked for, SQLite looks at the deployments of the revision alone.
func TestRevisionIsFoundByItself(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "slipway.db"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	record := []deploy.Event{
		deploy.Event{Type: deploy.EventUserCreated}.WithData(deploy.User{Name: "victor", Role: deploy.RoleViewer}),
		deploy.Event{Type: deploy.EventAppCreated, App: "shop"}.WithData(deploy.App{Name: "shop", ID: 1}),
		deploy.Event{Type: deploy.EventAppCreated, App: "blog"}.WithData(deploy.App{Name: "blog", ID: 2}),
	}
	for i, e := range record {
		e.Sequence, e.ID = uint64(i)+1, "x"
		if err := s.Project(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	db, asked := s.read.WithContext(t.Context()), []string(nil)
	err = db.Callback().Query().After("gorm:query").Register("test", func(tx *gorm.DB) {
		asked = append(asked, tx.Explain(tx.Statement.SQL.String(), tx.Statement.Vars...))
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []deploy.DeploymentFilter{
		{}, {App: "shop"}, {App: "shop", Status: deploy.StatusAccepted}, {VisibleTo: deploy.Scope{User: "victor"}}, {User: "ann"},
		{App: "shop", Text: "cart"}, {Text: "fix cart"}, {App: "shop", User: "ann", Code: deploy.CodeTest, Before: 7}, {App: "shop", After: 7},
	} {
		f.Revision, asked = "3f2c9e1", nil
		if _, err := s.Deployments(t.Context(), f); err != nil {
			t.Fatal(err)
		}
		found := false
		for _, statement := range asked {
			var steps []struct{ Detail string }
			if err := db.Raw("EXPLAIN QUERY PLAN " + statement).Scan(&steps).Error; err != nil {
				t.Fatal(err)
			}
			for _, step := range steps {
				found = found || strings.Contains(step.Detail, "deployments_by_revision")
				if strings.Contains(step.Detail, " deployments") && !looksUp.MatchString(step.Detail) {
					t.Errorf("%+v: %s", f, step.Detail)
				}
			}
		}
		if !found {
			t.Errorf("%+v: the revision's index is not used", f)
		}
	}
}
