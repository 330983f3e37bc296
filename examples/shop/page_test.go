package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func get(t *testing.T, path string) (int, string) {
	t.Helper()
	answer := httptest.NewRecorder()
	newShop("0123abc", "").handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
	return answer.Code, answer.Body.String()
}

func TestAnswers(t *testing.T) {
	for path, want := range map[string]string{
		"/":           "<footer>revision 0123abc</footer>",
		"/cart/total": "€ ",
		"/revision":   "0123abc\n",
		"/up":         "up\n",
	} {
		if code, body := get(t, path); code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: got %d %q, want %q in it", path, code, body, want)
		}
	}
	if code, _ := get(t, "/nothing"); code != http.StatusNotFound {
		t.Errorf("/nothing: got %d, want 404", code)
	}
}
