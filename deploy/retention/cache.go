package retention

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"slipway/deploy"
)

// entry is a part of a cache that is dropped as a whole: half of a toolchain's own cache would be a
// broken one.
type entry struct {
	name string // below the cache, such as home/.cache or tree/node_modules
	size int64
	used time.Time // the newest time of a file in it
}

// dropped is the folder of a cache where entries go that are being removed. Steps do not see it.
const dropped = ".dropped"

// boundCache drops the entries of an app's cache that were not used for longest, until it is no larger
// than allowed. It waits for no deployment: if one is in flight, that is for the next time.
func (k *Keeper) boundCache(ctx context.Context, app deploy.App) error {
	dir := k.config.Layout.Cache(app.Name)
	away := filepath.Join(dir, dropped)
	if err := removeAll(away); err != nil {
		return fmt.Errorf("bounding the cache: %w", err)
	}
	entries, total := cacheEntries(ctx, dir)
	if total <= k.config.Policy.Cache || ctx.Err() != nil {
		return ctx.Err()
	}
	drop := deploy.PrunedData{}
	for _, e := range entries {
		if total-drop.Bytes <= k.config.Policy.Cache {
			break
		}
		drop.Entries, drop.Bytes = append(drop.Entries, e.name), drop.Bytes+e.size
	}
	ran, err := k.config.Pipeline.WhenIdle(targetOf(app), func() error {
		if err := k.record(ctx, deploy.EventCachePruned, app.Name, drop); err != nil {
			return err
		}
		if err := os.Mkdir(away, 0o700); err != nil {
			return fmt.Errorf("bounding the cache: %w", err)
		}
		for i, name := range drop.Entries {
			if err := os.Rename(filepath.Join(dir, name), filepath.Join(away, fmt.Sprint(i))); err != nil {
				return fmt.Errorf("bounding the cache: %w", err)
			}
		}
		return nil
	})
	if err != nil || !ran {
		return err
	}
	return removeAll(away)
}

// cacheEntries lists what can be dropped of a cache, what was used longest ago first.
func cacheEntries(ctx context.Context, dir string) ([]entry, int64) {
	var all []entry
	var total int64
	for _, part := range []string{"home", "tree"} {
		inside, _ := os.ReadDir(filepath.Join(dir, part)) // a cache that was never used has none
		for _, e := range inside {
			one := entry{name: filepath.Join(part, e.Name())}
			s, used := sizeOf(ctx, filepath.Join(dir, one.name))
			one.size, one.used = s.bytes, used
			all, total = append(all, one), total+s.bytes
		}
	}
	slices.SortFunc(all, func(a, b entry) int { return cmp.Or(a.used.Compare(b.used), cmp.Compare(a.name, b.name)) })
	return all, total
}

// removeAll is os.RemoveAll for trees that hold folders nobody may write to, as Go's module cache does.
func removeAll(path string) error {
	err := os.RemoveAll(path)
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	_ = filepath.WalkDir(path, func(name string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			_ = os.Chmod(name, 0o700) // what cannot be helped shows in RemoveAll
		}
		return nil
	})
	return os.RemoveAll(path)
}
