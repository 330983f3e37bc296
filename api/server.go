package api

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"slipway/deploy"
)

// Config is what the API is wired from. Control and Logger are needed.
type Config struct {
	Control Control
	// IP tells where a request comes from; the connection's other end if nil.
	IP echo.IPExtractor
	// Session tells who is signed in with a browser, if anybody; nil for nobody ever.
	Session func(*http.Request) (deploy.Caller, bool)
	// Ready says why the server cannot work now, nil if it can; nil for always.
	Ready func(context.Context) error
	// Stopping is closed when streams have to end; nil for never.
	Stopping <-chan struct{}
	// Metrics answers /metrics; nil for nothing there. PublicMetrics says that it needs no token.
	Metrics       http.Handler
	PublicMetrics bool
	// Pages answers everything that is not the API; nil for nothing there.
	Pages  http.Handler
	Logger *slog.Logger
}

// maxBody bounds a request's body.
const maxBody = "1M"

// Server answers HTTP. It is safe for concurrent use.
type Server struct {
	config   Config
	document *document
	failures *failures
	echo     *echo.Echo
}

// New makes the server's handler. It starts nothing.
func New(c Config) (*Server, error) {
	d, err := loadDocument()
	if err != nil {
		return nil, err
	}
	if c.IP == nil {
		c.IP = echo.ExtractIPDirect()
	}
	s := &Server{config: c, document: d, failures: newFailures(), echo: echo.New()}
	s.echo.IPExtractor = c.IP
	s.echo.HTTPErrorHandler = s.fail
	s.routes()
	return s, nil
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.echo.ServeHTTP(w, r) }

func (s *Server) routes() {
	e := s.echo
	e.Use(middleware.RecoverWithConfig(middleware.RecoverConfig{DisableStackAll: true, LogErrorFunc: s.panicked}), harmless)
	e.GET("/healthz", func(c echo.Context) error { return c.String(http.StatusOK, "ok\n") })
	e.GET("/readyz", s.ready)
	if s.config.Metrics != nil {
		e.GET("/metrics", echo.WrapHandler(s.config.Metrics), s.metricsRight)
	}
	zip := middleware.GzipWithConfig(middleware.GzipConfig{MinLength: 512, Skipper: streamed})
	e.GET("/api", s.page, s.signedIn, zip)
	e.GET("/api/v1/openapi.yaml", s.openapi, s.signedIn, zip, tagged)
	// Everything below it needs a token, also what is not there.
	g := e.Group("/api", s.signedIn, middleware.BodyLimit(maxBody), zip, tagged)
	g.Any("/*", func(echo.Context) error { return echo.ErrNotFound })
	v1 := e.Group("/api/v1", s.signedIn, middleware.BodyLimit(maxBody), zip, tagged, s.checked)
	RegisterHandlers(v1, NewStrictHandler(handlers{s.config.Control, s.config.Stopping}, nil))
	if s.config.Pages != nil {
		e.Any("/*", echo.WrapHandler(s.config.Pages))
	}
}

// streamed tells which answers are sent as they come: they are not zipped, and have no ETag of ours.
func streamed(c echo.Context) bool {
	switch c.Path() {
	case "/api/v1/deployments/:number/logs/:stage", "/api/v1/deployments/:number/logs/:stage/stream", "/api/v1/deployments/:number/measurements":
		return true
	}
	return false
}

// harmless keeps browsers from taking an answer for something else.
func harmless(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		return next(c)
	}
}

func (s *Server) ready(c echo.Context) error {
	if s.config.Ready != nil {
		if err := s.config.Ready(c.Request().Context()); err != nil {
			s.config.Logger.Warn("not ready", "error", err)
			return c.String(http.StatusServiceUnavailable, "not ready\n") // why is for those with a token
		}
	}
	return c.String(http.StatusOK, "ready\n")
}

// metricsRight lets those see metrics who may read everything, unless everybody may.
func (s *Server) metricsRight(next echo.HandlerFunc) echo.HandlerFunc {
	if s.config.PublicMetrics {
		return next
	}
	return s.signedIn(func(c echo.Context) error {
		who := callerOf(c.Request().Context())
		if !who.Admin || who.Limit != nil && who.Limit.App != "" {
			return deploy.Reject(deploy.CodeForbidden, "metrics are of all apps: only an admin's token may read them")
		}
		return next(c)
	})
}
