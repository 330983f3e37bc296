-- What is not a push: a redeployment, or a roll back to a release that is kept.
ALTER TABLE deployments ADD COLUMN again TEXT COLLATE "C" NOT NULL DEFAULT '';        -- empty for a push, redeploy or rollback
ALTER TABLE deployments ADD COLUMN again_of BIGINT NOT NULL DEFAULT 0;    -- the deployment whose revision or release it is
ALTER TABLE deployments ADD COLUMN again_reason TEXT COLLATE "C" NOT NULL DEFAULT '';
