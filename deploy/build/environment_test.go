package build

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/deploy"
)

func TestEnvironment(t *testing.T) {
	job := &deploy.Job{Number: 42, App: deploy.App{Name: "shop"}, Revision: "abc"}
	base := []string{
		"CI=true", "HOME=/cache", "LANG=C.UTF-8", "PATH=/bin",
		"SLIPWAY_APP=shop", "SLIPWAY_DEPLOYMENT=42", "SLIPWAY_REVISION=abc",
	}
	if diff := cmp.Diff(base, environment(job, "/bin", "/cache")); diff != "" {
		t.Errorf("base (-want +got):\n%s", diff)
	}
	got := environment(job, "/bin", "/cache", map[string]string{"LANG": "de_DE.UTF-8", "X": "a=b"}, map[string]string{"X": ""})
	want := []string{
		"CI=true", "HOME=/cache", "LANG=de_DE.UTF-8", "PATH=/bin",
		"SLIPWAY_APP=shop", "SLIPWAY_DEPLOYMENT=42", "SLIPWAY_REVISION=abc", "X=",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("with a step's own (-want +got):\n%s", diff)
	}
}
