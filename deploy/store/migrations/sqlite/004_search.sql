-- What pages of history are found by. The database is emptied and filled from the audit log again: these
-- columns and rows are derived by the program.
DELETE FROM releases;
DELETE FROM targets;
DELETE FROM stages;
DELETE FROM deployments;
DELETE FROM grants;
DELETE FROM keys;
DELETE FROM users;
DELETE FROM apps;
DELETE FROM events;
UPDATE projection SET sequence = 0, event_id = '', unfit = 0;

-- The app that had the name when the event happened; zero for none. A name may be given again.
ALTER TABLE events ADD COLUMN app_id BIGINT NOT NULL DEFAULT 0;
CREATE INDEX events_by_app_id ON events (app_id, sequence) WHERE app_id <> 0;

-- The latest time at which this deployment or one before it was queued: in the order of the numbers,
-- whatever the clock did.
ALTER TABLE deployments ADD COLUMN queued_order BIGINT NOT NULL DEFAULT 0;
CREATE INDEX deployments_by_time ON deployments (queued_order, number);

CREATE INDEX deployments_by_app_pusher ON deployments (app_id, pusher_user, number);
CREATE INDEX deployments_by_app_stage ON deployments (app_id, failed_stage, number) WHERE failed_stage <> '';
CREATE INDEX deployments_by_stage ON deployments (failed_stage, number) WHERE failed_stage <> '';
CREATE INDEX deployments_by_code ON deployments (code, number) WHERE code <> '';
CREATE INDEX deployments_by_ref ON deployments (ref, number);
CREATE INDEX deployments_by_revision ON deployments (new_oid, number);
CREATE INDEX deployments_bypassed ON deployments (number) WHERE bypass;
CREATE INDEX deployments_by_app_bypassed ON deployments (app_id, number) WHERE bypass;

-- The words of a deployment's reason and of its commit's subject, as words.go takes them apart.
CREATE TABLE words (
	word       TEXT   NOT NULL,
	deployment BIGINT NOT NULL,
	PRIMARY KEY (word, deployment)
) WITHOUT ROWID;
