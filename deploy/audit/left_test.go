package audit_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slipway/deploy"
	"slipway/deploy/audit"
)

// stageEnded writes a file of a deployment and returns the event that holds its hash.
func stageEnded(t *testing.T, l deploy.Layout, n deploy.Number, name, content string) deploy.Event {
	t.Helper()
	if err := os.MkdirAll(l.Deployment(n), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(l.Deployment(n), name), content)
	sum := sha256.Sum256([]byte(content))
	e := deploy.Event{Type: deploy.EventStageFinished, Deployment: n, App: "shop", Stage: "build", Actor: deploy.ServerActor("test")}
	left := deploy.LeftFile{Name: name, Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:])}
	if strings.HasSuffix(name, ".log") {
		return e.WithData(deploy.StageData{Log: left.Name, Size: left.Size, SHA256: left.SHA256})
	}
	return e.WithData(deploy.StageData{Files: []deploy.LeftFile{left}})
}

func TestVerifyAllComparesWhatDeploymentsLeft(t *testing.T) {
	of := func(n deploy.Number, f string) string { return filepath.Join("deployments", n.String(), f) }
	tests := map[string]struct {
		do   func(t *testing.T, data string)
		want []string
		gone int
	}{
		"nothing":      {do: func(*testing.T, string) {}},
		"a log pruned": {do: func(t *testing.T, data string) { remove(t, data, of(1, "build.log")) }, gone: 1},
		"a byte flipped in a log": {do: func(t *testing.T, data string) { write(t, filepath.Join(data, of(1, "build.log")), "tw0\n") },
			want: []string{firstDay + ": line 2: log: " + of(1, "build.log") + " has the SHA-256 "}},
		"measurements cut": {do: func(t *testing.T, data string) { write(t, filepath.Join(data, of(1, "monitor.jsonl")), "{}") },
			want: []string{firstDay + ": line 3: log: " + of(1, "monitor.jsonl") + " has 2 bytes, and had 3 when this was recorded"}},
		"a log of what still runs": {do: func(t *testing.T, data string) { write(t, filepath.Join(data, of(2, "build.log")), "other\n") },
			want: []string{firstDay + ": line 5: log: " + of(2, "build.log") + " has "}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			l := deploy.Layout(t.TempDir())
			log := quick(t, l.Audit(), newClock())
			defer log.Close()
			ended := deploy.Event{Type: deploy.EventRejected, Deployment: 1, App: "shop", Actor: deploy.ServerActor("test")}
			for _, e := range []deploy.Event{
				stageEnded(t, l, 1, "build.log", "one\n"), stageEnded(t, l, 1, "build.log", "two\n"), // written anew
				stageEnded(t, l, 1, "monitor.jsonl", "{}\n"), ended, stageEnded(t, l, 2, "build.log", "x\n"),
			} {
				if _, err := log.Append(t.Context(), e); err != nil {
					t.Fatal(err)
				}
			}
			test.do(t, string(l))
			report, err := audit.VerifyAll(t.Context(), l, log.Head())
			if err != nil {
				t.Fatal(err)
			}
			got := make([]string, len(report.Findings))
			for i, f := range report.Findings {
				got[i] = f.String()
			}
			if !slices.EqualFunc(got, test.want, strings.HasPrefix) {
				t.Errorf("found %q, want %q", got, test.want)
			}
			if report.Gone != test.gone || report.Logs != 3-test.gone {
				t.Errorf("%d files compared and %d gone, want %d and %d", report.Logs, report.Gone, 3-test.gone, test.gone)
			}
		})
	}
}
