-- Browsers that are signed in. Only the hashes of their cookies are here.
CREATE TABLE sessions (
	id         TEXT PRIMARY KEY,
	user_name  TEXT NOT NULL, -- empty for an operator, and if a token opened it that belongs to nobody
	token      TEXT NOT NULL, -- that opened it; empty for a link
	hash       TEXT NOT NULL,
	agent      TEXT NOT NULL,
	ip         TEXT NOT NULL,
	opened_at  BIGINT,
	expires_at BIGINT
);
CREATE INDEX sessions_by_user ON sessions (user_name);
CREATE INDEX sessions_by_end ON sessions (expires_at);
