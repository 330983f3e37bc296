package repo_test

import (
	"os/exec"
	"strings"
	"testing"

	"slipway/deploy"
	"slipway/gitserver/repo"
)

// TestBrowse: commits and changes are those that git itself tells, by SHA-1 and by SHA-256.
func TestBrowse(t *testing.T) {
	for _, format := range []repo.ObjectFormat{repo.SHA1, repo.SHA256} {
		t.Run(string(format), func(t *testing.T) {
			layout := deploy.Layout(t.TempDir())
			s := repo.New(repo.Config{Layout: layout})
			if err := s.Create(t.Context(), "shop", repo.Options{ObjectFormat: format}); err != nil {
				t.Fatal(err)
			}
			git := func(args ...string) string {
				t.Helper()
				cmd := exec.Command("git", append([]string{"-C", s.Dir("shop")}, args...)...)
				cmd.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=" + t.TempDir(), "GIT_AUTHOR_NAME=Alice", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=Alice", "GIT_COMMITTER_EMAIL=a@example.com"}
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Fatalf("git %v: %v\n%s", args, err, out)
				}
				return strings.TrimSpace(string(out))
			}
			blob := func(text string) string {
				t.Helper()
				cmd := exec.Command("git", "-C", s.Dir("shop"), "hash-object", "-w", "--stdin")
				cmd.Stdin = strings.NewReader(text)
				out, err := cmd.Output()
				if err != nil {
					t.Fatal(err)
				}
				return strings.TrimSpace(string(out))
			}
			tree := func(files ...string) string {
				t.Helper()
				var lines []string
				for i := 0; i < len(files); i += 2 {
					lines = append(lines, "100644 blob "+blob(files[i+1])+"\t"+files[i])
				}
				cmd := exec.Command("git", "-C", s.Dir("shop"), "mktree")
				cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
				out, err := cmd.Output()
				if err != nil {
					t.Fatal(err)
				}
				return strings.TrimSpace(string(out))
			}
			first := git("commit-tree", "-m", "first", tree("a.txt", "one\ntwo\n", "gone.txt", "x\n"))
			side := git("commit-tree", "-m", "side", "-p", first, tree("a.txt", "one\ntwo\n"))
			second := git("commit-tree", "-m", "second\n\nbody", "-p", first, tree("a.txt", "one\n2\n", "b.bin", "\x00\x01"))
			merge := git("commit-tree", "-m", "merge", "-p", second, "-p", side, tree("a.txt", "one\n2\n", "b.bin", "\x00\x01"))

			h, err := s.Commits(t.Context(), "shop", deploy.OID(second), deploy.OID(merge), 10)
			if err != nil || len(h.Commits) != 2 || h.Commits[0].Subject != "merge" || h.Commits[1].Subject != "side" || h.More {
				t.Errorf("commits %+v, error %v", h, err)
			}
			if h, err = s.Commits(t.Context(), "shop", "", deploy.OID(merge), 3); err != nil || len(h.Commits) != 3 || !h.More {
				t.Errorf("commits %+v, error %v", h, err)
			}
			if h, err = s.Commits(t.Context(), "shop", deploy.OID(merge), deploy.OID(first), 3); err != nil || len(h.Commits) != 0 {
				t.Errorf("backwards: commits %+v, error %v", h, err)
			}
			d, err := s.Diff(t.Context(), "shop", deploy.OID(first), deploy.OID(merge), deploy.DiffLimits{Files: 10, Bytes: 1 << 20})
			if err != nil || len(d.Files) != 3 || d.More {
				t.Fatalf("diff %+v, error %v", d, err)
			}
			if a := d.Files[0]; a.Path != "a.txt" || a.Added != 1 || a.Deleted != 1 || !strings.Contains(a.Patch, "-two\n+2\n") {
				t.Errorf("a.txt: %+v", a)
			}
			if b := d.Files[1]; b.Path != "b.bin" || b.OldPath != "" || !b.Binary || b.Patch != "" {
				t.Errorf("b.bin: %+v", b)
			}
			if g := d.Files[2]; g.Path != "" || g.OldPath != "gone.txt" || g.Deleted != 1 {
				t.Errorf("gone.txt: %+v", g)
			}
			if d, err = s.Diff(t.Context(), "shop", "", deploy.OID(merge), deploy.DiffLimits{Files: 1, Bytes: 1 << 20}); err != nil || len(d.Files) != 1 || !d.More {
				t.Errorf("the first files %+v, error %v", d, err)
			}
		})
	}
}
