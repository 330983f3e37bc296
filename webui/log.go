package webui

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"slipway/deploy"
)

const (
	// windowLines is how many lines of a log its own page shows.
	windowLines = 5000
	// fileTime is how long the reading of a whole log may take.
	fileTime = 10 * time.Minute
)

// logPage answers /deployments/{n}/log/{stage}, a block of it for a script, and with .txt behind it all of it as
// text.
func (s *Site) logPage(w http.ResponseWriter, r *http.Request, who deploy.Caller) error {
	n, err := numberOf(r)
	if err != nil {
		return err
	}
	t, err := s.story(r.Context(), who, n)
	if err != nil {
		return err
	}
	name := r.PathValue("stage")
	if _, known := t.stage(name); known || name == transcript {
		if r.FormValue("block") != "" {
			return s.block(w, r, who, t, name)
		}
		return s.window(w, r, who, t, name)
	}
	path, err := s.Control.LogPath(r.Context(), who, n, strings.TrimSuffix(name, ".txt"))
	if err != nil {
		return err
	}
	return whole(w, r, path)
}

// whole writes a log as it is, or the parts of it that were asked for.
func whole(w http.ResponseWriter, r *http.Request, path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return deploy.Reject(deploy.CodeNotFound, "nothing was written here, or it was pruned")
	}
	if err != nil {
		return fmt.Errorf("opening a log: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("opening a log: %w", err)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("ETag", fmt.Sprintf(`"%x-%x"`, info.ModTime().UnixNano(), info.Size()))
	if err := giveTime(w, fileTime); err != nil {
		return err
	}
	http.ServeContent(w, r, "", info.ModTime(), f)
	return nil
}

// block sends a block of lines that a page keeps a place for.
func (s *Site) block(w http.ResponseWriter, r *http.Request, who deploy.Caller, t *story, name string) error {
	first, err := strconv.Atoi(r.FormValue("block"))
	if err != nil || first < 1 || first != blockStart(first) {
		return deploy.Reject(deploy.CodeUsage, "%.20q is not where a block of lines begins", r.FormValue("block"))
	}
	path, err := s.Control.LogPath(r.Context(), who, t.Number, name)
	if err != nil {
		return err
	}
	var lines []Line
	err = opened(path, func(f *os.File, size int64) error {
		lines, err = block(f, size, first)
		return err
	})
	if err == nil && len(lines) == 0 {
		err = deploy.Reject(deploy.CodeNotFound, "the log has no line %d", first)
	}
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = io.WriteString(w, string(items(name, lines))) // a reader who has gone is nobody's error
	return nil
}

// window shows some lines of a log.
func (s *Site) window(w http.ResponseWriter, r *http.Request, who deploy.Caller, t *story, name string) error {
	from, err := strconv.Atoi(r.FormValue("from"))
	if err != nil || from < 1 {
		from = 1
	}
	l, e, err := s.log(r.Context(), who, t, name, func(f *os.File, size int64, ended bool) (excerpt, error) {
		return window(f, size, from, windowLines, ended)
	})
	if err != nil {
		return err
	}
	p := &LogPage{
		Frame:  s.frame(who, fmt.Sprintf("%s of %s deployment %d", name, t.App, t.Number), "deployments"),
		Number: t.Number, App: t.App, Log: l, From: from, To: from + len(e.lines) - 1,
	}
	p.Log.Before, p.Log.Places, p.Log.Live = 0, nil, false
	p.turn()
	return s.show(w, http.StatusOK, "log", p)
}

// turn links to the lines before and after those that are shown.
func (p *LogPage) turn() {
	at := func(line int) string { return p.Log.Page + "?" + query("from", strconv.Itoa(line)) }
	if p.From > 1 {
		p.Previous = at(max(1, min(p.From, p.Log.Total+1)-windowLines))
	}
	if p.To < p.Log.Total && p.To >= p.From {
		p.Following = at(p.To + 1)
	}
}
