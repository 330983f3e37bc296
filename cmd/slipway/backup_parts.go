package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"slipway/deploy"
	"slipway/gitserver/repo"
)

// repository puts a repository in: its refs as they are now, but the gated one as it was at the head,
// and then every object that these can need.
func (b *backup) repository(ctx context.Context, app backedUpApp) error {
	dir, name := b.layout.Repo(app.Name), path.Join("repos", string(app.Name)+".git")
	refs, err := b.refs(ctx, app)
	if err != nil {
		return err
	}
	if err := b.out.Bytes(name+"/packed-refs", 0o644, refs); err != nil {
		return err
	}
	for _, folder := range []string{"refs", "refs/heads", "refs/tags"} {
		if err := b.out.Folder(name+"/"+folder, 0o755); err != nil {
			return err
		}
	}
	// HEAD, config and info: small, and hardly ever written to.
	notHere := []string{"refs", "packed-refs", "objects", "logs", "hooks", "worktrees"}
	keep := func(rel string, _ fs.DirEntry) bool {
		return !slices.Contains(notHere, rel) && !strings.HasSuffix(rel, ".lock")
	}
	if err := b.out.Tree(ctx, name, dir, keep, nil); err != nil {
		return err
	}
	return b.objects(ctx, filepath.Join(dir, "objects"), name+"/objects")
}

// refs reads a repository's refs, as a packed-refs file holds them. Those of deployments after the head
// are left out.
func (b *backup) refs(ctx context.Context, app backedUpApp) ([]byte, error) {
	repos := repo.New(repo.Config{Layout: b.layout})
	out, err := repos.Command(ctx, "--git-dir="+repos.Dir(app.Name), "for-each-ref", "--format=%(objectname) %(refname)").Output()
	if err != nil {
		return nil, fmt.Errorf("listing refs: %w", err)
	}
	all := map[deploy.RefName]string{}
	for line := range strings.Lines(string(out)) {
		oid, ref, _ := strings.Cut(strings.TrimSpace(line), " ")
		all[deploy.RefName(ref)] = oid
	}
	delete(all, app.GatedRef)
	if !app.Revision.IsZero() {
		all[app.GatedRef] = string(app.Revision)
	}
	const ofDeployments = "refs/slipway/deployments/"
	var sorted []deploy.RefName
	for ref := range all {
		if number, is := strings.CutPrefix(string(ref), ofDeployments); is {
			if n, err := deploy.ParseNumber(number); err != nil || n > b.last {
				continue
			}
		}
		sorted = append(sorted, ref)
	}
	slices.Sort(sorted)
	text := bytes.NewBufferString("# pack-refs with: sorted \n")
	for _, ref := range sorted {
		fmt.Fprintf(text, "%s %s\n", all[ref], ref)
	}
	return text.Bytes(), nil
}

// objectPasses is how often a repository that is being repacked is looked through again.
const objectPasses = 10

// objects puts the objects in. Where one has gone it has been packed, so that those which are new are
// looked for once more.
func (b *backup) objects(ctx context.Context, dir, name string) error {
	have := map[string]bool{}
	for range objectPasses {
		missed := false
		fresh := func(rel string, e fs.DirEntry) bool {
			base := path.Base(rel)
			if strings.HasPrefix(base, "tmp_") || strings.HasPrefix(base, ".tmp-") || strings.HasSuffix(base, ".lock") || have[rel] {
				return false
			}
			have[rel] = !e.IsDir()
			return true
		}
		if err := b.out.Tree(ctx, name, dir, fresh, func(string) { missed = true }); err != nil {
			return err
		}
		if !missed {
			return nil
		}
	}
	return fmt.Errorf("its objects changed each of %d times that they were read", objectPasses)
}

// releases puts in what is pinned of an app, and where its current link points at the head.
func (b *backup) releases(ctx context.Context, app backedUpApp) error {
	name := path.Join("apps", string(app.Name))
	for _, folder := range []struct {
		name string
		mode fs.FileMode
	}{{"releases", 0o755}, {"instances", 0o700}} {
		if err := b.out.Folder(path.Join(name, folder.name), folder.mode); err != nil {
			return err
		}
	}
	held, err := os.ReadDir(b.pins.dir(string(app.Name)))
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	for _, e := range held {
		pinned := b.pins.dir(string(app.Name), e.Name())
		info, err := os.Stat(filepath.Join(pinned, "plan"))
		if err != nil {
			return err
		}
		if err := b.out.Part(path.Join(name, "instances", e.Name()+".json"), filepath.Join(pinned, "plan"), info.Size()); err != nil {
			return err
		}
		if err := b.out.Tree(ctx, path.Join(name, "releases", e.Name()), filepath.Join(pinned, "tree"), nil, nil); err != nil {
			return err
		}
	}
	if app.Serving == 0 {
		return nil
	}
	return b.out.Link(path.Join(name, "current"), path.Join("releases", app.Serving.String()))
}

// rest puts in whatever else there is: configuration, the host key, the apps' storage and variables, the logs of
// deployments. What is not known to be of the moment is kept.
func (b *backup) rest(ctx context.Context) error {
	apps := map[string]bool{}
	for _, app := range b.info.Apps {
		apps[string(app.Name)] = true
	}
	return b.out.Tree(ctx, "", string(b.layout), func(rel string, e fs.DirEntry) bool {
		part := strings.Split(rel, "/")
		switch part[0] {
		case "audit", "repos", "router", "hooks", "reserve", pinsFolder, stagingFolder:
			return false
		case "deployments":
			n, err := deploy.ParseNumber(part[min(1, len(part)-1)])
			return len(part) == 1 || err == nil && n <= b.last
		case "apps":
			return len(part) == 1 || apps[part[1]] && ofApp(part[2:], e)
		}
		keyOfVariables := part[0] == filepath.Base(b.layout.SecretKey()) // a stolen backup is not to open them
		return !keyOfVariables && !strings.HasPrefix(part[0], "slipway.db") && !strings.HasSuffix(part[0], ".sock")
	}, nil)
}

// ofApp tells whether a path below an app's folder is neither made anew nor in the backup already.
func ofApp(part []string, e fs.DirEntry) bool {
	if len(part) == 0 {
		return true
	}
	switch part[0] {
	case "cache", "work", "spare", "releases", "current", "current.new":
		return false
	case "instances": // which release is in force where there is no route to tell
		if len(part) == 1 {
			return true
		}
		_, err := deploy.ParseNumber(strings.TrimSuffix(part[1], ".json"))
		return err != nil && !e.IsDir() && strings.HasSuffix(part[1], ".json")
	}
	return true
}
