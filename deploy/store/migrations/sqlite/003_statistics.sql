-- What failures of the same cause have in common, and what was found out later.
ALTER TABLE deployments ADD COLUMN signature TEXT NOT NULL DEFAULT '';
CREATE INDEX deployments_by_queued ON deployments (queued_at);

CREATE TABLE regressions (
	deployment BIGINT PRIMARY KEY REFERENCES deployments (number) ON DELETE CASCADE,
	reason     TEXT   NOT NULL,
	fixed_by   BIGINT NOT NULL, -- zero if nothing has mended it
	marked_at  BIGINT
);

-- Signatures are made of events, so all of them are taken in once more.
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
