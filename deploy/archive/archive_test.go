package archive_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"slipway/deploy/archive"
)

// TestStory: a folder goes into an archive and comes out as it was.
func TestStory(t *testing.T) {
	from := t.TempDir()
	then := time.Unix(1_700_000_000, 123456789)
	for name, mode := range map[string]fs.FileMode{"bin/shop": 0o755, "deep/er/secret": 0o600, "cache/big": 0o644} {
		path := filepath.Join(from, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o750))
		must(t, os.WriteFile(path, []byte("content of "+name), 0o600))
		must(t, os.Chmod(path, mode))
		must(t, os.Chtimes(path, then, then))
	}
	must(t, os.Symlink("/etc/passwd", filepath.Join(from, "out")))

	var b bytes.Buffer
	w := archive.NewWriter(&b)
	keep := func(rel string, _ fs.DirEntry) bool { return rel != "cache" }
	must(t, w.Tree(t.Context(), "app", from, keep, nil))
	must(t, w.Bytes("note", 0o640, []byte("written by hand")))
	must(t, w.Folder("empty", 0o700))
	must(t, w.Link("current", "app/bin"))
	must(t, w.Part("part", filepath.Join(from, "bin/shop"), 7))
	must(t, w.Close())

	to := extract(t, b.Bytes(), nil)
	for name, want := range map[string]string{"app/bin/shop": "content of bin/shop", "note": "written by hand", "part": "content", "current/shop": "content of bin/shop"} {
		if got, err := os.ReadFile(filepath.Join(to, name)); string(got) != want || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	info, err := os.Stat(filepath.Join(to, "app/bin/shop"))
	must(t, err)
	if info.Mode() != 0o755 || !info.ModTime().Equal(then) {
		t.Errorf("app/bin/shop: %v %v", info.Mode(), info.ModTime())
	}
	if link, err := os.Readlink(filepath.Join(to, "app/out")); link != "/etc/passwd" || err != nil {
		t.Errorf("app/out: %q, %v", link, err)
	}
	for _, name := range []string{"app/cache", archive.ManifestName} {
		if _, err := os.Lstat(filepath.Join(to, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is there: %v", name, err)
		}
	}
}

// A file that changes while it is read is told, and so is one that disappears.
func TestChanging(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "short"), []byte("abc"), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "gone"), []byte("abc"), 0o600))
	var b bytes.Buffer
	w := archive.NewWriter(&b)
	must(t, w.Part("short", filepath.Join(dir, "short"), 5))
	var gone []string
	keep := func(rel string, _ fs.DirEntry) bool {
		if rel == "gone" {
			must(t, os.Remove(filepath.Join(dir, "gone")))
		}
		return true
	}
	must(t, w.Tree(t.Context(), "", dir, keep, func(rel string) { gone = append(gone, rel) }))
	must(t, w.Close())
	if !slices.Equal(w.Changed(), []string{"short"}) || !slices.Equal(gone, []string{"gone"}) {
		t.Errorf("changed %q, gone %q", w.Changed(), gone)
	}
	// "short" was put in twice: an archive never replaces what it has brought.
	extract(t, b.Bytes(), fs.ErrExist)
}

// Every way in which an archive can be cut off or changed is found.
func TestDamaged(t *testing.T) {
	var b bytes.Buffer
	w := archive.NewWriter(&b)
	for _, name := range []string{"one", "two", "three"} {
		must(t, w.Bytes(name, 0o600, bytes.Repeat([]byte(name), 1000)))
	}
	must(t, w.Close())
	whole := b.Bytes()
	for cut := 0; cut < len(whole); cut += 7 {
		extract(t, whole[:cut], archive.ErrDamaged)
	}
	for at := 12; at < len(whole); at += 11 { // the first ten bytes are gzip's header, of which some may be anything
		broken := slices.Clone(whole)
		broken[at] ^= 0x10
		root, err := os.OpenRoot(t.TempDir())
		must(t, err)
		if err := archive.Extract(t.Context(), bytes.NewReader(broken), root); err == nil && !sameContent(t, root) {
			t.Errorf("byte %d was changed and nobody noticed", at)
		}
		root.Close()
	}
}

// sameContent tells whether what TestDamaged put in came out: not every bit of a compressed file means
// something.
func sameContent(t *testing.T, root *os.Root) bool {
	t.Helper()
	return !slices.ContainsFunc([]string{"one", "two", "three"}, func(name string) bool {
		b, err := root.ReadFile(name)
		return err != nil || !bytes.Equal(b, bytes.Repeat([]byte(name), 1000))
	})
}

// What leads out of the folder stays out.
func TestHostile(t *testing.T) {
	for _, h := range []*tar.Header{
		{Name: "../evil", Typeflag: tar.TypeReg}, {Name: "/evil", Typeflag: tar.TypeReg}, {Name: "a/../../evil", Typeflag: tar.TypeReg},
		{Name: "device", Typeflag: tar.TypeChar}, {Name: "hard", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"},
	} {
		extract(t, packed(t, h), archive.ErrDamaged)
	}
	outside := t.TempDir()
	b := packed(t, &tar.Header{Name: "link", Typeflag: tar.TypeSymlink, Linkname: outside}, &tar.Header{Name: "link/evil", Typeflag: tar.TypeReg})
	root, err := os.OpenRoot(t.TempDir())
	must(t, err)
	defer root.Close()
	if err := archive.Extract(t.Context(), bytes.NewReader(b), root); err == nil {
		t.Error("an entry behind a link was unpacked")
	}
	if entries, _ := os.ReadDir(outside); len(entries) > 0 {
		t.Errorf("%s was written", entries[0].Name())
	}
}

func packed(t *testing.T, headers ...*tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	zip := gzip.NewWriter(&b)
	w := tar.NewWriter(zip)
	for _, h := range headers {
		h.Mode = 0o600
		must(t, w.WriteHeader(h))
	}
	must(t, w.Close())
	must(t, zip.Close())
	return b.Bytes()
}

// extract unpacks, expecting an error if want is not nil, and returns the folder.
func extract(t *testing.T, b []byte, want error) string {
	t.Helper()
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	must(t, err)
	defer root.Close()
	if err := archive.Extract(t.Context(), bytes.NewReader(b), root); !errors.Is(err, want) {
		t.Errorf("Extract of %d bytes: %v, want %v", len(b), err, want)
	}
	return dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
