package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"slipway/deploy"
)

// Config is what a [Control] is wired from. Every field is needed.
type Config struct {
	Layout    deploy.Layout
	Records   Records
	Recorder  Recorder
	Pipeline  Pipeline
	Engine    Engine
	Variables Variables
	Places    Places
	Refs      Refs
	Sources   Sources
	Trail     Trail
	Mask      func(values map[string]string, text string) string // text without the values
	Logger    *slog.Logger
}

// Control answers people. Its methods are safe for concurrent use.
type Control struct {
	Config
	making    sync.Mutex // of apps, each of which needs an ID and a place of its own, and the removing
	verifying sync.Mutex
	begun     begun
	links     links
	sights    sights
	failures  deploy.FailedSignIns
}

// New makes a control. It starts nothing.
func New(c Config) *Control { return &Control{Config: c} }

// Record writes what a caller does who has the right to it.
func (c *Control) Record(ctx context.Context, who deploy.Caller, e deploy.Event) error {
	e.Actor = who.Actor
	_, err := c.Recorder.Record(ctx, e)
	switch {
	case errors.Is(err, deploy.ErrExists):
		return deploy.Reject(deploy.CodeExists, "somebody else has made it meanwhile")
	case errors.Is(err, deploy.ErrNotFound):
		return deploy.Reject(deploy.CodeNotFound, "somebody else has removed it meanwhile")
	case err != nil:
		return fmt.Errorf("recording %s: %w", e.Type, err)
	}
	return nil
}

// maxReason is how long a reason may be, in bytes.
const maxReason = 2 << 10

// reasonOf returns a reason as it is recorded and shown to others: one line without control characters.
func reasonOf(s string) (string, error) {
	s = strings.TrimSpace(strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD")))
	if len(s) > maxReason {
		return "", deploy.Reject(deploy.CodeUsage, "the reason is longer than %d KiB", maxReason>>10)
	}
	return s, nil
}

// needReason is reasonOf where there has to be one.
func needReason(s string) (string, error) {
	s, err := reasonOf(s)
	if err == nil && s == "" {
		return "", deploy.Reject(deploy.CodeUsage, "say why: a reason is needed")
	}
	return s, err
}

// now is the present, as it is recorded.
func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

func production(app deploy.AppName) deploy.Target {
	return deploy.Target{App: app, Environment: deploy.Production}
}
