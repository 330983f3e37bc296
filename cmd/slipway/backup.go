package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"slipway/deploy"
	"slipway/deploy/archive"
	"slipway/deploy/audit"
	"slipway/deploy/durable"
)

// A backup is the data directory as it was at one event of the audit log, the head: taken by the program
// that was asked, without a lock and without the server's help, while pushes go on. Nothing in it has to
// be copied at that very moment:
//
//   - The log up to the head never changes.
//   - What the log says at the head is what apps serve and gated refs are: the copy's gated refs and
//     current links are written by the log, not copied.
//   - Objects of a repository are only added. Those of a ref that is read now can be copied later.
//   - Releases never change, but can be pruned: those that the log names are held by hard links first. If
//     one that serves has gone before that, a later head is taken.
//
// An app's storage is copied as it is; it belongs to the app. The database is derived from the log, and
// caches, work trees and instances are made anew.

// backupInfo is the first entry of a backup, BACKUP.json.
type backupInfo struct {
	Version   string        `json:"version"` // of the program
	CreatedAt time.Time     `json:"createdAt"`
	Head      string        `json:"head"` // of the audit log
	Apps      []backedUpApp `json:"apps"`
}

// backedUpApp is what an app serves in a backup.
type backedUpApp struct {
	Name     deploy.AppName `json:"name"`
	GatedRef deploy.RefName `json:"gatedRef"`
	Revision deploy.OID     `json:"revision,omitempty"`
	Serving  deploy.Number  `json:"serving,omitempty"`
}

const backupInfoName = "BACKUP.json"

// backupCommand is slipway backup FILE.
func backupCommand(ctx context.Context, data string, args []string, std stdio) error {
	f := newFlags("backup")
	dir := f.String("data", data, "")
	names, err := f.parse(args, 1, 1)
	if err != nil {
		return err
	}
	path, err := dataDir(*dir)
	if err != nil {
		return err
	}
	l := deploy.Layout(path)
	if _, err := os.Stat(l.Audit()); err != nil {
		return fmt.Errorf("%s is no data directory: it has no audit log; say where it is with -data DIR", l)
	}
	if names[0] != "-" && inside(names[0], path) {
		return fmt.Errorf("%s is in the data directory: write the backup elsewhere", names[0])
	}
	b, err := openBackup(ctx, l)
	if err != nil {
		return err
	}
	defer b.close()
	if names[0] == "-" {
		err = b.write(ctx, std.out)
	} else {
		err = replaceWhole(names[0], func(w io.Writer) error { return b.write(ctx, w) })
	}
	if err != nil {
		return err
	}
	b.report(std.err)
	return nil
}

// inside tells whether a file lies in a folder.
func inside(file, dir string) bool {
	abs, err := filepath.Abs(file)
	return err == nil && strings.HasPrefix(abs, dir+"/")
}

