package store

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"

	"slipway/deploy"
)

type deploymentRow struct {
	Number            deploy.Number `gorm:"primaryKey;autoIncrement:false"`
	AppID             uint32        // zero if the app was not known
	App               deploy.AppName
	Environment       deploy.Environment
	Ref               deploy.RefName
	OldOID            deploy.OID `gorm:"column:old_oid"`
	NewOID            deploy.OID `gorm:"column:new_oid"`
	CommitSubject     string
	CommitAuthor      string
	CommitAuthoredAt  moment
	PusherUser        deploy.UserName
	PusherAdmin       bool
	PusherFingerprint string
	PusherIP          string
	Bypass            bool
	BypassReason      string
	BypassForced      bool
	Status            deploy.Status
	Code              deploy.Code
	Reason            string
	FailedStage       deploy.StageName
	Previous          deploy.Number
	QueuedAt          moment
	QueuedOrder       moment // see queuedOrder
	StartedAt         moment
	SwitchedAt        moment
	FinishedAt        moment
	RefMoved          bool
	Settled           bool // recovery has nothing to do for it
	RollBack          RollbackState
	RollBackReason    string
	RollBackAt        moment
	Again             deploy.AgainKind
	AgainOf           deploy.Number
	AgainReason       string
	Signature         string // of the failure; empty if there was none
}

func (deploymentRow) TableName() string { return "deployments" }

func deploymentRowOf(d deploy.Deployment, app uint32) deploymentRow {
	row := deploymentRow{
		Number: d.Number, AppID: app, App: d.App, Environment: d.Environment, Ref: d.Ref, OldOID: d.Old, NewOID: d.New,
		CommitSubject: d.Commit.Subject, CommitAuthor: d.Commit.Author, CommitAuthoredAt: at(d.Commit.AuthoredAt),
		PusherUser: d.Pusher.User, PusherAdmin: d.Pusher.Admin, PusherFingerprint: d.Pusher.Fingerprint, PusherIP: d.Pusher.IP,
		Status: d.Status, QueuedAt: at(d.QueuedAt),
	}
	if d.Again != nil {
		row.Again, row.AgainOf, row.AgainReason = d.Again.Kind, d.Again.Of, d.Again.Reason
	}
	if d.Bypass != nil {
		row.Bypass, row.BypassReason, row.BypassForced = true, d.Bypass.Reason, d.Bypass.Forced
	}
	return row
}

func (r deploymentRow) deployment() deploy.Deployment {
	d := deploy.Deployment{
		Number: r.Number, App: r.App, Environment: r.Environment, Ref: r.Ref, Old: r.OldOID, New: r.NewOID,
		Commit: deploy.Commit{Subject: r.CommitSubject, Author: r.CommitAuthor, AuthoredAt: r.CommitAuthoredAt.Time},
		Pusher: deploy.Pusher{User: r.PusherUser, Admin: r.PusherAdmin, Fingerprint: r.PusherFingerprint, IP: r.PusherIP},
		Status: r.Status, Code: r.Code, Reason: r.Reason, FailedStage: r.FailedStage, Previous: r.Previous,
		QueuedAt: r.QueuedAt.Time, StartedAt: r.StartedAt.Time, SwitchedAt: r.SwitchedAt.Time, FinishedAt: r.FinishedAt.Time,
		RefMoved: r.RefMoved,
	}
	if r.RollBack == RollbackDone {
		d.RolledBackAt = r.RollBackAt.Time
	}
	if r.Again != "" {
		d.Again = &deploy.Again{Kind: r.Again, Of: r.AgainOf, Reason: r.AgainReason}
	}
	if r.Bypass {
		d.Bypass = &deploy.Bypass{Reason: r.BypassReason, Forced: r.BypassForced}
	}
	return d
}

// Deployment returns a deployment, or [deploy.ErrNotFound].
func (s *Store) Deployment(ctx context.Context, n deploy.Number) (deploy.Deployment, error) {
	row, err := deploymentNumbered(s.read.WithContext(ctx), n)
	if err != nil {
		return deploy.Deployment{}, err
	}
	return row.deployment(), nil
}

func deploymentNumbered(db *gorm.DB, n deploy.Number) (deploymentRow, error) {
	var row deploymentRow
	if err := db.Take(&row, "number = ?", n).Error; err != nil {
		return deploymentRow{}, fmt.Errorf("reading deployment %d: %w", n, translated(err))
	}
	return row, nil
}

// LastNumber is the number of the newest deployment; zero if there is none.
func (s *Store) LastNumber(ctx context.Context) (deploy.Number, error) {
	var n deploy.Number
	err := s.read.WithContext(ctx).Raw("SELECT COALESCE(MAX(number), 0) FROM deployments").Scan(&n).Error
	if err != nil {
		return 0, fmt.Errorf("reading the last deployment's number: %w", err)
	}
	return n, nil
}

// Unfinished returns the deployments that recovery must settle, oldest first: queued, running, or
// accepted with the ref not moved yet.
func (s *Store) Unfinished(ctx context.Context) ([]deploy.Deployment, error) {
	var rows []deploymentRow
	if err := s.read.WithContext(ctx).Order("number").Find(&rows, "NOT settled").Error; err != nil {
		return nil, fmt.Errorf("reading unfinished deployments: %w", err)
	}
	return each(rows, deploymentRow.deployment), nil
}

// RollbackState is how far the putting back of a deployment came.
type RollbackState string

// The states of a rollback.
const (
	RollbackIntended RollbackState = "intended"
	RollbackDone     RollbackState = "done"
	RollbackFailed   RollbackState = "failed" // production may be anything; the target is frozen
)

// Rollback is what is known of the putting back of a deployment.
type Rollback struct {
	State  RollbackState // empty if it was never intended
	Reason string        // why it was put back, or why that failed
	At     time.Time     // of the state
}

// Rollback tells whether a deployment was put back, or [deploy.ErrNotFound].
func (s *Store) Rollback(ctx context.Context, n deploy.Number) (Rollback, error) {
	row, err := deploymentNumbered(s.read.WithContext(ctx), n)
	if err != nil {
		return Rollback{}, err
	}
	return Rollback{State: row.RollBack, Reason: row.RollBackReason, At: row.RollBackAt.Time}, nil
}
