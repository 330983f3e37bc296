-- Three filters that are often asked for together, found without looking at what does not fit.
CREATE INDEX deployments_by_app_pusher_status ON deployments (app_id, pusher_user, status, number);
CREATE INDEX deployments_by_app_pusher_stage ON deployments (app_id, pusher_user, failed_stage, number) WHERE failed_stage <> '';
