package release

import (
	"maps"
	"slices"
	"strings"
)

// shell is the argv that runs a process's command. A single plain command replaces the shell, so that
// the program itself gets the signal to end; anything more needs the shell to stay.
func shell(run string) []string {
	run = strings.TrimSpace(run)
	if plain(run) {
		run = "exec " + run
	}
	return []string{"/bin/sh", "-c", run}
}

// plain tells whether run is surely one simple command that is no part of the shell itself.
func plain(run string) bool {
	if strings.ContainsAny(run, ";&|<>()`\n\\#~*?[]!") || strings.Contains(run, "$(") {
		return false
	}
	first, _, _ := strings.Cut(run, " ")
	if first == "" || strings.ContainsAny(first, "='\"{}$\t") {
		return false
	}
	return !slices.Contains(shellWords(), first)
}

// shellWords are the words that mean something to the shell where a command's name is expected.
func shellWords() []string {
	return []string{
		".", ":", "alias", "bg", "break", "builtin", "case", "cd", "command", "continue", "declare", "do", "done", "elif",
		"else", "esac", "eval", "exec", "exit", "export", "fg", "fi", "for", "function", "getopts", "hash", "if", "jobs",
		"let", "local", "read", "readonly", "return", "set", "shift", "source", "then", "time", "times", "trap", "type",
		"ulimit", "umask", "unalias", "unset", "until", "wait", "while",
	}
}

// script is the argv that runs a step's commands, each by a sh -e of its own, until one fails.
func script(commands []string) []string {
	return append([]string{"/bin/sh", "-e", "-c", `for c in "$@"; do echo "$ $c"; /bin/sh -e -c "$c"; done`, "sh"}, commands...)
}

// environment joins maps to a sorted environment; later ones win.
func environment(layers ...map[string]string) []string {
	all := make(map[string]string)
	for _, l := range layers {
		maps.Copy(all, l)
	}
	env := make([]string, 0, len(all))
	for _, k := range slices.Sorted(maps.Keys(all)) {
		env = append(env, k+"="+all[k])
	}
	return env
}
