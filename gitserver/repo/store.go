// Package repo keeps the apps' repositories. Everything that reads or writes one goes through the git
// program, which is the reference, in an environment that this package builds from nothing: no
// system or user configuration, no replaced objects, no hook files in any repository.
//
// [Store] makes and removes repositories, resolves and moves refs; [Store.Revision] reads a commit
// as the domain's [deploy.Revision]. What has moved when a method returns is on disk, the folders'
// entries too. The package knows nothing of pushes, and a repository that it made is an ordinary bare
// one, for people with a shell to use. Start reading at [Store].
package repo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"slipway/deploy"
	"slipway/deploy/durable"
)

// Config says where the repositories are.
type Config struct {
	Layout deploy.Layout
	// Git is the git program, an absolute path; the first one in Path if empty.
	Git string
	// Path is the PATH of git and what it starts; the system's folders if empty.
	Path string
	// TreeBytes is how much the files of a revision may have that is checked out; 8 GiB if zero.
	TreeBytes int64
	Logger    *slog.Logger
}

// Store is all repositories of a data directory. It is safe for concurrent use.
type Store struct {
	config   Config
	moves    moves
	updaters updaters
}

// New returns the store of a data directory. It touches nothing.
func New(config Config) *Store {
	if config.Path == "" {
		config.Path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	}
	if config.Git == "" {
		config.Git = findGit(config.Path)
	}
	if config.TreeBytes == 0 {
		config.TreeBytes = 8 << 30
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	return &Store{config: config}
}

// ObjectFormat is the hash by which a repository names its objects.
type ObjectFormat string

// The object formats.
const (
	SHA1   ObjectFormat = "sha1"
	SHA256 ObjectFormat = "sha256"
)

// Options say how a repository is made.
type Options struct {
	ObjectFormat ObjectFormat   // SHA1 if empty
	GatedRef     deploy.RefName // what HEAD points to: refs/heads/…; DefaultRef if empty
}

// DefaultRef is the gated ref of an app that names no other.
const DefaultRef deploy.RefName = "refs/heads/main"

// Folders in the repositories' folder that are no repositories: an app's name has no dot.
const (
	homeFolder  = ".home"  // HOME of git; empty
	tempFolder  = ".tmp"   // repositories in the making, indexes of a checkout; emptied by SweepAll
	trashFolder = ".trash" // repositories on their way out; emptied by SweepAll
)

// Dir is the repository's folder.
func (s *Store) Dir(app deploy.AppName) string { return s.config.Layout.Repo(app) }

// Apps lists those that have a repository, whole or not.
func (s *Store) Apps() ([]deploy.AppName, error) {
	entries, err := os.ReadDir(s.config.Layout.Repos())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("listing repositories: %w", err)
	}
	var all []deploy.AppName
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".git")
		if app, err := deploy.ParseAppName(name); ok && err == nil {
			all = append(all, app)
		}
	}
	return all, nil
}

// Exists tells whether app has a repository.
func (s *Store) Exists(app deploy.AppName) bool {
	_, err := os.Stat(filepath.Join(s.Dir(app), "HEAD"))
	return err == nil
}

// Create makes an empty repository: complete, or not at all. The error is deploy.ErrExists if there
// is one.
func (s *Store) Create(ctx context.Context, app deploy.AppName, o Options) error {
	if o.GatedRef == "" {
		o.GatedRef = DefaultRef
	}
	if o.ObjectFormat == "" {
		o.ObjectFormat = SHA1
	}
	branch, ok := strings.CutPrefix(string(o.GatedRef), "refs/heads/")
	if err := CheckRefName(o.GatedRef); err != nil || !ok {
		return fmt.Errorf("creating repository %s: %q cannot be a gated branch", app, o.GatedRef)
	}
	if s.Exists(app) {
		return fmt.Errorf("repository %s: %w", app, deploy.ErrExists)
	}
	temporary, err := s.temporary(string(app) + ".git-")
	if err != nil {
		return fmt.Errorf("creating repository %s: %w", app, err)
	}
	defer os.RemoveAll(temporary)
	if _, err := s.git(ctx, "", "init", "--quiet", "--bare", "--template=", "--object-format="+string(o.ObjectFormat), "--initial-branch="+branch, temporary); err != nil {
		return fmt.Errorf("creating repository %s: %w", app, err)
	}
	if err := configure(temporary); err != nil {
		return fmt.Errorf("creating repository %s: %w", app, err)
	}
	if err := syncTree(temporary); err != nil {
		return fmt.Errorf("creating repository %s: %w", app, err)
	}
	s.updaters.drop(app)
	err = os.Rename(temporary, s.Dir(app))
	if errors.Is(err, fs.ErrExist) || errors.Is(err, errNotEmpty) {
		return fmt.Errorf("repository %s: %w", app, deploy.ErrExists)
	}
	if err != nil {
		return fmt.Errorf("creating repository %s: %w", app, err)
	}
	return durable.SyncDirs(s.config.Layout.Repos())
}

// Remove takes a repository away: out of sight at once, then from the disk. The error is
// deploy.ErrNotFound if there is none.
func (s *Store) Remove(_ context.Context, app deploy.AppName) error {
	trash := filepath.Join(s.config.Layout.Repos(), trashFolder)
	if err := os.MkdirAll(trash, 0o700); err != nil {
		return fmt.Errorf("removing repository %s: %w", app, err)
	}
	gone := filepath.Join(trash, string(app)+"-"+rand.Text())
	s.updaters.drop(app)
	err := os.Rename(s.Dir(app), gone)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("repository %s: %w", app, deploy.ErrNotFound)
	}
	if err != nil {
		return fmt.Errorf("removing repository %s: %w", app, err)
	}
	if err := durable.SyncDirs(s.config.Layout.Repos()); err != nil {
		return fmt.Errorf("removing repository %s: %w", app, err)
	}
	if err := os.RemoveAll(gone); err != nil {
		return fmt.Errorf("removing repository %s: %w", app, err)
	}
	return nil
}

// temporary makes a folder on the repositories' file system whose name begins with prefix.
func (s *Store) temporary(prefix string) (string, error) {
	dir := filepath.Join(s.config.Layout.Repos(), tempFolder)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	return os.MkdirTemp(dir, prefix)
}
