package audit_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"slipway/deploy/audit"
)

const (
	firstDay  = "2026-11-22.jsonl"
	secondDay = "2026-11-23.jsonl"
)

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestOpenMendsATornLine: whatever a crash left of a line that was not confirmed goes aside, and all
// that was confirmed is still there.
func TestOpenMendsATornLine(t *testing.T) {
	for name, torn := range map[string]string{
		"half a line":               `{"specversion":"1.0","id":"A`,
		"zeros":                     strings.Repeat("\x00", 3*audit.MaxLine),
		"a line with a hole":        `{"specversion":"1.0",` + strings.Repeat("\x00", 40) + `"prev":"0"}` + "\n",
		"a whole line, no newline":  `{}`,
		"a newline and nothing":     "\n",
		"not UTF-8, with a newline": "\xff\xfe\n",
	} {
		t.Run(name, func(t *testing.T) {
			dir, c := t.TempDir(), newClock()
			l := open(t, dir, c)
			add(t, l, 1, 2)
			head := l.Head()
			l.Close()
			path := filepath.Join(dir, firstDay)
			size := len(read(t, path))
			write(t, path, read(t, path)+torn)

			l = open(t, dir, c)
			all := events(t, l, 1)
			if len(all) != 3 || all[2].Type != audit.EventRepaired {
				t.Fatalf("after opening there are the events %+v, want two and the repair", all)
			}
			var repair audit.Repair
			if err := json.Unmarshal(all[2].Data, &repair); err != nil {
				t.Fatal(err)
			}
			aside := fmt.Sprintf("%s.torn-%d", firstDay, size)
			if repair.File != firstDay || repair.Aside != aside || repair.Size != int64(len(torn)) {
				t.Errorf("the repair is recorded as %+v", repair)
			}
			if got := read(t, filepath.Join(dir, aside)); got != torn {
				t.Errorf("%q was moved aside, want %q", got, torn)
			}
			if report := verify(t, dir, head, l.Head()); !report.OK() {
				t.Errorf("the log does not verify: %v", report.Findings)
			}
			l.Close()
			if n := len(events(t, open(t, dir, c), 1)); n != 3 {
				t.Errorf("opening again recorded something: %d events", n)
			}
		})
	}
}

// TestOpenFindsARepairThatACrashInterrupted: the torn line was moved, the crash came before that was
// recorded.
func TestOpenFindsARepairThatACrashInterrupted(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	l := open(t, dir, c)
	add(t, l, 1, 1)
	l.Close()
	write(t, filepath.Join(dir, firstDay+".torn-9.new"), "torn")
	all := events(t, open(t, dir, c), 1)
	if len(all) != 2 || all[1].Type != audit.EventRepaired {
		t.Errorf("after opening there are the events %+v, want one and the repair", all)
	}
	if got := read(t, filepath.Join(dir, firstDay+".torn-9")); got != "torn" {
		t.Errorf("aside is %q", got)
	}
}

func TestOpenMendsATornFirstLineOfADay(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	l := open(t, dir, c)
	add(t, l, 1, 2)
	l.Close()
	write(t, filepath.Join(dir, secondDay), "{")
	l = open(t, dir, c) // the clock still says the day before
	add(t, l, 3, 3)
	if n := strings.Count(read(t, filepath.Join(dir, secondDay)), "\n"); n != 2 {
		t.Errorf("the newest file has %d lines, want the repair and one event", n)
	}
	if report := verify(t, dir, l.Head()); !report.OK() || report.Events != 4 {
		t.Errorf("the log does not verify: %+v", report)
	}
}

