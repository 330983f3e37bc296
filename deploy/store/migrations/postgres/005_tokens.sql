-- Secrets that stand for a caller in the API. Only their hashes are here.
CREATE TABLE tokens (
	id         TEXT COLLATE "C" PRIMARY KEY,
	name       TEXT COLLATE "C" NOT NULL,
	user_name  TEXT COLLATE "C" NOT NULL, -- empty for one that belongs to nobody
	role       TEXT COLLATE "C" NOT NULL,
	app        TEXT COLLATE "C" NOT NULL, -- empty for all
	hash       TEXT COLLATE "C" NOT NULL,
	created_at BIGINT,
	expires_at BIGINT, -- NULL for never
	revoked_at BIGINT
);
CREATE INDEX tokens_by_user ON tokens (user_name);
