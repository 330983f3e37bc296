package api

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"
)

//go:embed page.html
var pageSource string

// operation is one operation of the document, as people read it.
type operation struct {
	Method, Path, Summary, Description string
	Parameters                         []*openapi3.Parameter
	Body                               string
}

// page answers with the document as people read it.
func (s *Server) page(c echo.Context) error {
	t, err := template.New("page").Option("missingkey=error").Parse(pageSource)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	err = t.Execute(&b, map[string]any{"Title": s.document.Info.Title, "Description": s.document.Info.Description, "Operations": s.document.operations()})
	if err != nil {
		return err
	}
	c.Response().Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	return c.HTMLBlob(http.StatusOK, b.Bytes())
}

func (d *document) operations() []operation {
	var all []operation
	for path, item := range d.Paths.Map() {
		for method, op := range item.Operations() {
			o := operation{Method: method, Path: "/api/v1" + path, Summary: op.Summary, Description: op.Description}
			for _, p := range op.Parameters {
				o.Parameters = append(o.Parameters, p.Value)
			}
			if op.RequestBody != nil {
				o.Body = strings.TrimPrefix(op.RequestBody.Value.Content["application/json"].Schema.Ref, "#/components/schemas/")
			}
			all = append(all, o)
		}
	}
	slices.SortFunc(all, func(a, b operation) int {
		if c := strings.Compare(a.Path, b.Path); c != 0 {
			return c
		}
		return strings.Compare(a.Method, b.Method)
	})
	return all
}
