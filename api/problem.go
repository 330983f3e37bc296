package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"slipway/deploy"
)

// statusOf is the HTTP status that a code has; 422 for what the pushed revision did wrong.
func statusOf(code deploy.Code) int {
	switch code {
	case deploy.CodeUnauthorized:
		return http.StatusUnauthorized
	case deploy.CodeForbidden:
		return http.StatusForbidden
	case deploy.CodeNotFound:
		return http.StatusNotFound
	case deploy.CodeUsage:
		return http.StatusBadRequest
	case deploy.CodeExists, deploy.CodeStale, deploy.CodeFrozen, deploy.CodeCanceled:
		return http.StatusConflict
	case deploy.CodeSize:
		return http.StatusRequestEntityTooLarge
	case deploy.CodeUnavailable, deploy.CodeTechnical:
		return http.StatusServiceUnavailable
	}
	return http.StatusUnprocessableEntity
}

// problemOf is an error as its caller reads it.
func problemOf(err error) Problem {
	if r, ok := deploy.AsRejection(err); ok {
		status := statusOf(r.Code)
		return Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: r.Message, Code: string(r.Code), Hint: r.Hint}
	}
	if h, ok := errors.AsType[*echo.HTTPError](err); ok {
		p := Problem{Type: "about:blank", Title: http.StatusText(h.Code), Status: h.Code}
		if text := fmt.Sprint(h.Message); text != p.Title {
			p.Detail = text
		}
		return p
	}
	status := http.StatusInternalServerError
	return Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: "internal error; the server's log has the rest"}
}

// fail answers with an error, unless an answer has begun.
func (s *Server) fail(err error, c echo.Context) {
	p := problemOf(err)
	r := c.Request()
	if p.Status == http.StatusInternalServerError && r.Context().Err() == nil {
		s.config.Logger.Error("answering a request", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	if c.Response().Committed {
		return
	}
	if p.Status == http.StatusUnauthorized {
		c.Response().Header().Set(echo.HeaderWWWAuthenticate, `Bearer realm="slipway"`)
	}
	if p.Status == http.StatusServiceUnavailable {
		c.Response().Header().Set(echo.HeaderRetryAfter, "5")
	}
	b, err := json.Marshal(p)
	if err == nil && r.Method == http.MethodHead {
		err = c.NoContent(p.Status)
	} else if err == nil {
		err = c.Blob(p.Status, "application/problem+json", b)
	}
	if err != nil && r.Context().Err() == nil {
		s.config.Logger.Warn("answering with a problem", "error", err)
	}
}

func (s *Server) panicked(c echo.Context, err error, stack []byte) error {
	s.config.Logger.Error("a handler panicked", "path", c.Request().URL.Path, "error", err, "stack", string(stack))
	return errors.New("a handler panicked")
}
