INSERT INTO events VALUES (1, 'A', 'user.created', 1763812800000000, 'operator', 'root', '', '', 'socket', '', '', '', '', '', 0, '', '', '', '{"name":"alice"}', 0);
UPDATE projection SET sequence = 1, event_id = 'A';
INSERT INTO users VALUES ('alice', 'developer', 1763812800000000);
INSERT INTO keys VALUES ('SHA256:alice', 'alice', 'ssh-ed25519 AAAA', 1763812800000000);
INSERT INTO apps VALUES (1, 'shop', 'refs/heads/main', 'sha1', 1763812800000000, 1763812900000000), (2, 'shop', 'refs/heads/main', 'sha1', 1763812900000000, NULL);
INSERT INTO grants VALUES (2, 'alice', 'developer');
INSERT INTO deployments VALUES (42, 2, 'shop', 'production', 'refs/heads/main', '', 'aaaa', 'Fix cart total', 'Alice', NULL, 'alice', FALSE,
	'SHA256:alice', '192.0.2.7', TRUE, 'now', TRUE, 'accepted', '', '', '', 41, 1763812800000000, 1763812801000000, 1763812802000000,
	1763812803000000, TRUE, TRUE, '', '', NULL, 'rollback', 41, 'the new one is slow', 'build failed', 1763812800000000);
INSERT INTO regressions VALUES (42, 'the cart was empty', 43, 1763812900000000);
INSERT INTO stages VALUES (42, 'build', 7, 'pass', '', 1763812801000000, 1763812802000000, 'build.log', 7, 'ab', '[]');
INSERT INTO targets VALUES (2, 'production', 42, 'aaaa', 41, '', NULL);
INSERT INTO releases VALUES (2, 42, 'aaaa', 1763812803000000, NULL);
INSERT INTO words VALUES ('cart', 42), ('fix', 42), ('total', 42);
INSERT INTO tokens VALUES ('k3j2h1', 'deploy bot', 'alice', 'developer', 'shop', 'ab12', 1763812800000000, 1771588800000000, NULL);
INSERT INTO sessions VALUES ('s9x8w7', 'alice', 'k3j2h1', 'cd34', 'Firefox', '192.0.2.7', 1763812800000000, 1763856000000000);
