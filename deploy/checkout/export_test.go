package checkout

import "slipway/deploy"

// Ready tells whether the app's spare is there and holds revision.
func Ready(t *Trees, app deploy.App, revision deploy.OID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ready[app.Name].revision == revision
}
