package release

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"slipway/deploy"
	"slipway/deploy/durable"
)

// A release without a process that gets traffic leaves nothing at the router to be found by. That it
// serves is written down instead.
type quiet struct {
	Release deploy.Number `json:"release"`
}

func (d directories) quietPath(app deploy.AppName) string {
	return filepath.Join(d.layout.Instances(app), "quiet"+planSuffix)
}

// quietly returns the release that serves the app without traffic; 0 for none.
func (d directories) quietly(app deploy.AppName) (deploy.Number, error) {
	var q quiet
	b, err := os.ReadFile(d.quietPath(app))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &q)
	}
	if err != nil {
		return 0, fmt.Errorf("reading which release of %s serves without traffic: %w", app, err)
	}
	return q.Release, nil
}

// setQuietly writes down that release n, or none, serves the app without traffic.
func (d directories) setQuietly(app deploy.AppName, n deploy.Number) error {
	path := d.quietPath(app)
	if n == 0 {
		err := os.Remove(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			err = durable.SyncDirs(filepath.Dir(path))
		}
		if err != nil {
			return fmt.Errorf("forgetting which release of %s served without traffic: %w", app, err)
		}
		return nil
	}
	b, err := json.Marshal(quiet{n})
	if err == nil {
		err = durable.Replace(path, append(b, '\n'))
	}
	if err != nil {
		return fmt.Errorf("writing down that release %s of %s serves without traffic: %w", n, app, err)
	}
	return nil
}
