-- Browsers that are signed in. Only the hashes of their cookies are here.
CREATE TABLE sessions (
	id         TEXT COLLATE "C" PRIMARY KEY,
	user_name  TEXT COLLATE "C" NOT NULL, -- empty for an operator, and if a token opened it that belongs to nobody
	token      TEXT COLLATE "C" NOT NULL, -- that opened it; empty for a link
	hash       TEXT COLLATE "C" NOT NULL,
	agent      TEXT COLLATE "C" NOT NULL,
	ip         TEXT COLLATE "C" NOT NULL,
	opened_at  BIGINT,
	expires_at BIGINT
);
CREATE INDEX sessions_by_user ON sessions (user_name);
CREATE INDEX sessions_by_end ON sessions (expires_at);
