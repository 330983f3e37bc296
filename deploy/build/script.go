package build

import "strings"

// maxScript is below what Linux takes as one argument of a program (MAX_ARG_STRLEN).
const maxScript = 128<<10 - 1

// script is the shell script that runs commands in order until one fails, telling each in the log
// before it runs:
//
//	$ make build
//
// All share one shell: a cd or an export holds for the commands after. Where there are several, each
// is given to eval as a word of its own, so that one with an open quote fails by itself instead of
// swallowing the next.
func script(commands []string) string {
	var b strings.Builder
	for _, c := range commands {
		c = strings.TrimSpace(c)
		b.WriteString("printf '%s\\n' " + quote(prompt(c)) + "\n")
		if len(commands) > 1 {
			c = "eval " + quote(c)
		}
		b.WriteString(c + "\n")
	}
	return b.String()
}

// prompt is how a shell would show c being typed.
func prompt(c string) string {
	return "$ " + strings.ReplaceAll(c, "\n", "\n> ")
}

// quote makes one word of the shell language of s.
func quote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// shell is the argv that runs commands by sh -e.
func shell(commands []string) []string {
	return []string{"/bin/sh", "-e", "-c", script(commands)}
}
