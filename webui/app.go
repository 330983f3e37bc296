package webui

import (
	"context"
	"net/http"
	"time"

	"slipway/deploy"
)

// appHistory is how many deployments an app's page shows.
const appHistory = 15

// app shows one app: its production, releases, variables and history.
func (s *Site) app(w http.ResponseWriter, r *http.Request, who deploy.Caller) error {
	ctx := r.Context()
	name, err := appOf(r)
	if err != nil {
		return err
	}
	standing, err := s.Control.Standing(ctx, who, name)
	if err != nil {
		return err
	}
	page := &AppPage{Frame: s.frame(who, string(name), "production"), Clone: s.Places.Clone(name)}
	page.History, err = s.recentOf(ctx, who, name)
	if err != nil {
		return err
	}
	if standing.Accepted, err = s.acceptedLast(ctx, who, name); err != nil {
		return err
	}
	pending, err := s.desk(ctx, who)
	if err != nil {
		return err
	}
	if page.Berth, err = s.berth(ctx, who, standing, pending); err != nil {
		return err
	}
	if page.Releases, err = s.releases(ctx, who, standing); err != nil {
		return err
	}
	variables, err := s.Control.VariableNames(ctx, who, name)
	if _, cannot := deploy.AsRejection(err); err != nil && !cannot {
		return err
	}
	for _, v := range variables {
		page.Variables = append(page.Variables, VariableRow{v.Name, v.Test, v.SetAt})
	}
	return s.show(w, http.StatusOK, "app", page)
}

// appOf is the app that an address names.
func appOf(r *http.Request) (deploy.AppName, error) {
	name, err := deploy.ParseAppName(r.PathValue("app"))
	if err != nil {
		return "", deploy.Reject(deploy.CodeNotFound, "there is no app %.60q", r.PathValue("app"))
	}
	return name, nil
}

func (s *Site) recentOf(ctx context.Context, who deploy.Caller, app deploy.AppName) ([]DeploymentRow, error) {
	found, err := s.Control.Deployments(ctx, who, deploy.DeploymentFilter{App: app, Limit: appHistory})
	return deploymentRows(found, s.Now()), err
}

func (s *Site) acceptedLast(ctx context.Context, who deploy.Caller, app deploy.AppName) (*deploy.Deployment, error) {
	found, err := s.Control.Deployments(ctx, who, deploy.DeploymentFilter{App: app, Status: deploy.StatusAccepted, Limit: 1})
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

// releases are those that are kept, with the deployments that made them.
func (s *Site) releases(ctx context.Context, who deploy.Caller, standing deploy.Standing) ([]ReleaseRow, error) {
	found, err := s.Control.Releases(ctx, who, standing.App.Name)
	if err != nil {
		return nil, err
	}
	mayServe := deploy.Allows(standing.Role, standing.Role, deploy.RightPush)
	var rows []ReleaseRow
	for _, release := range found {
		d, err := s.Control.Deployment(ctx, who, release.Number, deploy.RightRead)
		if _, gone := deploy.AsRejection(err); err != nil && !gone {
			return nil, err
		}
		current := release.Number == standing.State.Serving
		rows = append(rows, ReleaseRow{
			Serving: Serving{release.Number, release.Revision, d.Commit.Subject, d.Commit.Author, release.CreatedAt},
			Current: current, MayServe: mayServe && !current,
		})
	}
	return rows, nil
}

// rollBack has an earlier release serve again, and shows the deployment that does it.
func (s *Site) rollBack(w http.ResponseWriter, r *http.Request, who deploy.Caller) error {
	return s.again(w, r, who, deploy.AgainRollback, "to")
}

// redeploy takes the revision of a deployment through every stage again, of what serves if none is named.
func (s *Site) redeploy(w http.ResponseWriter, r *http.Request, who deploy.Caller) error {
	return s.again(w, r, who, deploy.AgainRedeploy, "of")
}

func (s *Site) again(w http.ResponseWriter, r *http.Request, who deploy.Caller, kind deploy.AgainKind, field string) error {
	app, err := appOf(r)
	if err != nil {
		return err
	}
	a := deploy.Again{Kind: kind, Reason: r.PostFormValue("reason")}
	if text := r.PostFormValue(field); text != "" {
		if a.Of, err = deploy.ParseNumber(text); err != nil {
			return deploy.Reject(deploy.CodeUsage, "%v", err)
		}
	}
	n, err := s.Control.BeginAgain(r.Context(), who, app, a)
	if err != nil {
		return err
	}
	word := "the redeployment of "
	if kind == deploy.AgainRollback {
		word = "the roll back of "
	}
	s.done(w, r, who, "/deployments/"+n.String(), word+string(app)+" has begun as deployment "+n.String())
	return nil
}

// freeze has an app take no deployments.
func (s *Site) freeze(w http.ResponseWriter, r *http.Request, who deploy.Caller) error {
	app, err := appOf(r)
	if err == nil {
		err = s.Control.Freeze(r.Context(), who, app, r.PostFormValue("reason"))
	}
	if err != nil {
		return err
	}
	s.done(w, r, who, "/apps/"+string(app), string(app)+" takes no deployments until it is unfrozen")
	return nil
}

// unfreeze has an app take deployments again.
func (s *Site) unfreeze(w http.ResponseWriter, r *http.Request, who deploy.Caller) error {
	app, err := appOf(r)
	if err == nil {
		err = s.Control.Unfreeze(r.Context(), who, app, r.PostFormValue("reason"))
	}
	if err != nil {
		return err
	}
	s.done(w, r, who, "/apps/"+string(app), string(app)+" takes deployments again")
	return nil
}

// deploymentRows are deployments as lists show them.
func deploymentRows(all []deploy.Deployment, now time.Time) []DeploymentRow {
	rows := make([]DeploymentRow, len(all))
	for i, d := range all {
		rows[i] = DeploymentRow{Deployment: d, State: stateOf(d.Status)}
		end := d.FinishedAt
		if end.IsZero() && !d.Status.Final() {
			end = now
		}
		if !d.StartedAt.IsZero() && end.After(d.StartedAt) {
			rows[i].Took = end.Sub(d.StartedAt)
		}
	}
	return rows
}
