package store

import (
	"cmp"
	"errors"
	"time"

	"slipway/deploy"
)

// queued makes the deployment's row. What the event says of its later life is not taken over: that is
// for the events to come.
func (c change) queued() error {
	var d deploy.Deployment
	if err := c.data(&d); err != nil {
		return err
	}
	d.Status = deploy.StatusQueued
	d.Number = cmp.Or(d.Number, c.e.Deployment)
	d.App = cmp.Or(d.App, c.e.App)
	d.Environment = cmp.Or(d.Environment, deploy.Production)
	d.QueuedAt = cmp.Or(d.QueuedAt, c.e.At)
	if d.Number == 0 {
		return unfit("it has no number")
	}
	if _, err := c.subject(d.Number); !errors.Is(err, deploy.ErrNotFound) {
		return cmp.Or(err, unfit("there is a deployment %d already", d.Number))
	}
	app, err := appNamed(c.tx, d.App)
	if err != nil && !errors.Is(err, deploy.ErrNotFound) {
		return err
	}
	row := deploymentRowOf(d, app.ID)
	if row.QueuedOrder, err = c.queuedOrder(d.QueuedAt); err != nil {
		return err
	}
	if err := c.tx.Create(&row).Error; err != nil {
		return err
	}
	return c.found(d.Number, d.Commit.Subject)
}

// queuedOrder is the latest time at which this deployment or one before it was queued.
func (c change) queuedOrder(queued time.Time) (moment, error) {
	var latest moment
	err := c.tx.Raw("SELECT COALESCE(MAX(queued_order), 0) FROM deployments").Row().Scan(&latest)
	if latest.Before(queued) {
		latest = at(queued)
	}
	return latest, err
}

func (c change) started() error {
	var data deploy.StartedData
	if err := c.data(&data); err != nil {
		return err
	}
	columns := map[string]any{"status": deploy.StatusRunning, "started_at": at(c.e.At), "previous": data.Previous}
	if c.e.Old != "" {
		columns["old_oid"] = c.e.Old
	}
	if b := data.Bypass; b != nil {
		columns["bypass"], columns["bypass_reason"], columns["bypass_forced"] = true, b.Reason, b.Forced
	}
	return c.update(columns)
}

// update changes the event's deployment, which must not have ended.
func (c change) update(columns map[string]any) error {
	row, err := c.deployment()
	if err != nil {
		return err
	}
	if row.Status.Final() {
		return unfit("deployment %d is %s already", row.Number, row.Status)
	}
	return c.set(columns)
}

// set changes the event's deployment, whatever its status.
func (c change) set(columns map[string]any) error {
	return c.tx.Model(&deploymentRow{}).Where("number = ?", c.e.Deployment).Updates(columns).Error
}

// refMoved ends what the commit point began.
func (c change) refMoved() error {
	row, err := c.deployment()
	if err != nil {
		return err
	}
	if row.Status != deploy.StatusAccepted {
		return unfit("deployment %d is %s", row.Number, row.Status)
	}
	return c.set(map[string]any{"ref_moved": true, "settled": true})
}

// subject is what has to be known of a deployment to take in an event about it. Nearly every event asks for
// it, and a whole row takes several times as long to read.
type subject struct {
	Number      deploy.Number
	AppID       uint32
	Environment deploy.Environment
	NewOID      deploy.OID `gorm:"column:new_oid"`
	Status      deploy.Status
}

func (subject) TableName() string { return "deployments" }

func (c change) subject(n deploy.Number) (subject, error) {
	var row subject
	err := c.tx.Select("number", "app_id", "environment", "new_oid", "status").Take(&row, "number = ?", n).Error
	return row, translated(err)
}

// deployment is the deployment of the event.
func (c change) deployment() (subject, error) {
	row, err := c.subject(c.e.Deployment)
	if errors.Is(err, deploy.ErrNotFound) {
		return subject{}, unfit("there is no deployment %d", c.e.Deployment)
	}
	return row, err
}

// rolledBack leaves its trace also on a deployment that has ended.
func (c change) rolledBack(state RollbackState) error {
	if _, err := c.deployment(); err != nil {
		return err
	}
	columns := map[string]any{"roll_back": state, "roll_back_at": at(c.e.At)}
	if c.e.Reason != "" {
		columns["roll_back_reason"] = c.e.Reason
	}
	return c.set(columns)
}

// accepted is the commit point: the target serves the release from here on, and the ref will move.
func (c change) accepted() error {
	var data deploy.SwitchData
	if err := c.data(&data); err != nil {
		return err
	}
	row, err := c.deployment()
	if err != nil {
		return err
	}
	c.e.New = cmp.Or(c.e.New, row.NewOID)
	columns := map[string]any{"status": deploy.StatusAccepted, "finished_at": at(c.e.At)}
	if c.e.Old != "" {
		columns["old_oid"] = c.e.Old
	}
	if err := c.update(columns); err != nil {
		return err
	}
	if err := c.endStages(deploy.OutcomePass, ""); err != nil {
		return err
	}
	return c.serve(row, data)
}

// ended is every other end.
func (c change) ended(status deploy.Status) error {
	var why deploy.Rejection
	if len(c.e.Data) > 0 {
		if err := c.data(&why); err != nil {
			return err
		}
	}
	why.Message = cmp.Or(why.Message, c.e.Reason)
	columns := map[string]any{
		"status": status, "code": why.Code, "reason": why.Message, "failed_stage": c.e.Stage,
		"finished_at": at(c.e.At), "settled": true,
	}
	if status == deploy.StatusRejected || status == deploy.StatusErrored {
		columns["signature"] = why.Signature()
	}
	if err := c.update(columns); err != nil {
		return err
	}
	if err := c.found(c.e.Deployment, why.Message); err != nil {
		return err
	}
	rest := deploy.OutcomeCanceled
	if status == deploy.StatusErrored {
		rest = deploy.OutcomeFault
	}
	return c.endStages(rest, c.e.Stage)
}