// replaceWhole writes a file that only its owner can read: all of it, on disk, or what was there before. It
// begins with the removal of what one that was killed has left.
func replaceWhole(path string, write func(io.Writer) error) error {
	next := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
	err := os.Remove(next)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if err := errors.Join(write(f), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return durable.Sync(filepath.Dir(path))
}

// backup is a backup being made.
type backup struct {
	layout deploy.Layout
	folder *os.File // of the data directory; holds the lock against another backup
	known  *replayed
	parts  []audit.Part
	info   backupInfo
	pins   pins
	last   deploy.Number // the newest deployment
	out    *archive.Writer
}

// headAttempts is how often a later head is taken because a release of an earlier one was pruned.
const headAttempts = 10

// openBackup decides on the head and holds what could go away.
func openBackup(ctx context.Context, l deploy.Layout) (*backup, error) {
	folder, err := os.Open(string(l))
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(folder.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err != nil {
		folder.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errors.New("another backup of this data directory is being made")
		}
		return nil, fmt.Errorf("locking the data directory: %w", err)
	}
	b := &backup{layout: l, folder: folder, pins: pins{layout: l}}
	for attempt := 1; ; attempt++ {
		err := b.prepare(ctx)
		if err == nil {
			return b, nil
		}
		if !errors.Is(err, errPruned) || attempt == headAttempts {
			b.close()
			return nil, err
		}
	}
}

func (b *backup) close() {
	if b.known != nil {
		b.known.close()
	}
	_ = b.pins.drop() // the next backup does it
	b.folder.Close()
}

// prepare takes the present head, and pins what the log names there.
func (b *backup) prepare(ctx context.Context) error {
	if b.known != nil {
		b.known.close()
		b.known = nil
	}
	if err := b.pins.drop(); err != nil {
		return err
	}
	var err error
	if b.known, err = replay(ctx, b.layout); err != nil {
		return err
	}
	var head audit.Head
	if b.parts, head, err = audit.Extent(b.layout.Audit(), b.known.last.Sequence); err != nil {
		return err
	}
	if b.last, err = b.known.LastNumber(ctx); err != nil {
		return err
	}
	b.info = backupInfo{Version: version, CreatedAt: time.Now().UTC(), Head: head.String()}
	apps, err := b.known.Apps(ctx)
	if err != nil {
		return err
	}
	for _, app := range apps {
		state, err := b.known.TargetState(ctx, deploy.Target{App: app.Name, Environment: deploy.Production})
		if err != nil {
			return err
		}
		b.info.Apps = append(b.info.Apps, backedUpApp{app.Name, app.GatedRef, state.Revision, state.Serving})
		if err := b.pins.hold(ctx, b.known, app.Name, state.Serving); err != nil {
			return err
		}
	}
	return nil
}

// write writes the archive.
func (b *backup) write(ctx context.Context, w io.Writer) error {
	b.out = archive.NewWriter(w)
	owner, err := b.folder.Stat()
	if err != nil {
		return err
	}
	if stat, ok := owner.Sys().(*syscall.Stat_t); ok {
		b.out.UID, b.out.GID = int(stat.Uid), int(stat.Gid)
	}
	info, err := json.MarshalIndent(b.info, "", "  ")
	if err != nil {
		return err
	}
	if err := b.out.Bytes(backupInfoName, 0o600, append(info, '\n')); err != nil {
		return err
	}
	if err := b.log(); err != nil {
		return err
	}
	if err := b.out.Folder("repos", 0o700); err != nil {
		return err
	}
	for _, app := range b.info.Apps {
		if err := b.repository(ctx, app); err != nil {
			return fmt.Errorf("repository of %s: %w", app.Name, err)
		}
		if err := b.releases(ctx, app); err != nil {
			return fmt.Errorf("releases of %s: %w", app.Name, err)
		}
	}
	if err := b.rest(ctx); err != nil {
		return err
	}
	return b.out.Close()
}

// log puts the audit log in, up to the head.
func (b *backup) log() error {
	if err := b.out.Folder("audit", 0o700); err != nil {
		return err
	}
	for _, p := range b.parts {
		if err := b.out.Part("audit/"+p.Name, filepath.Join(b.layout.Audit(), p.Name), p.Size); err != nil {
			return err
		}
	}
	return nil
}

// report tells what the backup holds.
func (b *backup) report(out io.Writer) {
	fmt.Fprintf(out, "backed up %s as it was at event %s\n", b.layout, b.info.Head)
	for _, app := range b.info.Apps {
		fmt.Fprintln(out, "  "+app.String())
	}
	for _, name := range b.out.Changed() {
		fmt.Fprintf(out, "! %s changed while it was read: back up what the app keeps there in the app's own way\n", name)
	}
}

func (a backedUpApp) String() string {
	if a.Serving == 0 {
		return fmt.Sprintf("%s  nothing is deployed", a.Name)
	}
	return fmt.Sprintf("%s  serves %s (release %s)", a.Name, a.Revision.Short(), a.Serving)
}
