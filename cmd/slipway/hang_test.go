package main

import (
	"testing"
	"time"
)

// TestLostWithoutReport is a client that asks for no report: it hangs up right after its pack, and still
// means it.
func TestLostWithoutReport(t *testing.T) {
	t.Parallel()
	s := newScene(t, impatient)
	c := s.repository("alice", "shop")
	c.commit("Take a moment", map[string]string{"slipway.toml": "[build]\nrun = \"sleep 1\"\n" + smallManifest, "answer": "no report\n"})
	push := c.rawPush("object-format=sha1 side-band-64k")
	push.send(c.packOf("HEAD"))
	must(t, push.client.Close())
	s.serves("shop", "no report")
	must(t, until(10*time.Second, func() error { return s.says(s.slipway("deployments"), "1  shop  accepted") }))
	c.goesOn()
}

// chatter prints for ever.
const chatter = "yes 0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"

// TestClientThatReadsNothing is there, answers when it is asked whether it is, and lets what it is told
// pile up. When the server has megabytes that it cannot get rid of, the client counts as gone.
func TestClientThatReadsNothing(t *testing.T) {
	t.Parallel()
	s := newScene(t, impatient)
	c := s.repository("alice", "shop")
	c.accepted()
	c.commit("Talk for ever", map[string]string{"slipway.toml": "[build]\nrun = \"" + chatter + "\"\n" + smallManifest})
	s.bounded(64, func() {
		push := c.rawPush("report-status side-band-64k push-options object-format=sha1", "verbose")
		push.send(c.packOf("HEAD"))
		s.inWork("shop", "1", "yes 0123")
		s.clean("shop", clientTimeout+20*time.Second)
	})
	s.contains(s.slipway("deployments", "-n", "1", "shop"), "shop  canceled")
	c.goesOn()
}

// TestHangingClientHoldsNobody: who waits behind a client that does not read waits as long as the stage's
// own limit, not as long as the server waits for a client.
func TestHangingClientHoldsNobody(t *testing.T) {
	t.Parallel()
	s := newScene(t, "client_timeout = \"5m\"\n")
	c := s.repository("alice", "shop")
	c.commit("Talk for four seconds", map[string]string{"slipway.toml": "[build]\nrun = \"" + chatter + "\"\ntimeout = \"4s\"\n" + smallManifest})
	push := c.rawPush("report-status side-band-64k push-options object-format=sha1", "verbose")
	push.send(c.packOf("HEAD"))
	s.inWork("shop", "0", "yes 0123")
	begin := time.Now()
	s.repository("bob", "shop").accepted()
	took := time.Since(begin)
	t.Logf("the next one was through after %s", took)
	if took > 14*time.Second {
		t.Errorf("the next one waited for %s", took)
	}
	s.contains(s.slipway("deployments"), "time limit of 4s reached")
}
