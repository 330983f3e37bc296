package repo

import (
	"container/heap"
	"context"
	"strings"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"slipway/deploy"
)

// walk goes through commits by their time, newest first, as git rev-list does: what can be reached from
// an excluded commit is excluded.
type walk struct {
	ctx  context.Context
	r    *git.Repository
	seen map[plumbing.Hash]*visited
	next commits
	open int // of next, those that are not excluded
}

type visited struct {
	commit   *object.Commit
	excluded bool
	done     bool
}

// add comes upon a commit.
func (w *walk) add(h plumbing.Hash, excluded bool) error {
	if v, ok := w.seen[h]; ok {
		if excluded && !v.excluded {
			v.excluded = true
			if !v.done {
				w.open--
			} else { // its ancestors were taken for others
				v.done = false
				heap.Push(&w.next, v)
			}
		}
		return nil
	}
	commit, err := w.r.CommitObject(h)
	if err != nil {
		return err
	}
	v := &visited{commit: commit, excluded: excluded}
	w.seen[h] = v
	heap.Push(&w.next, v)
	if !excluded {
		w.open++
	}
	return nil
}

func (w *walk) run(most int) (deploy.History, error) {
	var found []*visited
	// Commits of the same second may be come upon before what excludes them.
	var oldest time.Time
	for len(w.next) > 0 && (w.open > 0 || !w.next[0].commit.Committer.When.Before(oldest)) && len(w.seen) < maxVisited {
		if err := w.ctx.Err(); err != nil {
			return deploy.History{}, err
		}
		v, _ := heap.Pop(&w.next).(*visited)
		v.done = true
		if !v.excluded {
			w.open--
			found, oldest = append(found, v), v.commit.Committer.When
		}
		for _, parent := range v.commit.ParentHashes {
			if err := w.add(parent, v.excluded); err != nil {
				return deploy.History{}, err
			}
		}
	}
	h := deploy.History{More: w.open > 0}
	for _, v := range found {
		switch {
		case v.excluded: // found out later
		case len(h.Commits) == most:
			h.More = true
			return h, nil
		default:
			h.Commits = append(h.Commits, commitOf(v.commit))
		}
	}
	return h, nil
}

func commitOf(c *object.Commit) deploy.CommitOf {
	subject, _, _ := strings.Cut(strings.TrimLeft(c.Message, "\n \t"), "\n\n")
	return deploy.CommitOf{ID: deploy.OID(c.Hash.String()), Commit: deploy.Commit{
		Subject: Printable(subject, maxSubject), Author: Printable(c.Author.Name, maxAuthor), AuthoredAt: c.Author.When.UTC(),
	}}
}

// commits is a heap, the newest commit first.
type commits []*visited

func (c commits) Len() int { return len(c) }
func (c commits) Less(i, j int) bool {
	return c[i].commit.Committer.When.After(c[j].commit.Committer.When)
}
func (c commits) Swap(i, j int) { c[i], c[j] = c[j], c[i] }
func (c *commits) Push(v any)   { *c = append(*c, v.(*visited)) } // container/heap hands on what walk pushes
func (c *commits) Pop() any {
	old := *c
	v := old[len(old)-1]
	*c = old[:len(old)-1]
	return v
}
