package repo

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/deploy"
)

// A folder that git may remove and make again meanwhile is on disk by the one above it.
func TestRefFolders(t *testing.T) {
	s := New(Config{Layout: deploy.Layout(t.TempDir())})
	top := s.Dir("shop")
	for _, dir := range []string{"refs/heads/feature", "refs/slipway/deployments"} {
		if err := os.MkdirAll(filepath.Join(top, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	const old, moved = deploy.OID("1"), deploy.OID("2")
	for _, c := range []struct {
		what   string
		update deploy.RefUpdate
		want   []string
	}{
		{"a branch", deploy.RefUpdate{Ref: "refs/heads/main", Old: old, New: moved}, []string{"refs/heads"}},
		{"one in a folder", deploy.RefUpdate{Ref: "refs/heads/feature/cart", Old: old, New: moved},
			[]string{"refs/heads/feature", "refs/heads"}},
		{"one in a folder that is not there", deploy.RefUpdate{Ref: "refs/heads/fix/7/cart", New: moved},
			[]string{"refs/heads/fix/7", "refs/heads/fix", "refs/heads"}},
		{"the first tag", deploy.RefUpdate{Ref: "refs/tags/v1", New: moved}, []string{"refs/tags", "refs"}},
		{"a deployment's", deploy.RefUpdate{Ref: "refs/slipway/deployments/7", New: moved},
			[]string{"refs/slipway/deployments", "refs/slipway"}},
		{"a branch that goes", deploy.RefUpdate{Ref: "refs/heads/main", Old: old}, []string{"refs/heads", "."}},
	} {
		var got []string
		for _, dir := range s.refFolders("shop", c.update).dirs {
			name, err := filepath.Rel(top, dir)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, name)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.what, diff)
		}
	}
}
