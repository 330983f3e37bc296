package main

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestRememberedAsksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, answer := 0, errors.New("no sandbox")
		check := remembered(func(context.Context) error { asked++; return answer }, time.Minute)
		steps := []struct {
			what   string
			after  time.Duration
			answer error
			asked  int
		}{
			{"the first time", 0, answer, 1},
			{"after a bad answer", 0, nil, 2},
			{"while a good answer is trusted", 59 * time.Second, nil, 2},
			{"when it is not trusted any more", time.Second, nil, 3},
		}
		for _, s := range steps {
			<-time.After(s.after)
			answer = s.answer
			if err := check(t.Context()); !errors.Is(err, s.answer) || asked != s.asked {
				t.Errorf("%s: got %v and asked %d times, want %v and %d", s.what, err, asked, s.answer, s.asked)
			}
		}
	})
}
