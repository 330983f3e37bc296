package webui

import "slipway/deploy"

// stateOf is how a deployment stands.
func stateOf(s deploy.Status) State {
	switch s {
	case deploy.StatusQueued:
		return State{"idle", "○", "waiting"}
	case deploy.StatusRunning:
		return State{"run", "●", "running"}
	case deploy.StatusAccepted:
		return State{"pass", "✓", "accepted"}
	case deploy.StatusRejected:
		return State{"fail", "✗", "rejected"}
	case deploy.StatusCanceled:
		return State{"idle", "–", "canceled"}
	case deploy.StatusInterrupted:
		return State{"warn", "–", "interrupted"}
	case deploy.StatusErrored:
		return State{"warn", "!", "errored"}
	}
	return State{"idle", "?", string(s)}
}

// outcomeOf is how a stage or a check ended; "" is one that runs.
func outcomeOf(o deploy.Outcome) State {
	switch o {
	case "":
		return State{"run", "●", "running"}
	case deploy.OutcomePass:
		return State{"pass", "✓", "passed"}
	case deploy.OutcomeFail:
		return State{"fail", "✗", "failed"}
	case deploy.OutcomeSkipped:
		return State{"idle", "–", "skipped"}
	case deploy.OutcomeCanceled:
		return State{"idle", "–", "canceled"}
	case deploy.OutcomeFault:
		return State{"warn", "!", "our fault"}
	case deploy.OutcomeNoData:
		return State{"idle", "…", "not enough data"}
	}
	return State{"idle", "?", string(o)}
}

// ahead is a stage that has not begun.
func ahead() State { return State{"idle", "·", "to come"} }
