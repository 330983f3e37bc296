package webui

import (
	"errors"
	"fmt"
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

// logPage answers /deployments/{n}/log/{stage}, and with .txt behind it all of it as text.
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
	if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(fileTime)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	http.ServeContent(w, r, "", info.ModTime(), f)
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
		Number: t.Number, App: t.App, Log: l, From: from, To: from + e.shown() - 1,
	}
	p.Log.Before, p.Log.Live = 0, false
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
