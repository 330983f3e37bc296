package main

import (
	"embed"
	"fmt"
	"slices"
	"strings"
)

// helpFiles are the manual, a page a command, written by hand.
//
//go:embed help/*.txt
var helpFiles embed.FS

// helpText returns a command's page, "" if there is none.
func helpText(name string) string {
	b, err := helpFiles.ReadFile("help/" + name + ".txt")
	if err != nil {
		return ""
	}
	return string(b)
}

func topics() []string {
	entries, err := helpFiles.ReadDir("help")
	if err != nil {
		return nil
	}
	var all []string
	for _, e := range entries {
		all = append(all, strings.TrimSuffix(e.Name(), ".txt"))
	}
	return all
}

// helpAsked tells whether a command line asks for a page of the manual, and for which: "help", "help app", "app -h",
// "app remove -h". Further on, -h may be a word of somebody else's command ("run shop npm -h").
func helpAsked(line []string) (page []string, ok bool) {
	if len(line) > 0 && (line[0] == "help" || isHelp(line[0])) {
		return line[1:], true
	}
	for _, words := range []int{1, 2} {
		if len(line) > words && isHelp(line[words]) && helpText(line[0]) != "" {
			return line[:1], true
		}
	}
	return nil, false
}

// help prints a page: the overview, or the one asked for.
func help(args []string, std stdio) error {
	name := "help"
	if len(args) > 0 {
		name = args[0]
	}
	text := helpText(name)
	if text == "" {
		return usageError(unknownCommand(name))
	}
	_, err := fmt.Fprint(std.out, text)
	return err
}

func unknownCommand(name string) string {
	if len(name) > 40 {
		name = name[:40]
	}
	all := slices.DeleteFunc(topics(), func(s string) bool { return s == "help" })
	return fmt.Sprintf("there is no command %q; there are: %s", name, strings.Join(all, ", "))
}
