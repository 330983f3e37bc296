package traffic

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A router that starts again serves what it served.
func TestStateFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("deep/", 40)) // longer than a socket's address
	place := func(c *Config) {
		c.Socket = filepath.Join(dir, "router.sock")
		c.StateFile = filepath.Join(dir, "state.json")
	}
	r := newTestRouter(t, place)
	b := backend(t, says("hello"))
	r.route("shop", 1, b)
	r.route("new", 0)
	r.stop()

	r = newTestRouter(t, place)
	if status, text := r.get("shop.localhost", "/"); status != 200 || text != "hello" {
		t.Errorf("%d %q", status, text)
	}
	if status, _ := r.get("new.localhost", "/"); status != 503 {
		t.Errorf("an app without release: %d", status)
	}
	if n, err := r.Routed(t.Context(), "shop"); err != nil || n != 1 {
		t.Errorf("routed to %d, %v", n, err)
	}
	if err := r.Remove(t.Context(), "shop"); err != nil {
		t.Error(err)
	}
	r.stop()
	routes, err := readState(filepath.Join(dir, "state.json"))
	if err != nil || len(routes) != 1 || routes[0].App != "new" {
		t.Errorf("%v %v", routes, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("left behind: %v %v", entries, err)
	}
}

// Without a usable state file a router starts empty, and requests wait until it is told its table.
func TestUnusableStateFile(t *testing.T) {
	whole := `{"version":1,"routes":[{"app":"shop","release":1,"upstreams":[{"app":"shop","release":1,"process":"web","index":1,"addr":"127.0.0.1:1"}]}]}`
	for name, content := range map[string]string{
		"missing":       "",
		"torn":          whole[:len(whole)/2],
		"garbage":       "\x00\x00\x00",
		"later version": strings.Replace(whole, "1", "2", 1),
		"no app":        strings.ReplaceAll(whole, "shop", "../shop"),
		"no address":    strings.Replace(whole, "127.0.0.1:1", "nowhere", 1),
	} {
		t.Run(name, func(t *testing.T) {
			r := newTestRouter(t, func(c *Config) {
				if content != "" {
					if err := os.WriteFile(c.StateFile, []byte(content), 0o600); err != nil {
						t.Fatal(err)
					}
				}
			})
			answer := make(chan string)
			go func() {
				_, text := r.get("shop.localhost", "/")
				answer <- text
			}()
			eventually(t, "the request waits", func() bool {
				h, err := r.Health(t.Context())
				return err == nil && h.Requests == 1
			})
			r.route("shop", 2, backend(t, says("hello")))
			if text := <-answer; text != "hello" {
				t.Errorf("%q", text)
			}
		})
	}
}

func TestRequestsDoNotWaitForEver(t *testing.T) {
	r := newTestRouter(t, func(c *Config) { c.tablePatience = time.Millisecond })
	status, text := r.get("shop.localhost", "/")
	if status != 503 || text != "the router is starting and does not know its apps yet; please try again\n" {
		t.Errorf("%d %q", status, text)
	}
}

// Putting production back works although the state file cannot be written; then no stale one is left.
func TestFullDisk(t *testing.T) {
	r := newTestRouter(t)
	r.route("shop", 1, backend(t, says("first")))
	state := filepath.Join(r.dir, "state.json")
	if err := os.Mkdir(state+".new", 0o700); err != nil { // nobody can create that file, not even root
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(state+".new", "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.route("shop", 2, backend(t, says("second")))
	if _, text := r.get("shop.localhost", "/"); text != "second" {
		t.Errorf("%q", text)
	}
	if _, err := os.Stat(state); !os.IsNotExist(err) {
		t.Errorf("the stale state file: %v", err)
	}
	h, err := r.Health(t.Context())
	if err != nil || h.StateError == "" {
		t.Errorf("%+v %v", h, err)
	}
}
