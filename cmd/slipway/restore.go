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

	"slipway/deploy"
	"slipway/deploy/archive"
	"slipway/deploy/audit"
	"slipway/deploy/durable"
	"slipway/gitserver/repo"
)

// stagingFolder is where a backup is unpacked and looked at, in the data directory, before anything of it
// gets its name.
const stagingFolder = "restore.tmp"

// lastRestored gets its place last: without a log it is no data directory.
const lastRestored = "audit"

// restoreCommand is slipway restore FILE. The data directory must not be there, or be empty. Everything
// is verified before the first file has its place; the audit log gets it last, so that what is half
// restored is no data directory.
func restoreCommand(ctx context.Context, data string, args []string, std stdio) error {
	f := newFlags("restore")
	dir := f.String("data", data, "")
	names, err := f.parse(args, 1, 1)
	if err != nil {
		return err
	}
	path, err := dataDir(*dir)
	if err != nil {
		return err
	}
	in := std.in
	if names[0] != "-" {
		file, err := os.Open(names[0])
		if err != nil {
			return err
		}
		defer file.Close()
		in = file
	}
	info, err := restore(ctx, deploy.Layout(path), in)
	if err != nil {
		return err
	}
	fmt.Fprintf(std.err, "restored %s: a backup of %s, up to event %s\n", path, info.CreatedAt.Format("2006-01-02 15:04:05 UTC"), info.Head)
	for _, app := range info.Apps {
		fmt.Fprintln(std.err, "  "+app.String())
	}
	if sealed, _ := filepath.Glob(deploy.Layout(path).Env("*")); len(sealed) > 0 {
		fmt.Fprintf(std.err, "apps' variables need the key, which is in no backup: put your copy at %s\n", deploy.Layout(path).SecretKey())
	}
	fmt.Fprintf(std.err, "start it: slipway serve -data %s\n", path)
	return nil
}

// restore unpacks a backup, verifies it, and puts it in its place.
func restore(ctx context.Context, l deploy.Layout, in io.Reader) (backupInfo, error) {
	if err := makeEmpty(l); err != nil {
		return backupInfo{}, err
	}
	staging := filepath.Join(string(l), stagingFolder)
	defer os.RemoveAll(staging)
	if err := unpack(ctx, in, staging); err != nil {
		return backupInfo{}, err
	}
	info, err := verifyBackup(ctx, deploy.Layout(staging))
	if err != nil {
		return info, fmt.Errorf("this backup cannot be restored: %w", err)
	}
	if err := os.Remove(filepath.Join(staging, backupInfoName)); err != nil {
		return info, err
	}
	return info, settleDown(staging, string(l))
}

// makeEmpty makes the data directory, or makes sure that it holds nothing but an earlier attempt.
func makeEmpty(l deploy.Layout) error {
	if err := os.MkdirAll(string(l), 0o711); err != nil {
		return err
	}
	entries, err := os.ReadDir(string(l))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == stagingFolder {
			continue
		}
		if err := cutOff(l); err != nil {
			return err
		}
		return fmt.Errorf("%s is not empty (%s): restore into another one with -data DIR, or move this one away", l, e.Name())
	}
	staging := filepath.Join(string(l), stagingFolder)
	return errors.Join(os.RemoveAll(staging), os.Mkdir(staging, 0o711))
}

func unpack(ctx context.Context, in io.Reader, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := archive.Extract(ctx, in, root); err != nil {
		return err
	}
	return durable.SyncFileSystem(dir)
}

// verifyBackup tells whether what was unpacked holds together: the chain of the log up to its head, and
// of each app the repository, the gated ref and the release that serves.
func verifyBackup(ctx context.Context, l deploy.Layout) (backupInfo, error) {
	var info backupInfo
	b, err := os.ReadFile(filepath.Join(string(l), backupInfoName))
	if err != nil {
		return info, fmt.Errorf("it is no backup of slipway: %w", err)
	}
	if err := json.Unmarshal(b, &info); err != nil {
		return info, fmt.Errorf("%s: %w", backupInfoName, err)
	}
	head, err := audit.ParseHead(info.Head)
	if err != nil {
		return info, err
	}
	report, err := audit.Verify(ctx, l.Audit(), head)
	switch {
	case err != nil:
		return info, err
	case !report.OK():
		return info, fmt.Errorf("its audit log: %s", report.Findings[0])
	case report.Head != head:
		return info, fmt.Errorf("its audit log ends at %s, not at %s", report.Head, head)
	}
	repos := repo.New(repo.Config{Layout: l})
	for _, app := range info.Apps {
		if err := verifyApp(ctx, l, repos, app); err != nil {
			return info, fmt.Errorf("app %s: %w", app.Name, err)
		}
	}
	return info, nil
}

func verifyApp(ctx context.Context, l deploy.Layout, repos *repo.Store, app backedUpApp) error {
	out, err := repos.Command(ctx, "--git-dir="+repos.Dir(app.Name), "fsck", "--connectivity-only", "--no-dangling", "--no-progress").CombinedOutput()
	if err != nil {
		return fmt.Errorf("its repository: git fsck: %w: %s", err, strings.TrimSpace(string(out)))
	}
	ref, err := repos.Resolve(ctx, app.Name, app.GatedRef)
	if err != nil {
		return err
	}
	if ref != app.Revision {
		return fmt.Errorf("%s is %s, and %s was accepted last", app.GatedRef, orNothing(ref), orNothing(app.Revision))
	}
	if app.Serving != 0 && !holds(l.Release(app.Name, app.Serving), app.Revision) {
		return fmt.Errorf("release %s is not of %s", app.Serving, app.Revision.Short())
	}
	return nil
}

// settleDown moves everything from the staging folder to the data directory, the audit log last.
func settleDown(staging, dir string) error {
	entries, err := os.ReadDir(staging)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() != lastRestored {
			if err := os.Rename(filepath.Join(staging, e.Name()), filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	if err := ownedLike(dir, filepath.Join(staging, lastRestored)); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(staging, lastRestored), filepath.Join(dir, lastRestored)); err != nil {
		return err
	}
	return durable.Sync(dir)
}

// cutOff is the error of a data directory of which a restore was killed after it had unpacked the log.
func cutOff(l deploy.Layout) error {
	_, err := os.Stat(filepath.Join(string(l), stagingFolder, lastRestored))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("%s was being restored when that was cut off: remove it, and restore the backup again", l)
}

// ownedLike gives the data directory to whom its content belongs.
func ownedLike(dir, other string) error {
	info, err := os.Lstat(other)
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() != 0 {
		return nil
	}
	return os.Chown(dir, int(stat.Uid), int(stat.Gid))
}
