-- Whose failures, at which stage and of which kind. Few deployments fail, so these are small.
CREATE INDEX deployments_by_pusher_stage ON deployments (pusher_user, failed_stage, number) WHERE failed_stage <> '';
CREATE INDEX deployments_by_pusher_code ON deployments (pusher_user, code, number) WHERE code <> '';
CREATE INDEX deployments_by_app_pusher_code ON deployments (app_id, pusher_user, code, number) WHERE code <> '';
CREATE INDEX deployments_by_app_code ON deployments (app_id, code, number) WHERE code <> '';
