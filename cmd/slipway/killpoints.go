//go:build !crash

package main

import (
	"slipway/deploy/audit"
	"slipway/deploy/pipeline"
	"slipway/deploy/release"
	"slipway/deploy/retention"
	"slipway/gitserver"
)

// killPoints is nothing. The program that crash_test.go builds has another one (killpoints_crash.go).
type killPoints struct{}

func openKillPoints() (killPoints, error) { return killPoints{}, nil }

func (killPoints) projection(p audit.Projection) audit.Projection { return p }

func (killPoints) router(r release.Router) release.Router { return r }

func (killPoints) gate(g gitserver.Gate) gitserver.Gate { return g }

func (killPoints) housekeeping(c retention.Config) retention.Config { return c }

func (killPoints) pipeline(c pipeline.Config) pipeline.Config { return c }
