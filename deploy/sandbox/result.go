package sandbox

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Result is how a sandbox ended.
type Result struct {
	// ExitCode is the command's exit status; 128 + n if signal n ended it.
	ExitCode int
	// Signal ended the command; zero if it exited. Inside bubblewrap an exit status above 128 and a
	// signal cannot be told apart, as in a shell, and count as the signal.
	Signal syscall.Signal
	// Struck names the limit that struck, with its value: "memory limit of 256 MiB reached". A command can
	// survive a memory or process limit; then Err is nil all the same.
	Struck string
	Usage  Usage
}

// Usage is what the processes of a sandbox use and have used.
type Usage struct {
	CPU       time.Duration // spent so far, including processes that ended
	Memory    int64         // bytes now, without file cache that can be dropped at once
	MaxMemory int64         // the highest so far, file cache included where cgroups count it
	PIDs      []int         // now, as the host numbers them
}

// Err returns nil for a command that exited with status 0, and otherwise an error that says how the
// sandbox ended.
func (r Result) Err() error {
	if r.ExitCode == 0 && r.Signal == 0 {
		return nil
	}
	return errors.New(r.String())
}

// String says how the sandbox ended: "exit status 1", "killed by signal 9", or the limit that struck.
func (r Result) String() string {
	switch {
	case r.Struck != "" && (r.ExitCode != 0 || r.Signal != 0):
		return r.Struck
	case r.Signal != 0:
		return "killed by signal " + strconv.Itoa(int(r.Signal))
	}
	return "exit status " + strconv.Itoa(r.ExitCode)
}

const allEnded = "; all its processes were ended"

func struckMemory(n int64) string { return "memory limit of " + formatBytes(n) + " reached" }

func struckProcesses(n int) string { return "process limit of " + strconv.Itoa(n) + " reached" }

func struckFileSize(n int64) string { return "file size limit of " + formatBytes(n) + " reached" }

func struckDisk(n int64) string { return "disk limit of " + formatBytes(n) + " reached" + allEnded }

func struckTime(d time.Duration) string {
	return "time limit of " + formatSpan(d) + " reached" + allEnded
}

// formatBytes writes n in the largest binary unit that leaves at most one decimal.
func formatBytes(n int64) string {
	for _, u := range []struct {
		size int64
		name string
	}{{1 << 40, "TiB"}, {1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n >= u.size {
			return strings.TrimSuffix(fmt.Sprintf("%.1f", float64(n)/float64(u.size)), ".0") + " " + u.name
		}
	}
	return strconv.FormatInt(n, 10) + " bytes"
}

// formatSpan writes d without trailing zero units: 5m, not 5m0s.
func formatSpan(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
