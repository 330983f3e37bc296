package audit

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"

	"slipway/deploy"
)

// VerifyAll is [Verify] for a data directory. It also compares the stage logs and measurements of
// deployments, where they are still there, with the sizes and hashes that the log holds.
func VerifyAll(ctx context.Context, l deploy.Layout, known ...Head) (Report, error) {
	v := &verifier{ctx: ctx, dir: l.Audit(), known: known}
	v.left = &left{layout: l, files: map[deploy.Number]map[string]leftFile{}}
	return v.verify()
}

// left is what the deployments that have not ended yet have left behind so far: a file that is written
// once more counts as it was written last.
type left struct {
	layout deploy.Layout
	files  map[deploy.Number]map[string]leftFile
}

type leftFile struct {
	place Finding // the line that holds its hash
	is    deploy.LeftFile
}

// leftBy notes the files that a stage left, and compares them all when their deployment ends.
func (v *verifier) leftBy(place Finding, e deploy.Event) {
	if v.left == nil || e.Deployment == 0 {
		return
	}
	switch e.Type {
	case deploy.EventStageFinished:
		v.note(place, e)
	case deploy.EventRefMoved, deploy.EventRejected, deploy.EventCanceled, deploy.EventInterrupted, deploy.EventErrored:
		v.compareLeft(e.Deployment)
	}
}

func (v *verifier) note(place Finding, e deploy.Event) {
	var data deploy.StageData
	if json.Unmarshal(e.Data, &data) != nil {
		return // whoever edited it is found by the chain
	}
	files := v.left.files[e.Deployment]
	if files == nil {
		files = map[string]leftFile{}
		v.left.files[e.Deployment] = files
	}
	for _, f := range append(data.Files, deploy.LeftFile{Name: data.Log, Size: data.Size, SHA256: data.SHA256}) {
		if f.Name != "" && f.Name == filepath.Base(f.Name) {
			files[f.Name] = leftFile{place, f}
		}
	}
}

func (v *verifier) compareAllLeft() {
	if v.left == nil {
		return
	}
	for n := range v.left.files {
		v.compareLeft(n)
	}
}

func (v *verifier) compareLeft(n deploy.Number) {
	var all []leftFile
	for _, f := range v.left.files[n] {
		all = append(all, f)
	}
	delete(v.left.files, n)
	slices.SortFunc(all, func(a, b leftFile) int { return cmp.Compare(a.is.Name, b.is.Name) })
	clean := v.clean
	for _, f := range all {
		if v.ctx.Err() != nil {
			return // the chain's walk says so
		}
		v.compareFile(n, f)
	}
	v.clean = clean // the log's own file is not to blame
}

func (v *verifier) compareFile(n deploy.Number, f leftFile) {
	path := filepath.Join(v.left.layout.Deployment(n), f.is.Name)
	size, sum, err := hashFile(path)
	name := filepath.Join("deployments", n.String(), f.is.Name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		v.report.Gone++
		return
	case err != nil:
		v.find(f.place, KindLog, "%s cannot be read: %v", name, err)
	case size != f.is.Size:
		v.find(f.place, KindLog, "%s has %d bytes, and had %d when this was recorded", name, size, f.is.Size)
	case sum != f.is.SHA256:
		v.find(f.place, KindLog, "%s has the SHA-256 %s, and had %s when this was recorded", name, sum, f.is.SHA256)
	}
	v.report.Logs++
}
