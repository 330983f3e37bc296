-- Times are microseconds since 1970-01-01 UTC, NULL for none. Text is compared byte by byte, as in SQLite.

CREATE TABLE projection (
	id       BIGINT  PRIMARY KEY CHECK (id = 1),
	sequence BIGINT  NOT NULL, -- of the event taken in last
	event_id TEXT COLLATE "C" NOT NULL,
	unfit    BIGINT  NOT NULL  -- how many events fitted nothing that was known
);
INSERT INTO projection (id, sequence, event_id, unfit) VALUES (1, 0, '', 0);

CREATE TABLE events (
	sequence     BIGINT  PRIMARY KEY,
	id           TEXT COLLATE "C" NOT NULL,
	type         TEXT COLLATE "C" NOT NULL,
	at           BIGINT,
	actor_type   TEXT COLLATE "C" NOT NULL,
	actor_name   TEXT COLLATE "C" NOT NULL,
	actor_key    TEXT COLLATE "C" NOT NULL,
	actor_ip     TEXT COLLATE "C" NOT NULL,
	actor_origin TEXT COLLATE "C" NOT NULL,
	app          TEXT COLLATE "C" NOT NULL,
	environment  TEXT COLLATE "C" NOT NULL,
	ref          TEXT COLLATE "C" NOT NULL,
	old_oid      TEXT COLLATE "C" NOT NULL,
	new_oid      TEXT COLLATE "C" NOT NULL,
	deployment   BIGINT  NOT NULL,
	stage        TEXT COLLATE "C" NOT NULL,
	outcome      TEXT COLLATE "C" NOT NULL,
	reason       TEXT COLLATE "C" NOT NULL,
	data         TEXT COLLATE "C" NOT NULL
);
CREATE INDEX events_by_deployment ON events (deployment, sequence) WHERE deployment <> 0;
CREATE INDEX events_by_app ON events (app, sequence) WHERE app <> '';
CREATE INDEX events_by_type ON events (type, sequence);
CREATE INDEX events_by_actor ON events (actor_name, sequence);

CREATE TABLE users (
	name       TEXT COLLATE "C" PRIMARY KEY,
	role       TEXT COLLATE "C" NOT NULL,
	created_at BIGINT
);

CREATE TABLE keys (
	fingerprint TEXT COLLATE "C" PRIMARY KEY,
	user_name   TEXT COLLATE "C" NOT NULL REFERENCES users (name) ON DELETE CASCADE,
	line        TEXT COLLATE "C" NOT NULL,
	added_at    BIGINT
);
CREATE INDEX keys_by_user ON keys (user_name);

-- A removed app keeps its row and its ID; its name may be given again.
CREATE TABLE apps (
	id         BIGINT  PRIMARY KEY,
	name       TEXT COLLATE "C" NOT NULL,
	gated_ref  TEXT COLLATE "C" NOT NULL,
	object_format TEXT COLLATE "C" NOT NULL, -- sha1 or sha256
	created_at BIGINT,
	removed_at BIGINT
);
CREATE UNIQUE INDEX apps_by_name ON apps (name) WHERE removed_at IS NULL;
CREATE INDEX apps_ever_by_name ON apps (name);

CREATE TABLE grants (
	app_id    BIGINT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
	user_name TEXT COLLATE "C" NOT NULL REFERENCES users (name) ON DELETE CASCADE,
	role      TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (app_id, user_name)
);
CREATE INDEX grants_by_user ON grants (user_name);

CREATE TABLE deployments (
	number             BIGINT  PRIMARY KEY,
	app_id             BIGINT  NOT NULL, -- zero if the app was not known
	app                TEXT COLLATE "C" NOT NULL,
	environment        TEXT COLLATE "C" NOT NULL,
	ref                TEXT COLLATE "C" NOT NULL,
	old_oid            TEXT COLLATE "C" NOT NULL,
	new_oid            TEXT COLLATE "C" NOT NULL,
	commit_subject     TEXT COLLATE "C" NOT NULL,
	commit_author      TEXT COLLATE "C" NOT NULL,
	commit_authored_at BIGINT,
	pusher_user        TEXT COLLATE "C" NOT NULL,
	pusher_admin       BOOLEAN NOT NULL,
	pusher_fingerprint TEXT COLLATE "C" NOT NULL,
	pusher_ip          TEXT COLLATE "C" NOT NULL,
	bypass             BOOLEAN NOT NULL,
	bypass_reason      TEXT COLLATE "C" NOT NULL,
	bypass_forced      BOOLEAN NOT NULL,
	status             TEXT COLLATE "C" NOT NULL,
	code               TEXT COLLATE "C" NOT NULL,
	reason             TEXT COLLATE "C" NOT NULL,
	failed_stage       TEXT COLLATE "C" NOT NULL,
	previous           BIGINT  NOT NULL,
	queued_at          BIGINT,
	started_at         BIGINT,
	switched_at        BIGINT,
	finished_at        BIGINT,
	ref_moved          BOOLEAN NOT NULL,
	settled            BOOLEAN NOT NULL, -- recovery has nothing to do for it
	roll_back          TEXT COLLATE "C" NOT NULL, -- intended, done or failed
	roll_back_reason   TEXT COLLATE "C" NOT NULL,
	roll_back_at       BIGINT
);
CREATE INDEX deployments_by_app ON deployments (app_id, number);
CREATE INDEX deployments_by_app_status ON deployments (app_id, status, number);
CREATE INDEX deployments_by_status ON deployments (status, number);
CREATE INDEX deployments_by_pusher ON deployments (pusher_user, number);
CREATE INDEX deployments_unsettled ON deployments (number) WHERE NOT settled;

CREATE TABLE stages (
	deployment  BIGINT NOT NULL REFERENCES deployments (number) ON DELETE CASCADE,
	name        TEXT COLLATE "C" NOT NULL,
	sequence    BIGINT NOT NULL, -- of the event that began it; orders them
	outcome     TEXT COLLATE "C" NOT NULL, -- empty while it runs
	reason      TEXT COLLATE "C" NOT NULL,
	started_at  BIGINT,
	finished_at BIGINT,
	log         TEXT COLLATE "C" NOT NULL,
	size        BIGINT NOT NULL,
	sha256      TEXT COLLATE "C" NOT NULL,
	checks      TEXT COLLATE "C" NOT NULL, -- JSON; empty for none
	PRIMARY KEY (deployment, name)
);

CREATE TABLE targets (
	app_id      BIGINT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
	environment TEXT COLLATE "C" NOT NULL,
	serving     BIGINT NOT NULL,
	revision    TEXT COLLATE "C" NOT NULL,
	previous    BIGINT NOT NULL,
	frozen      TEXT COLLATE "C" NOT NULL,
	frozen_at   BIGINT,
	PRIMARY KEY (app_id, environment)
);

CREATE TABLE releases (
	app_id     BIGINT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
	number     BIGINT NOT NULL,
	revision   TEXT COLLATE "C" NOT NULL,
	created_at BIGINT,
	pruned_at  BIGINT,
	PRIMARY KEY (app_id, number)
);
