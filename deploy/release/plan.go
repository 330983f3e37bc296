package release

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"slipway/deploy"
)

// plan is what a release is and how it wants to be run, written before the release has its name. From
// it instances can be started, and production elsewhere be put back, long after the push.
type plan struct {
	Job       deploy.Job `json:"job"` // with the release's directory as its tree
	CreatedAt time.Time  `json:"createdAt"`
}

const planSuffix = ".json"

func (d directories) planPath(app deploy.AppName, n deploy.Number) string {
	return filepath.Join(d.layout.Instances(app), n.String()+planSuffix)
}

// writePlan writes a plan, before the release gets its name.
func (d directories) writePlan(p *plan) error {
	b, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the plan: %w", err)
	}
	path := d.planPath(p.Job.App.Name, p.Job.Number)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return replaceFile(path, append(b, '\n'))
}

// plan reads the plan of a release. It fails with deploy.ErrNotFound where there is none.
func (d directories) plan(app deploy.AppName, n deploy.Number) (*plan, error) {
	b, err := os.ReadFile(d.planPath(app, n))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("release %s of %s: %w", n, app, deploy.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the plan of release %s of %s: %w", n, app, err)
	}
	var p plan
	if err := json.Unmarshal(b, &p); err != nil {
		return nil, fmt.Errorf("reading the plan of release %s of %s: %w", n, app, err)
	}
	if p.Job.Manifest == nil {
		return nil, fmt.Errorf("reading the plan of release %s of %s: it has no manifest", n, app)
	}
	p.Job.Tree = d.layout.Release(app, n) // the data directory may have been elsewhere when it was written
	return &p, nil
}
