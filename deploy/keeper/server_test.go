package keeper

import (
	"bufio"
	"path/filepath"
	"strings"
	"testing"

	"slipway/deploy/sockets"
)

// A person with nc can speak with the socket; nonsense is answered, not obeyed.
func TestOrdersByHand(t *testing.T) {
	k := &keeper{
		cfg:      Config{Dir: t.TempDir()}.withDefaults(),
		requests: make(chan request), finished: make(chan struct{}), changed: make(chan struct{}),
	}
	s, err := k.listen()
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	for order, want := range map[string]string{
		`{"do":"status"}`:                 `{"status":{`,
		`{"do":"dance"}`:                  `"error":"unknown order \"dance\""`,
		`nonsense`:                        `"error":"invalid character`,
		strings.Repeat("x", 2*orderLimit): "",
	} {
		var got string
		conn, err := sockets.Dial(t.Context(), filepath.Join(k.cfg.Dir, socketFile))
		if err == nil {
			conn.Write([]byte(order + "\n"))
			got, _ = bufio.NewReader(conn).ReadString('\n')
			conn.Close()
		}
		if err != nil || !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%.40s: %q, %v", order, got, err)
		}
	}
}
