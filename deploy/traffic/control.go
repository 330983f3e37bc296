package traffic

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"time"

	"slipway/deploy"
)

// Health is what a router says of itself.
type Health struct {
	PID         int       `json:"pid"`
	Router      string    `json:"router"` // its id
	Version     string    `json:"version"`
	Arguments   []string  `json:"arguments"` // of its command line, without the program
	Listen      string    `json:"listen"`    // the address it really has
	StartedAt   time.Time `json:"startedAt"`
	Apps        int       `json:"apps"`
	Connections int64     `json:"connections"`
	Requests    int64     `json:"requests"` // in flight
	Older       int       `json:"older"`    // routers that handed over to it and still serve
	// StateError says why the state file is not the table in force, if it is not.
	StateError string `json:"stateError,omitempty"`
}

type drainRequest struct {
	App     deploy.AppName `json:"app"`
	Release deploy.Number  `json:"release"`
	Timeout time.Duration  `json:"timeout"` // nanoseconds
}

type drainAnswer struct {
	InFlight int64 `json:"inFlight"`
}

// errorAnswer is the body of every answer that is not 2xx.
type errorAnswer struct {
	Error string `json:"error"`
}

// maxControlBody bounds a request on the control socket.
const maxControlBody = 64 << 20

// defaultHeartbeat is how often a watched router shows that it is alive.
const defaultHeartbeat = 5 * time.Second

func (r *router) serveControl() {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /watch", r.serveWatch)
	mux.HandleFunc("POST /handover", r.hijackHandover)
	mux.HandleFunc("POST /listener", r.hijackListener)
	for pattern, do := range map[string]operation{
		"GET /health":    func(*http.Request) (any, error) { return r.health(), nil },
		"GET /table":     func(*http.Request) (any, error) { return sorted(r.table.Load().routes()), nil },
		"PUT /table":     r.putTable,
		"PUT /route":     r.putRoute,
		"DELETE /route":  r.deleteRoute,
		"PUT /obey":      r.putObey,
		"POST /counts":   r.postCounts,
		"POST /drain":    r.postDrain,
		"POST /farewell": r.postFarewell,
		"POST /stop": func(*http.Request) (any, error) {
			r.stopOnce.Do(func() { close(r.stop) })
			return nil, nil
		},
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, req *http.Request) {
			r.asked.enter()
			defer r.asked.leave()
			do.answer(w, req)
		})
	}
	r.controller = &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(r.log.Handler(), slog.LevelDebug),
	}
	go func() { _ = r.controller.Serve(r.control) }() // it ends with endControl
}

// endControl is the last that a router does. Whoever has asked something is answered.
func (r *router) endControl() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	close(r.ended)
	r.control.close()
	if err := r.asked.wait(ctx); err != nil {
		r.log.Warn("a question on the control socket stays without an answer", "error", err)
	}
	_ = r.controller.Close()
}

// operation does what a request on the control socket asks for and returns the answer's content.
type operation func(*http.Request) (any, error)

// answer answers with JSON, all of which is on its way when it returns.
func (do operation) answer(w http.ResponseWriter, req *http.Request) {
	req.Body = http.MaxBytesReader(w, req.Body, maxControlBody)
	content, err := do(req)
	status := http.StatusOK
	if err != nil {
		status, content = statusOf(err), errorAnswer{Error: err.Error()}
	}
	b, err := json.Marshal(content)
	if err != nil {
		status, b = http.StatusInternalServerError, []byte(`{"error":"the answer cannot be encoded"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	_, _ = w.Write(b) // if that fails, whoever asked has gone
	_ = http.NewResponseController(w).Flush()
}

func statusOf(err error) int {
	switch {
	case errors.Is(err, errInvalid):
		return http.StatusBadRequest
	case errors.Is(err, deploy.ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, ErrServing):
		return http.StatusConflict
	case errors.Is(err, errMoved):
		return http.StatusGone
	}
	return http.StatusInternalServerError
}

func decode[T any](req *http.Request) (T, error) {
	var v T
	if err := json.NewDecoder(req.Body).Decode(&v); err != nil {
		return v, fmt.Errorf("%w request: %w", errInvalid, err)
	}
	return v, nil
}

func (r *router) health() Health {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := Health{
		PID:         os.Getpid(),
		Router:      r.id,
		Version:     r.config.Version,
		Arguments:   os.Args[1:],
		StartedAt:   r.startedAt,
		Connections: r.connections.now(),
		Requests:    r.serving.now(),
		Older:       len(r.older),
	}
	if r.listener != nil {
		h.Listen = r.listener.Addr().String()
	}
	if t := r.table.Load(); t != nil {
		h.Apps = len(t.apps)
	}
	if r.stateErr != nil {
		h.StateError = r.stateErr.Error()
	}
	return h
}

// putTable replaces the whole table.
func (r *router) putTable(req *http.Request) (any, error) {
	routes, err := decode[[]Route](req)
	if err != nil {
		return nil, err
	}
	if err := checkAll(routes); err != nil {
		return nil, err
	}
	return nil, r.change(func(all map[deploy.AppName]Route) {
		clear(all)
		for _, route := range routes {
			all[route.App] = route
		}
	})
}

func (r *router) putRoute(req *http.Request) (any, error) {
	route, err := decode[Route](req)
	if err != nil {
		return nil, err
	}
	if err := route.check(); err != nil {
		return nil, err
	}
	return nil, r.change(func(all map[deploy.AppName]Route) { all[route.App] = route })
}

// deleteRoute makes an app unknown.
func (r *router) deleteRoute(req *http.Request) (any, error) {
	app := deploy.AppName(req.URL.Query().Get("app"))
	return nil, r.change(func(all map[deploy.AppName]Route) { delete(all, app) })
}

// putObey takes the table of the router that has taken over.
func (r *router) putObey(req *http.Request) (any, error) {
	routes, err := decode[[]Route](req)
	if err != nil {
		return nil, err
	}
	if err := checkAll(routes); err != nil {
		return nil, err
	}
	return nil, r.obey(routes)
}

func (r *router) postCounts(req *http.Request) (any, error) {
	instance, err := decode[deploy.Instance](req)
	if err != nil {
		return nil, err
	}
	return r.counts(req.Context(), instance)
}

func (r *router) postDrain(req *http.Request) (any, error) {
	d, err := decode[drainRequest](req)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(req.Context(), d.Timeout)
	defer cancel()
	left, err := r.drain(ctx, d.App, d.Release)
	return drainAnswer{InFlight: left}, err
}

func (r *router) postFarewell(req *http.Request) (any, error) {
	f, err := decode[farewell](req)
	if err != nil {
		return nil, err
	}
	return nil, r.heed(f)
}

// serveWatch writes the router's health, and then a newline at every heartbeat until the router has
// handed over or ends: the connection breaks at the moment when the router is not the router any more.
func (r *router) serveWatch(w http.ResponseWriter, req *http.Request) {
	flush := http.NewResponseController(w).Flush
	if json.NewEncoder(w).Encode(r.health()) != nil || flush() != nil {
		return
	}
	beat := time.NewTicker(r.config.heartbeat)
	defer beat.Stop()
	for {
		select {
		case <-beat.C:
			if _, err := io.WriteString(w, "\n"); err != nil || flush() != nil {
				return
			}
		case <-r.left:
			return
		case <-r.ended:
			return
		case <-req.Context().Done():
			return
		}
	}
}
