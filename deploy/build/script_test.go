package build

import (
	"os/exec"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The shell of the machine runs these, as it does in the sandbox.
func TestScript(t *testing.T) {
	tests := []struct {
		name     string
		commands []string
		status   int
		out      string
	}{
		{"one", []string{"echo a"}, 0, "$ echo a\na\n"},
		{"one stops at a failure", []string{"false\necho no"}, 1, "$ false\n> echo no\n"},
		{"several stop at a failure", []string{"echo a", "(exit 3)", "echo no"}, 3, "$ echo a\na\n$ (exit 3)\n"},
		{"several share a shell", []string{"cd /", "x=1", "echo $x $(pwd)"}, 0, "$ cd /\n$ x=1\n$ echo $x $(pwd)\n1 /\n"},
		{"quotes", []string{`echo "it's" 'a "b"'`, "true"}, 0, "$ echo \"it's\" 'a \"b\"'\nit's a \"b\"\n$ true\n"},
		{"backslashes are not eaten", []string{`echo 'a\nb' >/dev/null`}, 0, "$ echo 'a\\nb' >/dev/null\n"},
		{"an open quote fails alone", []string{"echo 'a", "echo 'b"}, 2, "$ echo 'a\n"},
		{"here document", []string{"cat <<E\nhi\nE", "echo b"}, 0, "$ cat <<E\n> hi\n> E\nhi\n$ echo b\nb\n"},
		{"exit", []string{"exit 4", "echo no"}, 4, "$ exit 4\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			argv := shell(tt.commands)
			cmd := exec.Command(argv[0], argv[1:]...)
			out, _ := cmd.Output()
			if got := cmd.ProcessState.ExitCode(); got != tt.status {
				t.Errorf("status = %d, want %d", got, tt.status)
			}
			if diff := cmp.Diff(tt.out, string(out)); diff != "" {
				t.Errorf("output (-want +got):\n%s", diff)
			}
		})
	}
}
