package pipeline

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"slipway/deploy"
)

// TestOvertakenIsNotForced: an admin's push that was a fast-forward of what the admin saw, and of which
// another push has made none, is refused as everybody's is. To force that away is another wish.
func TestOvertakenIsNotForced(t *testing.T) {
	for name, c := range map[string]struct {
		saw     deploy.OID
		options []string
		forces  bool
	}{
		"plain":              {oid(1), nil, false},
		"bypass":             {oid(1), []string{"bypass", "reason=urgent"}, false},
		"a ref not yet seen": {"", nil, false},
		"forced":             {oid(2), nil, true},
		"forced and bypass":  {oid(2), []string{"bypass", "reason=urgent"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := settled(t)
			o := offer(3, c.options...)
			o.Pusher.Admin, o.Update.Old = true, c.saw
			o.Revision = beside{revision{oid: oid(3)}}
			var out bytes.Buffer
			a := w.pipeline().Admit(t.Context(), o, &out)
			if a.Accepted != c.forces || !c.forces && !strings.HasPrefix(a.Line, "fetch first") {
				t.Errorf("%+v\n%s", a, out.String())
			}
		})
	}
}

// beside is a revision that descends from the first one only.
type beside struct{ revision }

func (b beside) DescendsFrom(_ context.Context, a deploy.OID) (bool, error) {
	return a.IsZero() || a == oid(1) || a == b.oid, nil
}
