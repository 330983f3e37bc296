package build

import (
	"context"
	"fmt"
	"maps"

	"slipway/deploy"
	"slipway/deploy/mask"
)

// variables reads those of an app.
func (b *Builder) variables(ctx context.Context, app deploy.AppName) (deploy.Variables, error) {
	if b.config.Variables == nil {
		return nil, nil
	}
	all, err := b.config.Variables.Read(ctx, app)
	if err != nil {
		return nil, fmt.Errorf("preparing a step: %w", err)
	}
	return all, nil
}

// share puts those of the app's variables that the step sees under its own.
func (s *step) share(all deploy.Variables) {
	if s.shared == nil {
		return
	}
	vars := s.shared(all)
	maps.Copy(vars, s.vars)
	s.vars = vars
}

// maskedNotes are lines that name what a step chose, such as a host.
type maskedNotes struct {
	mask *mask.Mask
	to   notes
}

// Write takes whole lines.
func (n maskedNotes) Write(p []byte) (int, error) {
	if _, err := n.to.Write([]byte(n.mask.String(string(p)))); err != nil {
		return 0, err
	}
	return len(p), nil
}
