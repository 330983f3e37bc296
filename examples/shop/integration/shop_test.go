// Package integration asks the running shop at $APP_URL what a customer would.
package integration

import (
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
)

func TestCustomer(t *testing.T) {
	url := os.Getenv("APP_URL")
	if url == "" {
		t.Fatal("APP_URL is not set: start the shop and say where it answers")
	}
	for path, want := range map[string]string{
		"/":           "Welcome to the shop",
		"/cart/total": "€ 29.00",
		"/up":         "up",
	} {
		answer, err := http.Get(strings.TrimSuffix(url, "/") + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
			t.Errorf("%s: got %s %q, want %q in it (%v)", path, answer.Status, body, want, err)
		}
	}
}
