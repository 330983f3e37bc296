package archive

import (
	"archive/tar"
	"compress/flate"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
)

// ErrDamaged says that an archive is not what was written: cut off, changed, or none at all.
var ErrDamaged = errors.New("the archive is damaged")

// Extract takes an archive out into an empty folder and returns when each entry has been compared with
// the manifest. Nothing is written outside of the folder, whatever the archive says. Modes and times are
// kept, and for root owners by their numbers. After an error the folder holds what had come so far.
func Extract(ctx context.Context, r io.Reader, root *os.Root) error {
	zip, err := gzip.NewReader(r)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	x := extraction{root: root, tar: tar.NewReader(zip)}
	for !x.done && err == nil {
		if err = ctx.Err(); err == nil {
			err = x.next()
		}
	}
	if err == nil {
		_, err = io.Copy(io.Discard, zip) // to its checksum
	}
	if unreadable(err) {
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err != nil {
		return fmt.Errorf("unpacking: %w", err)
	}
	return x.finish()
}

// unreadable tells whether err is about what was read, not about reading or writing.
func unreadable(err error) bool {
	_, corrupt := errors.AsType[flate.CorruptInputError](err)
	return corrupt || slices.ContainsFunc([]error{gzip.ErrChecksum, gzip.ErrHeader, tar.ErrHeader, io.ErrUnexpectedEOF, io.EOF},
		func(e error) bool { return errors.Is(err, e) })
}

type extraction struct {
	root    *os.Root
	tar     *tar.Reader
	seen    []Entry
	folders []*tar.Header // whose modes and times come last
	done    bool
}

func (x *extraction) next() error {
	h, err := x.tar.Next()
	if err != nil { // also the end: the manifest is missing
		return err
	}
	name := path.Clean(strings.TrimSuffix(h.Name, "/"))
	if h.Name == ManifestName {
		x.done = true
		return x.compare()
	}
	if !fs.ValidPath(name) {
		return fmt.Errorf("%w: an entry is called %q", ErrDamaged, h.Name)
	}
	h.Name = name
	switch h.Typeflag {
	case tar.TypeDir:
		x.seen, x.folders = append(x.seen, Entry{Name: name, Kind: Folder}), append(x.folders, h)
		return x.root.MkdirAll(name, 0o700)
	case tar.TypeSymlink:
		x.seen = append(x.seen, Entry{Name: name, Kind: Link, Target: h.Linkname})
		if err := x.parent(name); err != nil {
			return err
		}
		if err := x.root.Symlink(h.Linkname, name); err != nil {
			return err
		}
		return x.own(h)
	case tar.TypeReg:
		return x.file(h)
	}
	return fmt.Errorf("%w: %s is of kind %q", ErrDamaged, name, h.Typeflag)
}

// parent makes the folder of an entry, if the archive has not.
func (x *extraction) parent(name string) error {
	if dir := path.Dir(name); dir != "." {
		return x.root.MkdirAll(dir, 0o700)
	}
	return nil
}

func (x *extraction) file(h *tar.Header) error {
	if err := x.parent(h.Name); err != nil {
		return err
	}
	f, err := x.root.OpenFile(h.Name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, sum), x.tar)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	x.seen = append(x.seen, Entry{Name: h.Name, Kind: File, Size: n, SHA256: hex.EncodeToString(sum.Sum(nil))})
	return x.dress(h)
}

// dress gives an entry its owner, mode and time.
func (x *extraction) dress(h *tar.Header) error {
	if err := x.own(h); err != nil {
		return err
	}
	if err := x.root.Chmod(h.Name, h.FileInfo().Mode()&(fs.ModePerm|fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky)); err != nil {
		return err
	}
	return x.root.Chtimes(h.Name, h.ModTime, h.ModTime)
}

func (x *extraction) own(h *tar.Header) error {
	if os.Geteuid() != 0 {
		return nil
	}
	return x.root.Lchown(h.Name, h.Uid, h.Gid)
}

// compare reads the manifest.
func (x *extraction) compare() error {
	var m manifest
	if err := json.NewDecoder(x.tar).Decode(&m); err != nil {
		return fmt.Errorf("%w: its manifest: %w", ErrDamaged, err)
	}
	if m.Version != manifestVersion {
		return fmt.Errorf("the archive is of version %d, which this program does not know", m.Version)
	}
	for i, e := range x.seen {
		if i >= len(m.Entries) || m.Entries[i] != e {
			return fmt.Errorf("%w: %s is not what was written", ErrDamaged, e.Name)
		}
	}
	if len(m.Entries) > len(x.seen) {
		return fmt.Errorf("%w: %s is missing", ErrDamaged, m.Entries[len(x.seen)].Name)
	}
	return nil
}

func (x *extraction) finish() error {
	for _, h := range slices.Backward(x.folders) {
		if err := x.dress(h); err != nil {
			return fmt.Errorf("unpacking: %w", err)
		}
	}
	return nil
}
