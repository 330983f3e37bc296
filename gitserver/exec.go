package gitserver

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"slipway/deploy"
)

// service is one of git's programs that a client may ask for.
type service string

const (
	uploadPack    service = "upload-pack"    // fetch, clone
	receivePack   service = "receive-pack"   // push
	uploadArchive service = "upload-archive" // archive --remote
)

// maxExec is the longest command line that is read.
const maxExec = 8 << 10

// execLine is what a client wants to run: a service on a path, or words for [Commands].
type execLine struct {
	service service
	path    string   // as the client wrote it
	argv    []string // when service is empty
}

// parseExec reads the command line of an SSH session. It is never given to a shell.
//
// Git writes git-upload-pack '/shop.git', sometimes git upload-pack '/shop.git', quoting as
// sq_quote_buf in its quote.c does. Everything else is a command.
func parseExec(line string) (execLine, error) {
	words, err := splitWords(line)
	if err != nil {
		return execLine{}, err
	}
	name, args := "", words
	if len(words) > 0 {
		name, args = words[0], words[1:]
	}
	if name == "git" && len(args) > 0 {
		name, args = "git-"+args[0], args[1:]
	}
	switch s := service(strings.TrimPrefix(name, "git-")); {
	case !strings.HasPrefix(name, "git-"):
		return execLine{argv: words}, nil
	case s != uploadPack && s != receivePack && s != uploadArchive:
		return execLine{}, fmt.Errorf("%.60q is no service of this server", name)
	case len(args) != 1:
		return execLine{}, fmt.Errorf("%s takes one repository", name)
	default:
		return execLine{service: s, path: args[0]}, nil
	}
}

// splitWords splits a line as a shell would split plain words: at blanks, with 'single' and "double"
// quotes and backslashes. What a shell would do more than that with is an error rather than a
// surprise.
func splitWords(line string) ([]string, error) {
	if len(line) > maxExec {
		return nil, fmt.Errorf("the command is longer than %d bytes", maxExec)
	}
	if !utf8.ValidString(line) || strings.ContainsFunc(line, func(r rune) bool { return unicode.IsControl(r) && r != '\t' }) {
		return nil, errors.New("the command holds control characters")
	}
	var words []string
	var word strings.Builder
	quote, started := byte(0), false
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case quote == 0 && (c == ' ' || c == '\t'):
			if started {
				words = append(words, word.String())
				word.Reset()
			}
			started = false
			continue
		case quote == 0 && (c == '\'' || c == '"'):
			quote = c
		case quote != 0 && c == quote:
			quote = 0
		case quote != '\'' && c == '\\':
			i++
			if i == len(line) {
				return nil, errors.New("the command ends in a backslash")
			}
			if quote == '"' && line[i] != '"' && line[i] != '\\' {
				word.WriteByte('\\')
			}
			word.WriteByte(line[i])
		case quote == 0 && strings.IndexByte(";&|<>()$`", c) >= 0:
			return nil, fmt.Errorf("no shell reads the command here: put %q into quotes", c)
		default:
			word.WriteByte(c)
		}
		started = true
	}
	if quote != 0 {
		return nil, fmt.Errorf("the command lacks a closing %c", quote)
	}
	if started {
		words = append(words, word.String())
	}
	return words, nil
}

// parsePath reads a repository's path: shop, /shop, shop.git or /shop.git, and nothing else.
func parsePath(path string) (deploy.AppName, error) {
	return deploy.ParseAppName(strings.TrimSuffix(strings.TrimPrefix(path, "/"), ".git"))
}
