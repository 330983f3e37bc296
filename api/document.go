package api

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/labstack/echo/v4"

	"slipway/deploy"
)

//go:embed openapi.yaml
var source []byte

// document is openapi.yaml, to check requests against.
type document struct {
	*openapi3.T
	router routers.Router
}

func loadDocument() (*document, error) {
	d, err := openapi3.NewLoader().LoadFromData(source)
	if err != nil {
		return nil, fmt.Errorf("reading openapi.yaml: %w", err)
	}
	if err := d.Validate(context.Background()); err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	r, err := gorillamux.NewRouter(d)
	if err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	return &document{d, r}, nil
}

// openapi answers with the document itself.
func (s *Server) openapi(c echo.Context) error {
	return c.Blob(http.StatusOK, "application/yaml", source)
}

// checked checks requests against the document. What it does not know is refused, so that a mistyped
// filter does not answer another question than was asked.
func (s *Server) checked(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if err := s.document.check(c.Request()); err != nil {
			return err
		}
		return next(c)
	}
}

func (d *document) check(r *http.Request) error {
	route, params, err := d.router.FindRoute(r)
	if errors.Is(err, routers.ErrMethodNotAllowed) {
		return echo.ErrMethodNotAllowed
	}
	if err != nil {
		return echo.ErrNotFound
	}
	if err := known(r, route); err != nil {
		return err
	}
	err = openapi3filter.ValidateRequest(r.Context(), &openapi3filter.RequestValidationInput{
		Request: r, PathParams: params, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	})
	if err == nil {
		return nil
	}
	return deploy.Reject(deploy.CodeUsage, "%s", inWords(err)).WithHint("/api tells what can be asked, and how")
}

// known refuses query parameters that the document does not name, or that are given twice.
func known(r *http.Request, route *routers.Route) error {
	var names []string
	for _, p := range slices.Concat(route.PathItem.Parameters, route.Operation.Parameters) {
		if p.Value.In == openapi3.ParameterInQuery {
			names = append(names, p.Value.Name)
		}
	}
	query, err := urlQuery(r)
	if err != nil {
		return deploy.Reject(deploy.CodeUsage, "the query cannot be read")
	}
	for name, values := range query {
		if !slices.Contains(names, name) {
			return deploy.Reject(deploy.CodeUsage, "there is no query parameter %.60q here", name).WithHint("there are: %v", names)
		}
		if len(values) > 1 {
			return deploy.Reject(deploy.CodeUsage, "the query parameter %q is given twice", name)
		}
	}
	return nil
}