// TestOpenRefusesWhatNoCrashDoes: lines that somebody else broke are for a person to judge.
func TestOpenRefusesWhatNoCrashDoes(t *testing.T) {
	for name, last := range map[string]string{
		"two torn lines":           "{\n{\n",
		"an event of another form": `{"specversion":"2.0"}` + "\n",
		"a line that is too long":  strings.Repeat("x", audit.MaxLine) + "\n",
	} {
		dir, c := t.TempDir(), newClock()
		l := open(t, dir, c)
		add(t, l, 1, 1)
		l.Close()
		path := filepath.Join(dir, firstDay)
		write(t, path, read(t, path)+last)
		l, err := audit.Open(dir, config(c))
		if err == nil {
			l.Close()
			t.Errorf("%s: opened", name)
		} else if !strings.Contains(err.Error(), firstDay+": line 2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestKill kills a process that appends, again and again, and looks whether all that it confirmed is
// there.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	confirmed := uint64(0)
	for round := range 5 {
		appender := exec.CommandContext(t.Context(), os.Args[0])
		appender.Env = append(os.Environ(), killed+"="+dir)
		out, err := appender.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := appender.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; n < 20*(round+1) && lines.Scan(); n++ {
			confirmed, err = strconv.ParseUint(lines.Text(), 10, 64)
			if err != nil {
				t.Fatalf("the appender said %q", lines.Text())
			}
		}
		if err := appender.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() { // what it confirmed while it was being killed
			if n, err := strconv.ParseUint(lines.Text(), 10, 64); err == nil {
				confirmed = n
			}
		}
		appender.Wait()
		l := open(t, dir, newClock())
		if l.Head().Sequence < confirmed {
			t.Fatalf("event %d was confirmed, the log ends with %d", confirmed, l.Head().Sequence)
		}
		if report := verify(t, dir, l.Head()); !report.OK() {
			t.Fatalf("the log does not verify: %v", report.Findings)
		}
		l.Close()
	}
	if confirmed < 100 {
		t.Errorf("only %d events were confirmed", confirmed)
	}
}

// TestMain can also be the process that TestKill or TestKillAtEachMoment kills.
func TestMain(m *testing.M) {
	dir, moment := os.Getenv(killed), os.Getenv(killMoment)
	if dir == "" {
		os.Exit(m.Run())
	}
	appending := appendForEver
	if moment != "" {
		appending = func(dir string) error { return appendOnce(dir, moment) }
	}
	if err := appending(dir); err != nil {
		fmt.Println(err)
	}
}

// killed is where the process to be killed finds its log, killMoment at which moment it is to die.
const (
	killed     = "SLIPWAY_TEST_AUDIT"
	killMoment = "SLIPWAY_TEST_AUDIT_MOMENT"
)

// appendOnce appends an event and is killed on the way.
func appendOnce(dir, moment string) error {
	l, err := audit.OpenToBeKilled(dir, moment, audit.Config{Now: newClock().Now})
	if err != nil {
		return err
	}
	_, err = l.Append(context.Background(), event(7))
	return fmt.Errorf("it lived on, %w", err)
}

// TestKillAtEachMoment kills a process before, in and after the write of an event, and after its sync. What
// was not written is not there, what was is whole, and the log goes on after it.
func TestKillAtEachMoment(t *testing.T) {
	for moment, want := range map[string]uint64{
		audit.BeforeWrite: 1,
		audit.InWrite:     2, // the first event, and that the torn line was repaired
		audit.BeforeSync:  2, // nobody was told, but the machine did not go down with the process
		audit.AfterSync:   2,
	} {
		t.Run(moment, func(t *testing.T) {
			dir := t.TempDir()
			l := open(t, dir, newClock())
			first, err := l.Append(t.Context(), event(1))
			if err != nil {
				t.Fatal(err)
			}
			l.Close()
			appender := exec.CommandContext(t.Context(), os.Args[0])
			appender.Env = append(os.Environ(), killed+"="+dir, killMoment+"="+moment)
			if out, err := appender.CombinedOutput(); err == nil || appender.ProcessState.String() != "signal: killed" {
				t.Fatalf("the appender was not killed: %v, %s", err, out)
			}
			l = open(t, dir, newClock())
			if head := l.Head().Sequence; head != want {
				t.Errorf("the log ends with event %d, want %d", head, want)
			}
			next, err := l.Append(t.Context(), event(2))
			if err != nil || next.Sequence != want+1 {
				t.Errorf("the next event has the sequence %d, error %v", next.Sequence, err)
			}
			if report := verify(t, dir, l.Head()); !report.OK() {
				t.Errorf("the log does not verify: %v", report.Findings)
			}
			for e, err := range l.Events(1) {
				if err != nil || e.Sequence == 1 && e.ID != first.ID {
					t.Errorf("event %d, error %v", e.Sequence, err)
				}
			}
		})
	}
}

// appendForEver appends events of many sizes and prints the sequence of each when it is confirmed.
func appendForEver(dir string) error {
	l, err := audit.Open(dir, audit.Config{Now: newClock().Now})
	if err != nil {
		return err
	}
	for n := 1; ; n++ {
		e := event(n)
		e.Reason = strings.Repeat("x", n%5000)
		recorded, err := l.Append(context.Background(), e)
		if err != nil {
			return err
		}
		if _, err := fmt.Println(recorded.Sequence); err != nil {
			return err
		}
	}
}
