package main

import (
	"context"

	"slipway/deploy"
)

// treesAhead has a tree made for each app, from which its next push begins.
func (s *server) treesAhead(ctx context.Context, apps []deploy.App) error {
	for _, app := range apps {
		state, err := s.store.TargetState(ctx, deploy.Target{App: app.Name, Environment: deploy.Production})
		if err != nil {
			return err
		}
		s.trees.Ahead(app, state.Revision)
	}
	return nil
}
