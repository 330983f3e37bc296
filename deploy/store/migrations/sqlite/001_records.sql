-- Times are microseconds since 1970-01-01 UTC, NULL for none.

CREATE TABLE projection (
	id       INTEGER PRIMARY KEY CHECK (id = 1),
	sequence BIGINT  NOT NULL, -- of the event taken in last
	event_id TEXT    NOT NULL,
	unfit    BIGINT  NOT NULL  -- how many events fitted nothing that was known
);
INSERT INTO projection (id, sequence, event_id, unfit) VALUES (1, 0, '', 0);

CREATE TABLE events (
	sequence     INTEGER PRIMARY KEY,
	id           TEXT    NOT NULL,
	type         TEXT    NOT NULL,
	at           BIGINT,
	actor_type   TEXT    NOT NULL,
	actor_name   TEXT    NOT NULL,
	actor_key    TEXT    NOT NULL,
	actor_ip     TEXT    NOT NULL,
	actor_origin TEXT    NOT NULL,
	app          TEXT    NOT NULL,
	environment  TEXT    NOT NULL,
	ref          TEXT    NOT NULL,
	old_oid      TEXT    NOT NULL,
	new_oid      TEXT    NOT NULL,
	deployment   BIGINT  NOT NULL,
	stage        TEXT    NOT NULL,
	outcome      TEXT    NOT NULL,
	reason       TEXT    NOT NULL,
	data         TEXT    NOT NULL
);
CREATE INDEX events_by_deployment ON events (deployment, sequence) WHERE deployment <> 0;
CREATE INDEX events_by_app ON events (app, sequence) WHERE app <> '';
CREATE INDEX events_by_type ON events (type, sequence);
CREATE INDEX events_by_actor ON events (actor_name, sequence);

CREATE TABLE users (
	name       TEXT PRIMARY KEY,
	role       TEXT NOT NULL,
	created_at BIGINT
);

CREATE TABLE keys (
	fingerprint TEXT PRIMARY KEY,
	user_name   TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
	line        TEXT NOT NULL,
	added_at    BIGINT
);
CREATE INDEX keys_by_user ON keys (user_name);

-- A removed app keeps its row and its ID; its name may be given again.
CREATE TABLE apps (
	id         INTEGER PRIMARY KEY,
	name       TEXT NOT NULL,
	gated_ref  TEXT NOT NULL,
	object_format TEXT NOT NULL, -- sha1 or sha256
	created_at BIGINT,
	removed_at BIGINT
);
CREATE UNIQUE INDEX apps_by_name ON apps (name) WHERE removed_at IS NULL;
CREATE INDEX apps_ever_by_name ON apps (name);

CREATE TABLE grants (
	app_id    BIGINT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
	user_name TEXT   NOT NULL REFERENCES users (name) ON DELETE CASCADE,
	role      TEXT   NOT NULL,
	PRIMARY KEY (app_id, user_name)
);
CREATE INDEX grants_by_user ON grants (user_name);

CREATE TABLE deployments (
	number             INTEGER PRIMARY KEY,
	app_id             BIGINT  NOT NULL, -- zero if the app was not known
	app                TEXT    NOT NULL,
	environment        TEXT    NOT NULL,
	ref                TEXT    NOT NULL,
	old_oid            TEXT    NOT NULL,
	new_oid            TEXT    NOT NULL,
	commit_subject     TEXT    NOT NULL,
	commit_author      TEXT    NOT NULL,
	commit_authored_at BIGINT,
	pusher_user        TEXT    NOT NULL,
	pusher_admin       BOOLEAN NOT NULL,
	pusher_fingerprint TEXT    NOT NULL,
	pusher_ip          TEXT    NOT NULL,
	bypass             BOOLEAN NOT NULL,
	bypass_reason      TEXT    NOT NULL,
	bypass_forced      BOOLEAN NOT NULL,
	status             TEXT    NOT NULL,
	code               TEXT    NOT NULL,
	reason             TEXT    NOT NULL,
	failed_stage       TEXT    NOT NULL,
	previous           BIGINT  NOT NULL,
	queued_at          BIGINT,
	started_at         BIGINT,
	switched_at        BIGINT,
	finished_at        BIGINT,
	ref_moved          BOOLEAN NOT NULL,
	settled            BOOLEAN NOT NULL, -- recovery has nothing to do for it
	roll_back          TEXT    NOT NULL, -- intended, done or failed
	roll_back_reason   TEXT    NOT NULL,
	roll_back_at       BIGINT
);
CREATE INDEX deployments_by_app ON deployments (app_id, number);
CREATE INDEX deployments_by_app_status ON deployments (app_id, status, number);
CREATE INDEX deployments_by_status ON deployments (status, number);
CREATE INDEX deployments_by_pusher ON deployments (pusher_user, number);
CREATE INDEX deployments_unsettled ON deployments (number) WHERE NOT settled;

CREATE TABLE stages (
	deployment  BIGINT NOT NULL REFERENCES deployments (number) ON DELETE CASCADE,
	name        TEXT   NOT NULL,
	sequence    BIGINT NOT NULL, -- of the event that began it; orders them
	outcome     TEXT   NOT NULL, -- empty while it runs
	reason      TEXT   NOT NULL,
	started_at  BIGINT,
	finished_at BIGINT,
	log         TEXT   NOT NULL,
	size        BIGINT NOT NULL,
	sha256      TEXT   NOT NULL,
	checks      TEXT   NOT NULL, -- JSON; empty for none
	PRIMARY KEY (deployment, name)
);

CREATE TABLE targets (
	app_id      BIGINT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
	environment TEXT   NOT NULL,
	serving     BIGINT NOT NULL,
	revision    TEXT   NOT NULL,
	previous    BIGINT NOT NULL,
	frozen      TEXT   NOT NULL,
	frozen_at   BIGINT,
	PRIMARY KEY (app_id, environment)
);

CREATE TABLE releases (
	app_id     BIGINT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
	number     BIGINT NOT NULL,
	revision   TEXT   NOT NULL,
	created_at BIGINT,
	pruned_at  BIGINT,
	PRIMARY KEY (app_id, number)
);
