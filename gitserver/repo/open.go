package repo

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"sync"

	"slipway/deploy"
)

// What Open reads at most of a tree and of each file in it; what is larger is read when it is asked for.
const (
	maxTreeAhead = 1 << 20
	maxFileAhead = 64 << 10
)

// Reader reads the commits of a push. It has a git at hand that was started beforehand, while the push was
// still being received. It is safe for concurrent use.
type Reader struct {
	store *Store
	app   deploy.AppName

	mu    sync.Mutex
	ahead *batch // nil once it has been used, and when there is none
}

// Reader begins to read a repository for a push, which may still bring what is to be read. The git at hand
// ends with ctx, or by Close.
func (s *Store) Reader(ctx context.Context, app deploy.AppName) *Reader {
	r := &Reader{store: s, app: app}
	if b, err := s.openBatch(ctx, app); err == nil {
		r.ahead = b
	} // else Open tries again
	return r
}

// Close ends what has not been used.
func (r *Reader) Close() {
	if b := r.take(); b != nil {
		b.close()
	}
}

func (r *Reader) take() *batch {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.ahead
	r.ahead = nil
	return b
}

// Open returns what people read of a commit, and its revision, which knows already what every push asks
// of it: whether it descends from one of its parents, and the named files at the top of its tree. All of
// that is read by one git. The error is [ErrNotCommit] if oid is no commit.
func (r *Reader) Open(ctx context.Context, oid deploy.OID, files ...string) (deploy.Commit, deploy.Revision, error) {
	if _, err := deploy.ParseOID(string(oid)); err != nil {
		return deploy.Commit{}, nil, err
	}
	b, err := r.take(), error(nil)
	if b == nil {
		b, err = r.store.openBatch(ctx, r.app)
	}
	if err != nil {
		return deploy.Commit{}, nil, fmt.Errorf("reading commit %s: %w", oid.Short(), err)
	}
	defer b.close()
	revision := r.store.revision(r.app, oid)
	commit, err := revision.readAhead(b, files)
	if err != nil {
		return deploy.Commit{}, nil, err
	}
	return commit, revision, nil
}

func (r *revision) readAhead(b *batch, files []string) (deploy.Commit, error) {
	raw, err := b.object(string(r.oid), "commit", maxCommitHdr)
	if err != nil && !errors.Is(err, errLarge) {
		return deploy.Commit{}, fmt.Errorf("reading commit %s: %w", r.oid.Short(), err)
	}
	if err == nil && len(files) > 0 {
		// What fails here is told when it is asked for.
		_ = r.preload(b, raw, files)
	}
	return parseCommit(raw), nil
}

// preload takes in a commit's parents and files.
func (r *revision) preload(b *batch, commit []byte, files []string) error {
	head, _, _ := bytes.Cut(commit, []byte("\n\n"))
	var tree string
	for line := range bytes.Lines(head) {
		switch key, value, _ := strings.Cut(strings.TrimSuffix(string(line), "\n"), " "); key {
		case "tree":
			tree = value
		case "parent":
			r.descends[deploy.OID(value)] = true
		}
	}
	raw, err := b.object(tree, "tree", maxTreeAhead)
	if err != nil {
		return err
	}
	blobs, err := blobsOf(raw, len(r.oid)/2)
	if err != nil {
		return err
	}
	for _, name := range files {
		id, found := blobs[name]
		if !found {
			r.absent[name] = true
			continue
		}
		if r.files[name], err = b.object(id, "blob", maxFileAhead); err != nil {
			delete(r.files, name)
			return err
		}
	}
	return nil
}

// blobsOf reads the ids of the regular files in a tree object: <mode> SP <name> NUL <id>, again and
// again (gitformat-pack(5), gitcore-tutorial(7)).
func blobsOf(tree []byte, idBytes int) (map[string]string, error) {
	blobs := map[string]string{}
	for len(tree) > 0 {
		entry, rest, found := bytes.Cut(tree, []byte{0})
		if !found || len(rest) < idBytes {
			return nil, errors.New("reading a tree: it is cut short")
		}
		mode, name, _ := strings.Cut(string(entry), " ")
		if strings.HasPrefix(mode, "100") {
			blobs[name] = hex.EncodeToString(rest[:idBytes])
		}
		tree = rest[idBytes:]
	}
	return blobs, nil
}

// batch is a git cat-file that answers one question after the other.
type batch struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout io.ReadCloser
	reader *bufio.Reader
}

func (s *Store) openBatch(ctx context.Context, app deploy.AppName) (*batch, error) {
	b := &batch{cmd: s.in(ctx, app, "cat-file", "--batch")}
	var err error
	if b.stdin, err = b.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if b.stdout, err = b.cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	if err := b.cmd.Start(); err != nil {
		return nil, err
	}
	b.reader = bufio.NewReader(b.stdout)
	return b, nil
}

// close ends git, which takes a while and nobody has to wait for.
func (b *batch) close() {
	b.stdin.Close()
	b.stdout.Close() // an object may be larger than what is of interest
	go func() { _ = b.cmd.Wait() }()
}

// errLarge says that an object is larger than what was asked for. The batch is of no use then.
var errLarge = errors.New("larger than what is read")

// object reads an object of a kind; [ErrNotCommit] if there is none of that id and kind. Of one that is
// larger than limit it returns the beginning, and errLarge.
func (b *batch) object(id, kind string, limit int64) ([]byte, error) {
	if _, err := io.WriteString(b.stdin, id+"\n"); err != nil {
		return nil, err
	}
	line, err := b.reader.ReadString('\n')
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(line) // <id> <kind> <size>, or <id> missing
	if len(fields) != 3 || fields[1] != kind {
		return nil, ErrNotCommit
	}
	size, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil {
		return nil, fmt.Errorf("size %q", fields[2])
	}
	raw := make([]byte, min(size, limit))
	if _, err := io.ReadFull(b.reader, raw); err != nil {
		return nil, err
	}
	if size > limit {
		return raw, errLarge
	}
	_, err = b.reader.Discard(1) // the line's end behind it
	return raw, err
}
