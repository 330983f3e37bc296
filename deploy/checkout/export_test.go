package checkout

import "slipway/deploy"

// Ready tells whether the app's spare is there and holds revision.
func Ready(t *Trees, app deploy.App, revision deploy.OID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ready[app.Name].revision == revision
}

// Wanted tells whether a spare of the app is to be made.
func Wanted(t *Trees, app deploy.AppName) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, wanted := t.wanted[app]
	return wanted
}

// BeforeRemoving has hook called whenever a spare, or what is in its place, is about to be removed.
func BeforeRemoving(t *Trees, hook func()) {
	remove := t.remove
	t.remove = func(dir string) error {
		hook()
		return remove(dir)
	}
}
