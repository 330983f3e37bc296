package release

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strconv"
	"strings"

	"slipway/deploy"
)

// FileVariables reads apps' variables from the files that l names. An app without such a file has
// none.
func FileVariables(l deploy.Layout) Variables {
	return func(_ context.Context, app deploy.AppName) (map[string]string, error) {
		f, err := os.Open(l.Env(app))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading the variables of %s: %w", app, err)
		}
		defer f.Close()
		vars, err := ParseVariables(f)
		if err != nil {
			return nil, fmt.Errorf("reading the variables of %s: %s: %w", app, f.Name(), err)
		}
		return vars, nil
	}
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// ParseVariables reads lines of KEY=VALUE. Blank lines and lines that begin with # are skipped, a
// leading "export " too. A value may stand in single quotes, or in double quotes with Go's escapes;
// otherwise it is what follows the = up to the end of the line, without surrounding blanks. An error
// names the line, never a value.
func ParseVariables(r io.Reader) (map[string]string, error) {
	vars := make(map[string]string)
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		key, value, found := strings.Cut(strings.TrimPrefix(line, "export "), "=")
		key = strings.TrimSpace(key)
		if !found || !variableName.MatchString(key) {
			return nil, fmt.Errorf("line %d is not KEY=VALUE", n)
		}
		value, err := unquote(strings.TrimSpace(value))
		if err != nil {
			return nil, fmt.Errorf("line %d: the quotes of %s do not match", n, key)
		}
		vars[key] = value
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	return vars, nil
}

func unquote(s string) (string, error) {
	switch {
	case strings.HasPrefix(s, `"`):
		return strconv.Unquote(s)
	case len(s) > 1 && s[0] == '\'' && s[len(s)-1] == '\'':
		return s[1 : len(s)-1], nil
	}
	return s, nil
}
