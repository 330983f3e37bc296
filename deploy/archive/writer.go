package archive

import (
	"archive/tar"
	"bytes"
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
	"time"
)

// ManifestName is the name of the last entry.
const ManifestName = "MANIFEST.json"

// Kind is what an entry is.
type Kind string

// The kinds.
const (
	File   Kind = "file"
	Folder Kind = "folder"
	Link   Kind = "link" // a symbolic one
)

// Entry is what the manifest says of one entry.
type Entry struct {
	Name   string `json:"name"` // slash-separated, relative
	Kind   Kind   `json:"kind"`
	Size   int64  `json:"size,omitempty"`
	SHA256 string `json:"sha256,omitempty"` // of a file
	Target string `json:"target,omitempty"` // of a link
}

// manifest is the content of the last entry.
type manifest struct {
	Version int     `json:"version"`
	Entries []Entry `json:"entries"`
}

const manifestVersion = 1

// Writer writes an archive. It is for one goroutine at a time.
type Writer struct {
	// UID and GID own what is put in without being copied; 0 is root.
	UID, GID int

	tar     *tar.Writer
	zip     *gzip.Writer
	entries []Entry
	changed []string
}

// NewWriter returns a writer of an archive to w. Nothing is whole before [Writer.Close].
func NewWriter(w io.Writer) *Writer {
	zip, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		panic("archive: " + err.Error()) // the level is one of gzip's own
	}
	return &Writer{tar: tar.NewWriter(zip), zip: zip}
}

// Changed lists the files that changed while they were read, by what they are called in the archive.
func (w *Writer) Changed() []string { return w.changed }

// Folder puts an empty folder in.
func (w *Writer) Folder(name string, mode fs.FileMode) error {
	h := &tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: int64(mode.Perm()), ModTime: time.Now(), Uid: w.UID, Gid: w.GID}
	return w.header(h, Entry{Name: name, Kind: Folder})
}

// Link puts a symbolic link in.
func (w *Writer) Link(name, target string) error {
	h := &tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777, ModTime: time.Now(), Uid: w.UID, Gid: w.GID}
	return w.header(h, Entry{Name: name, Kind: Link, Target: target})
}

// Bytes puts a file in that has this content.
func (w *Writer) Bytes(name string, mode fs.FileMode, b []byte) error {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: int64(mode.Perm()), ModTime: time.Now(), Uid: w.UID, Gid: w.GID}
	return w.content(h, bytes.NewReader(b), int64(len(b)))
}

// Part puts the first size bytes of the file at path in.
func (w *Writer) Part(name, path string, size int64) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("archiving: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("archiving: %w", err)
	}
	h, err := tar.FileInfoHeader(info, "")
	if err != nil {
		return fmt.Errorf("archiving %s: %w", name, err)
	}
	h.Name, h.Uname, h.Gname = name, "", ""
	return w.content(h, f, size)
}

// Tree puts a folder with all that is in it in, as name; "" is what is in it alone. keep tells of each path below it, relative and
// slash-separated, whether it is wanted; a folder that is not is not looked into. nil keeps all. Sockets,
// pipes and devices are left out. What disappears meanwhile is handed to gone, nil for nobody; dir itself
// must be there.
func (w *Writer) Tree(ctx context.Context, name, dir string, keep func(rel string, e fs.DirEntry) bool, gone func(rel string)) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("archiving: %w", err)
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), ".", func(rel string, e fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if rel != "." && keep != nil && e != nil && !keep(rel, e) {
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if err == nil {
			err = w.entry(root, path.Join(name, rel), rel)
		}
		if errors.Is(err, fs.ErrNotExist) && rel != "." {
			if gone != nil {
				gone(rel)
			}
			return nil
		}
		return err
	})
}

// entry puts one path of a folder in.
func (w *Writer) entry(root *os.Root, name, rel string) error {
	if name == "." {
		return nil // the archive itself
	}
	info, err := root.Lstat(rel)
	if err != nil {
		return err
	}
	target := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		if target, err = root.Readlink(rel); err != nil {
			return err
		}
	}
	if !info.IsDir() && target == "" && !info.Mode().IsRegular() {
		return nil
	}
	h, err := tar.FileInfoHeader(info, target)
	if err != nil {
		return fmt.Errorf("archiving %s: %w", name, err)
	}
	h.Name, h.Uname, h.Gname = name, "", ""
	switch {
	case info.IsDir():
		h.Name += "/"
		return w.header(h, Entry{Name: name, Kind: Folder})
	case target != "":
		return w.header(h, Entry{Name: name, Kind: Link, Target: target})
	}
	f, err := root.Open(rel)
	if err != nil {
		return err
	}
	defer f.Close()
	return w.content(h, f, info.Size())
}

func (w *Writer) header(h *tar.Header, e Entry) error {
	h.Format = tar.FormatPAX
	h.AccessTime, h.ChangeTime = time.Time{}, time.Time{}
	if err := w.tar.WriteHeader(h); err != nil {
		return fmt.Errorf("archiving %s: %w", e.Name, err)
	}
	w.entries = append(w.entries, e)
	return nil
}

// content writes size bytes of r, zeros where it has less.
func (w *Writer) content(h *tar.Header, r io.Reader, size int64) error {
	h.Size = size
	if err := w.header(h, Entry{Name: h.Name, Kind: File, Size: size}); err != nil {
		return err
	}
	sum := sha256.New()
	out := io.MultiWriter(w.tar, sum)
	n, err := io.CopyN(out, r, size)
	if errors.Is(err, io.EOF) {
		w.changed = append(w.changed, h.Name)
		_, err = io.CopyN(out, zeros{}, size-n)
	}
	if err != nil {
		return fmt.Errorf("archiving %s: %w", h.Name, err)
	}
	w.entries[len(w.entries)-1].SHA256 = hex.EncodeToString(sum.Sum(nil))
	return nil
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// Close writes the manifest and ends the archive. It does not close what is written to.
func (w *Writer) Close() error {
	b, err := json.Marshal(manifest{Version: manifestVersion, Entries: w.entries})
	if err != nil {
		return fmt.Errorf("archiving: %w", err)
	}
	h := &tar.Header{Typeflag: tar.TypeReg, Name: ManifestName, Mode: 0o600, Size: int64(len(b)), ModTime: time.Now()}
	err = w.tar.WriteHeader(h)
	if err == nil {
		_, err = w.tar.Write(b)
	}
	if err == nil {
		err = w.tar.Close()
	}
	if err = errors.Join(err, w.zip.Close()); err != nil {
		return fmt.Errorf("archiving: %w", err)
	}
	return nil
}
