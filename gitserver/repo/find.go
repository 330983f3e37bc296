package repo

import (
	"context"
	"fmt"
	"strings"

	"slipway/deploy"
)

// Find returns the commit that a person names in one of git's ways (gitrevisions(7)): a whole or
// shortened id, a branch, a tag. The error is [ErrNotCommit] if that names no commit.
func (s *Store) Find(ctx context.Context, app deploy.AppName, name string) (deploy.OID, error) {
	out, err := s.git(ctx, app, "rev-parse", "--verify", "--quiet", "--end-of-options", name+"^{commit}")
	if _, exited := exitStatus(err); exited {
		return "", fmt.Errorf("%.60q: %w", name, ErrNotCommit)
	}
	if err != nil {
		return "", fmt.Errorf("finding revision %.60q: %w", name, err)
	}
	return deploy.ParseOID(strings.TrimSpace(string(out)))
}
