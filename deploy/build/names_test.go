package build

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/deploy"
	"slipway/deploy/sandbox"
)

func TestSandboxName(t *testing.T) {
	for step, want := range map[string]string{
		"build": "^42-build$", "test-unit": "^42-test-unit$", "before_deploy": "^42-before-deploy$",
		"test-\u00dcnit": `^42-test--nit\.[0-9a-f]{8}$`, strings.Repeat("x", 80): `^42-x{60}\.[0-9a-f]{8}$`,
	} {
		if got := sandboxName(42, step); !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("sandboxName(%q) = %q, want %s", step, got, want)
		}
	}
	if sandboxName(1, "test-A") == sandboxName(1, "test-B") {
		t.Error("two sets share a name")
	}
}

func TestLimits(t *testing.T) {
	own := deploy.Limits{Memory: 1, Timeout: time.Second}
	defaults := deploy.Limits{Memory: 2, Processes: 3, CPU: 1.5, FileSize: 4, Disk: 5, Timeout: time.Minute}
	want := sandbox.Limits{Memory: 1, Processes: 3, CPU: 1.5, FileSize: 4, Disk: 5, Time: time.Second}
	if diff := cmp.Diff(want, limits(own, defaults)); diff != "" {
		t.Errorf("limits (-want +got):\n%s", diff)
	}
}
