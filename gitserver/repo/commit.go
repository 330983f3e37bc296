package repo

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"slipway/deploy"
)

// Lengths of what people read of a commit, in characters.
const (
	maxSubject   = 200
	maxAuthor    = 100
	maxCommitHdr = 1 << 20 // bytes of a commit that are read
)

// ErrNotCommit says that an id names no commit: another kind of object, or nothing.
var ErrNotCommit = errors.New("not a commit")

// Commit returns what people read of a commit. The error is [ErrNotCommit] if oid is none.
func (s *Store) Commit(ctx context.Context, app deploy.AppName, oid deploy.OID) (deploy.Commit, error) {
	r := Reader{store: s, app: app}
	commit, _, err := r.Open(ctx, oid)
	return commit, err
}

// parseCommit reads git's commit format: header lines, an empty line, the message.
func parseCommit(raw []byte) deploy.Commit {
	head, message, _ := bytes.Cut(raw, []byte("\n\n"))
	var c deploy.Commit
	latin1 := false
	for line := range bytes.Lines(head) {
		key, value, _ := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(" "))
		switch string(key) {
		case "author":
			c.Author, c.AuthoredAt = parseAuthor(value)
		case "encoding":
			latin1 = strings.EqualFold(string(value), "iso-8859-1") || strings.EqualFold(string(value), "latin1")
		}
	}
	// The subject is the first paragraph, its lines joined, as git log prints it.
	paragraph, _, _ := strings.Cut(strings.TrimLeft(string(message), "\n \t"), "\n\n")
	c.Subject = paragraph
	if latin1 {
		c.Author, c.Subject = fromLatin1(c.Author), fromLatin1(c.Subject)
	}
	c.Author, c.Subject = Printable(c.Author, maxAuthor), Printable(c.Subject, maxSubject)
	return c
}

// parseAuthor reads "Name <mail> seconds zone".
func parseAuthor(line []byte) (string, time.Time) {
	name, rest, _ := strings.Cut(string(line), "<")
	mail, when, _ := strings.Cut(rest, ">")
	if name = strings.TrimSpace(name); name == "" {
		name = mail
	}
	seconds, _, _ := strings.Cut(strings.TrimSpace(when), " ")
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil || n < 0 || n > 1<<40 {
		return name, time.Time{}
	}
	return name, time.Unix(n, 0).UTC()
}

func fromLatin1(s string) string {
	runes := make([]rune, 0, len(s))
	for _, b := range []byte(s) {
		runes = append(runes, rune(b))
	}
	return string(runes)
}

// Printable makes one line of at most limit characters of what a stranger wrote: control characters,
// and those that change the direction or the look of what stands around them, become spaces, runs
// of space become one.
func Printable(s string, limit int) string {
	var b strings.Builder
	n, space := 0, false
	for _, r := range s {
		if unicode.IsSpace(r) || !unicode.IsPrint(r) && r != utf8.RuneError {
			space = n > 0
			continue
		}
		if n >= limit-1 || space && n >= limit-2 {
			b.WriteString("…")
			break
		}
		if space {
			b.WriteByte(' ')
			n++
			space = false
		}
		b.WriteRune(r)
		n++
	}
	return b.String()
}
