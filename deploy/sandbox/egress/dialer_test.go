package egress

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestDialer: the server's own requests on behalf of an app reach what was granted, and no other service
// of this host.
func TestDialer(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer backend.Close()
	for _, c := range []struct {
		allow   []string
		refused bool
	}{
		{[]string{"*"}, true},
		{[]string{backend.Listener.Addr().String()}, false},
	} {
		dial, err := New(Config{}).Dialer(c.allow)
		if err != nil {
			t.Fatal(err)
		}
		client := &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
		resp, err := client.Get(backend.URL)
		if err == nil {
			resp.Body.Close()
		}
		if _, refused := errors.AsType[*Refusal](err); refused != c.refused || err != nil && !refused {
			t.Errorf("allow %q: %v", c.allow, err)
		}
	}
	if _, err := New(Config{}).Dialer([]string{"http://x/"}); err == nil {
		t.Error("a broken list was taken")
	}
}
