package build

import (
	"testing"

	"slipway/deploy"
	"slipway/deploy/sandbox"
)

func TestHints(t *testing.T) {
	test := words{code: deploy.CodeTest, subject: `test set "unit"`, line: "test unit", section: "test.unit"}
	network := "it seems to need the network, which it has only with network = true in [test.unit]"
	for name, tt := range map[string]struct {
		words words
		end   ending
		want  string
	}{
		"just failed":         {test, ending{result: sandbox.Result{ExitCode: 1}, tail: []string{"got 3, want 2"}}, ""},
		"go without network":  {test, ending{result: sandbox.Result{ExitCode: 1}, tail: []string{"dial tcp: lookup modules.test: no such host"}}, network},
		"curl":                {test, ending{result: sandbox.Result{ExitCode: 6}, tail: []string{"curl: (6) Could not resolve host: x.test"}}, network},
		"npm":                 {test, ending{result: sandbox.Result{ExitCode: 1}, tail: []string{"npm error code EAI_AGAIN"}}, network},
		"pip":                 {test, ending{result: sandbox.Result{ExitCode: 1}, tail: []string{"[Errno -3] Temporary failure in name resolution"}}, network},
		"it has a network":    {test, ending{result: sandbox.Result{ExitCode: 6}, network: true, tail: []string{"Could not resolve host"}}, ""},
		"refused":             {test, ending{result: sandbox.Result{ExitCode: 1}, network: true, refused: []string{"a:443", "b:443"}}, "it was refused to reach a:443, b:443: the operator lists the hosts that may be reached"},
		"a hook's is its own": {wordsFor("after_accept"), ending{result: sandbox.Result{ExitCode: 1}, tail: []string{"Could not resolve host"}}, ""},
		"disk":                {test, ending{result: sandbox.Result{ExitCode: 137, Struck: "disk limit of 1 GiB reached; all its processes were ended"}}, "if it needs more, set disk in [test.unit]"},
		"a hook's limit":      {wordsFor("after_accept"), ending{result: sandbox.Result{ExitCode: 137, Struck: "time limit of 5m reached; all its processes were ended"}}, ""},
		"no executable bit":   {test, ending{result: sandbox.Result{ExitCode: 126}}, "a file that is to be run has no executable bit: git update-index --chmod=+x FILE"},
		"no such command":     {test, ending{result: sandbox.Result{ExitCode: 127}}, "a command was not found: steps see the server's programs that are in its PATH, and those of their tree by path"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tt.words.failed(tt.end).Hint; got != tt.want {
				t.Errorf("hint %q, want %q", got, tt.want)
			}
		})
	}
}
