package manifest

import (
	"slices"
	"strings"
	"testing"
)

// TestRequires: a test set names the services without which it can tell nothing.
func TestRequires(t *testing.T) {
	const web = "\n[process.web]\nrun = \"./app\"\n"
	m, err := Parse("slipway.toml", []byte("[test.db]\nrun = \"make test\"\nrequires = [\"tcp://db.example.org:5432\"]\n"+web))
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Tests[0].Requires; !slices.Equal(got, []string{"tcp://db.example.org:5432"}) {
		t.Errorf("requires %q", got)
	}
	if again, err := Parse("slipway.toml", Format(m)); err != nil || !slices.Equal(again.Tests[0].Requires, m.Tests[0].Requires) {
		t.Errorf("written and read again: %v, %v", again, err)
	}
	for _, bad := range []string{`["db:5432"]`, `["tcp://db"]`, `["tcp://:5432"]`, `["tcp://db:0"]`, `["tcp://db:99999"]`, `"tcp://db:5432"`, `["tcp://a/b:1"]`} {
		_, err := Parse("slipway.toml", []byte("[test.db]\nrun = \"make test\"\nrequires = "+bad+"\n"+web))
		if err == nil || !strings.Contains(err.Error(), "slipway.toml:3:") {
			t.Errorf("requires = %s: %v", bad, err)
		}
	}
}
