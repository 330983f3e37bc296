package main

import (
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// flags is a flag set whose flags may stand before, between or after the names.
type flags struct{ *flag.FlagSet }

func newFlags(name string) *flags {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	return &flags{f}
}

// parse reads all flags and returns the names, of which there must be at least least and at most most.
func (f *flags) parse(args []string, least, most int) ([]string, error) {
	var names []string
	before := 0 // names before a reason
	for len(args) > 0 {
		if err := f.Parse(args); err != nil {
			return nil, f.misused(err.Error())
		}
		consumed := len(args) - f.NArg()
		literal := consumed > 0 && args[consumed-1] == "--"
		args = f.Args()
		if literal {
			names = append(names, args...)
			break
		}
		if len(args) > 0 {
			names, args = append(names, args[0]), args[1:]
			if f.reason() == "" {
				before = len(names)
			}
		}
	}
	names = f.rejoin(names, before, least, most)
	if len(names) < least || len(names) > most {
		return nil, f.misused("wrong number of names")
	}
	return names, nil
}

func (f *flags) reason() string {
	if reason := f.Lookup("reason"); reason != nil {
		return reason.Value.String()
	}
	return ""
}

// rejoin puts a reason together again whose quotes are gone: ssh joins its words by spaces. The words
// after it are names as long as there may be so many, and otherwise belong to it.
func (f *flags) rejoin(names []string, before, least, most int) []string {
	if f.reason() == "" || len(names) <= most {
		return names
	}
	keep := min(max(before, least), len(names))
	_ = f.Set("reason", strings.Join(append([]string{f.reason()}, names[keep:]...), " ")) // a string takes any
	return names[:keep]
}

// parseLeading reads the flags before the first name only.
func (f *flags) parseLeading(args []string) ([]string, error) {
	if len(args) > 0 && (args[0] == "-version" || args[0] == "--version" || isHelp(args[0])) {
		return args, nil
	}
	if err := f.Parse(args); err != nil {
		return nil, f.misused(err.Error())
	}
	return f.Args(), nil
}

func isHelp(s string) bool { return s == "-h" || s == "-help" || s == "--help" }

func (f *flags) misused(why string) error {
	if why == flag.ErrHelp.Error() {
		return usageError(strings.TrimRight(helpText(topic(f.Name())), "\n"))
	}
	usage, _, _ := strings.Cut(helpText(topic(f.Name())), "\n\n")
	return usageError(why + "\n" + usage)
}

// topic is the help text of a command: the one of its first word.
func topic(name string) string {
	first, _, _ := strings.Cut(name, " ")
	if first == "slipway" {
		return "help"
	}
	return first
}

// dataDir decides where the data directory is: the flag, the environment, or the custom of the place.
func dataDir(given string) (string, error) {
	dir := given
	if dir == "" {
		dir = os.Getenv("SLIPWAY_DATA")
	}
	if dir == "" && os.Geteuid() == 0 {
		dir = "/var/lib/slipway"
	}
	if dir == "" {
		base := os.Getenv("XDG_DATA_HOME")
		if base == "" {
			home, err := os.UserHomeDir()
			if err != nil {
				return "", usageError("no home folder: say where the data is with -data DIR")
			}
			base = filepath.Join(home, ".local", "share")
		}
		dir = filepath.Join(base, "slipway")
	}
	return filepath.Abs(dir)
}
