package api_test

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

// document is openapi.yaml as a client reads it.
func (w *world) document() (*openapi3.T, routers.Router) {
	w.Helper()
	b, err := os.ReadFile("openapi.yaml")
	w.Must(err)
	d, err := openapi3.NewLoader().LoadFromData(b)
	w.Must(err)
	r, err := gorillamux.NewRouter(d)
	w.Must(err)
	return d, r
}

// fits checks that an answer is one that the document promises.
func (w *world) fits(r *http.Request, res *http.Response, body []byte) {
	w.Helper()
	if !strings.HasPrefix(r.URL.Path, "/api/v1/") || res.StatusCode == http.StatusNotModified || strings.HasSuffix(r.URL.Path, "openapi.yaml") {
		return
	}
	_, router := w.document()
	copied := r.Clone(w.Context())
	copied.URL.Scheme, copied.URL.Host = "", ""
	route, params, err := router.FindRoute(copied)
	if err != nil {
		return // no operation of the document
	}
	err = openapi3filter.ValidateResponse(w.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: copied, PathParams: params, Route: route},
		Status:                 res.StatusCode, Header: res.Header, Body: io.NopCloser(bytes.NewReader(body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true, ExcludeResponseBody: res.Header.Get("Content-Type") == "application/jsonl", AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	})
	if err != nil {
		w.Errorf("%s %s: %s: the answer is not what the document says: %v", r.Method, r.URL, res.Status, err)
	}
}

// operationsOf lists each operation of the document with its path filled in.
func (w *world) operationsOf(fill map[string]string) [][2]string {
	w.Helper()
	d, _ := w.document()
	var all [][2]string
	for path, item := range d.Paths.Map() {
		for name, value := range fill {
			path = strings.ReplaceAll(path, "{"+name+"}", value)
		}
		for method := range item.Operations() {
			all = append(all, [2]string{method, "/api/v1" + path})
		}
	}
	if len(all) < 40 {
		w.Fatalf("the document has %d operations", len(all))
	}
	return all
}
