package control

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func TestLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l links
		made := func(secret string) {
			l.add(link{hash: hashOf(secret), user: "alice", expiresAt: time.Now().Add(linkTime)})
		}
		made("one")
		if _, ok := l.take("other"); ok {
			t.Error("a secret that was never made works")
		}
		if got, ok := l.take("one"); !ok || got.user != "alice" {
			t.Errorf("the link is %+v, %t", got, ok)
		}
		if _, ok := l.take("one"); ok {
			t.Error("a link works twice")
		}
		made("late")
		<-time.After(linkTime)
		if _, ok := l.take("late"); ok {
			t.Error("a link works after five minutes")
		}
		l.add(link{hash: hashOf("bob's"), user: "bob", expiresAt: time.Now().Add(linkTime)})
		for i := range maxLinks + 1 {
			made(fmt.Sprint(i))
		}
		if _, ok := l.take("0"); ok || len(l.all) != maxLinks+1 {
			t.Errorf("%d links are kept, want the newest %d and bob's", len(l.all), maxLinks)
		}
		if _, ok := l.take("bob's"); !ok {
			t.Error("alice's links have ended bob's")
		}
	})
}
