package webui

import (
	"errors"
	"net/http"
	"time"
)

const (
	// fileRows is how many rows a file of a long list reads at once.
	fileRows = 1000
	// rowsTime is how long a reader may take for so many rows.
	rowsTime = time.Minute
)

// fileName is what a browser keeps an answer as, and of which kind it is.
type fileName struct{ name, kind string }

// sendFile sends a long list as a file, as it is read: next reads up to [fileRows] rows that follow the given
// one, which is nil at first, and write sends them. What fails after the first rows cuts the file off.
func sendFile[T any](s *Site, w http.ResponseWriter, r *http.Request, as fileName, next func(last *T) ([]T, error), write func([]T) error) error {
	var last *T
	for {
		found, err := next(last)
		if err == nil {
			err = giveTime(w, rowsTime)
		}
		switch {
		case err != nil && last == nil:
			return err
		case err != nil:
			s.cutOff(r, err)
		case last == nil:
			w.Header().Set("Content-Type", as.kind)
			w.Header().Set("Content-Disposition", `attachment; filename="`+as.name+`"`)
		}
		if write(found) != nil || len(found) < fileRows {
			return nil // a reader who has gone is nobody's error
		}
		last = &found[len(found)-1]
	}
}

// giveTime says how long the answer may take from now on: as a rule answers have to be quick.
func giveTime(w http.ResponseWriter, d time.Duration) error {
	err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(d))
	if errors.Is(err, http.ErrNotSupported) {
		return nil
	}
	return err
}

// cutOff ends an answer in the middle, so that nobody takes it for whole.
func (s *Site) cutOff(r *http.Request, err error) {
	if r.Context().Err() == nil {
		s.Logger.Error("a file was cut off", "path", r.URL.Path, "error", err)
	}
	panic(http.ErrAbortHandler)
}
