package store

import (
	"log/slog"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gorm.io/gorm"

	"slipway/deploy"
	"slipway/deploy/store/pgtest"
)

// planner returns what tells the steps in which SQLite finds what a filter asks for.
func planner(t *testing.T) func(deploy.DeploymentFilter) []string {
	t.Helper()
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "slipway.db"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	for i, e := range []deploy.Event{
		deploy.Event{Type: deploy.EventUserCreated}.WithData(deploy.User{Name: "victor", Role: deploy.RoleViewer}),
		deploy.Event{Type: deploy.EventAppCreated, App: "shop"}.WithData(deploy.App{Name: "shop", ID: 1}),
		deploy.Event{Type: deploy.EventAppCreated, App: "blog"}.WithData(deploy.App{Name: "blog", ID: 2}),
	} {
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
	return func(f deploy.DeploymentFilter) (all []string) {
		asked = nil
		if _, err := s.Deployments(t.Context(), f); err != nil {
			t.Fatal(err)
		}
		for _, statement := range asked {
			var steps []struct{ Detail string }
			if err := db.Raw("EXPLAIN QUERY PLAN " + statement).Scan(&steps).Error; err != nil {
				t.Fatal(err)
			}
			for _, step := range steps {
				if strings.Contains(step.Detail, " deployments") {
					all = append(all, step.Detail)
				}
			}
		}
		return all
	}
}

// looksUp fits a step that finds deployments by their revision or number.
var looksUp = regexp.MustCompile(`new_oid>\?|(number|rowid)=\?`)

// TestRevisionIsFoundByItself: whatever else is asked for, SQLite looks at the deployments of the revision alone.
func TestRevisionIsFoundByItself(t *testing.T) {
	plan := planner(t)
	for _, f := range []deploy.DeploymentFilter{
		{}, {App: "shop"}, {App: "shop", Status: deploy.StatusAccepted}, {VisibleTo: deploy.Scope{User: "victor"}}, {User: "ann"},
		{App: "shop", Text: "cart"}, {Text: "fix cart"}, {App: "shop", User: "ann", Code: deploy.CodeTest, Before: 7}, {App: "shop", After: 7},
	} {
		f.Revision = "3f2c9e1"
		found := false
		for _, step := range plan(f) {
			found = found || strings.Contains(step, "deployments_by_revision")
			if !looksUp.MatchString(step) {
				t.Errorf("%+v: %s", f, step)
			}
		}
		if !found {
			t.Errorf("%+v: the revision's index is not used", f)
		}
	}
}

// TestWhatFewFitIsFoundFirst: of two conditions without an index of both, SQLite takes the one that few
// deployments fit. Nearly all have the same ref.
func TestWhatFewFitIsFoundFirst(t *testing.T) {
	plan := planner(t)
	for _, test := range []struct {
		f    deploy.DeploymentFilter
		want string
	}{
		{deploy.DeploymentFilter{User: "ann", Ref: "refs/heads/main"}, "deployments_by_pusher (pusher_user=?)"},
		{deploy.DeploymentFilter{User: "ann", Status: deploy.StatusAccepted}, "deployments_by_pusher (pusher_user=?)"},
		{deploy.DeploymentFilter{User: "ann", Ref: "refs/heads/main", Status: deploy.StatusAccepted}, "deployments_by_pusher (pusher_user=?)"},
		{deploy.DeploymentFilter{Status: deploy.StatusRejected, Ref: "refs/heads/main"}, "deployments_by_status (status=?)"},
		{deploy.DeploymentFilter{User: "ann", FailedStage: "build"}, "deployments_by_pusher_stage (pusher_user=? AND failed_stage=?)"},
		{deploy.DeploymentFilter{User: "ann", Code: deploy.CodeTest, FailedStage: "build"}, "deployments_by_stage (failed_stage=?)"},
		{deploy.DeploymentFilter{App: "shop", User: "ann", Ref: "refs/heads/main"}, "deployments_by_app_pusher (app_id=? AND pusher_user=?)"},
		{deploy.DeploymentFilter{App: "shop", User: "ann", Status: deploy.StatusAccepted}, "deployments_by_app_pusher_status (app_id=? AND pusher_user=? AND status=?)"},
		{deploy.DeploymentFilter{App: "shop", User: "ann", Code: deploy.CodeTest}, "deployments_by_app_pusher_code (app_id=? AND pusher_user=? AND code=?)"},
	} {
		if got := plan(test.f); len(got) != 1 || !strings.HasSuffix(got[0], test.want) {
			t.Errorf("%+v is found by %q, want %s", test.f, got, test.want)
		}
	}
}

// TestWordsAreCountedInTheirIndex: PostgreSQL does not read the table from its beginning for a word that many
// deployments have, all of them late ones.
func TestWordsAreCountedInTheirIndex(t *testing.T) {
	where, postgres := pgtest.Database(t)
	if !postgres {
		return // it is run with both kinds
	}
	s, err := Open(t.Context(), where, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, statement := range []string{
		"INSERT INTO words (word, deployment) SELECT 'early', generate_series(1, 100000)",
		"INSERT INTO words (word, deployment) SELECT 'late', generate_series(1, 10000)",
		"ANALYZE words",
	} {
		if err := s.write.WithContext(t.Context()).Exec(statement).Error; err != nil {
			t.Fatal(err)
		}
	}
	db, asked := s.read.WithContext(t.Context()), ""
	err = db.Callback().Row().After("gorm:row").Register("test", func(tx *gorm.DB) {
		asked = tx.Explain(tx.Statement.SQL.String(), tx.Statement.Vars...)
	})
	if err != nil {
		t.Fatal(err)
	}
	all := []string{"early", "late"}
	if err := rarestFirst(db, all); err != nil {
		t.Fatal(err)
	}
	var plan []string
	if err := db.Raw("EXPLAIN " + asked).Scan(&plan).Error; err != nil {
		t.Fatal(err)
	}
	if text := strings.Join(plan, "\n"); strings.Contains(text, "Seq Scan") || strings.Count(text, "words_pkey") != 2 {
		t.Errorf("for %s:\n%s", asked, text)
	}
}
