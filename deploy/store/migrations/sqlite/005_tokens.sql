-- Secrets that stand for a caller in the API. Only their hashes are here.
CREATE TABLE tokens (
	id         TEXT PRIMARY KEY,
	name       TEXT NOT NULL,
	user_name  TEXT NOT NULL, -- empty for one that belongs to nobody
	role       TEXT NOT NULL,
	app        TEXT NOT NULL, -- empty for all
	hash       TEXT NOT NULL,
	created_at BIGINT,
	expires_at BIGINT, -- NULL for never
	revoked_at BIGINT
);
CREATE INDEX tokens_by_user ON tokens (user_name);
