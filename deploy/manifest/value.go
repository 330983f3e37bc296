package manifest

import (
	"fmt"
	"net"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

var (
	namePattern     = regexp.MustCompile(`^[a-z][a-z0-9-]{0,39}$`)
	plainKey        = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
	variablePattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// wrong notes that a value is not what its key takes.
func (r *reader) wrong(n *node, want string) {
	r.fail(n.start, n.size, fmt.Sprintf("%s is %s", n.label, describe(n)), want)
}

// describe says what a value is.
func describe(n *node) string {
	switch v := n.value.(type) {
	case string:
		if strings.TrimSpace(v) == "" {
			return "empty"
		}
		return strconv.Quote(short(v))
	case int64:
		return fmt.Sprintf("the number %d", v)
	case float64:
		return fmt.Sprintf("the number %v", v)
	case bool:
		return fmt.Sprint(v)
	case []*node:
		if len(v) > 0 {
			if _, tables := v[0].value.(*table); tables {
				return "an array of tables"
			}
		}
		return "an array"
	case *table:
		return "a table"
	case other:
		return "a " + string(v)
	}
	return "nothing"
}

// shown writes a key as a person would, quoted where it is not plain.
func shown(key string) string {
	if plainKey.MatchString(key) {
		return short(key)
	}
	return strconv.Quote(short(key))
}

// short cuts what a pusher wrote to what fits into a message.
func short(s string) string { return limit(s, 48) }

// limit cuts a text to so many characters.
func limit(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

// plain returns a value that must be a string without NUL, which neither a command nor a variable can
// hold.
func (r *reader) plain(n *node, want string) (string, bool) {
	s, ok := n.value.(string)
	if !ok {
		r.wrong(n, want)
		return "", false
	}
	if strings.ContainsRune(s, 0) {
		r.fail(n.start, n.size, n.label+" holds a NUL character", "no command, variable or path can")
		return "", false
	}
	return s, true
}

const wantCommand = `expected a command in quotes, such as "make test"`

// command reads one shell command.
func (r *reader) command(dst *string) func(*node) {
	return func(n *node) {
		if _, array := n.value.([]*node); array {
			r.wrong(n, `expected one command in quotes: a process is one, join several with &&`)
			return
		}
		if s, ok := r.plain(n, wantCommand); ok {
			if strings.TrimSpace(s) == "" {
				r.wrong(n, wantCommand)
				return
			}
			*dst = s
		}
	}
}

// commands reads one shell command or an array of them.
func (r *reader) commands(dst *[]string) func(*node) {
	return func(n *node) {
		if _, array := n.value.([]*node); !array {
			var one string
			r.command(&one)(n)
			if one != "" {
				*dst = []string{one}
			}
			return
		}
		var all []string
		r.strings(&all)(n)
		if len(n.value.([]*node)) == 0 {
			r.fail(n.start, n.size, n.label+" is an empty array", `expected at least one command, such as "make test"`)
		}
		*dst = all
	}
}

// strings reads an array of strings none of which is empty.
func (r *reader) strings(dst *[]string) func(*node) {
	return func(n *node) {
		elements, ok := n.value.([]*node)
		if !ok {
			if s, one := n.value.(string); one {
				r.wrong(n, fmt.Sprintf("expected an array: [%s]", quote(short(s))))
				return
			}
			r.wrong(n, `expected an array of strings, such as ["unit"]`)
			return
		}
		var all []string
		for i, e := range elements {
			e.label = fmt.Sprintf("%s, item %d,", n.label, i+1)
			s, ok := r.plain(e, "expected a string in quotes")
			if ok && strings.TrimSpace(s) == "" {
				r.wrong(e, "expected a string with something in it")
			} else if ok {
				all = append(all, s)
			}
		}
		*dst = all
	}
}

// services reads addresses such as tcp://database.example.org:5432.
func (r *reader) services(dst *[]string) func(*node) {
	return func(n *node) {
		r.strings(dst)(n)
		elements, _ := n.value.([]*node)
		for _, e := range elements {
			s, isString := e.value.(string)
			if address, ok := strings.CutPrefix(s, "tcp://"); isString && s != "" && (!ok || !isAddress(address)) {
				r.wrong(e, `expected an address such as "tcp://database.example.org:5432"`)
			}
		}
	}
}

func isAddress(s string) bool {
	host, port, err := net.SplitHostPort(s)
	number, portErr := strconv.ParseUint(port, 10, 16)
	return err == nil && portErr == nil && number > 0 && host != "" && !strings.ContainsAny(host, "/@? ")
}

func (r *reader) boolean(dst *bool) func(*node) {
	return func(n *node) {
		b, ok := n.value.(bool)
		if !ok {
			r.wrong(n, "expected true or false, without quotes")
			return
		}
		*dst = b
	}
}

// env reads a table of variables.
func (r *reader) env(dst *map[string]string) func(*node) {
	return func(n *node) {
		t, ok := n.value.(*table)
		if !ok {
			r.wrong(n, `expected a table of strings, such as { LOG_LEVEL = "debug" }`)
			return
		}
		all := map[string]string{}
		for _, v := range t.nodes {
			v.label = n.label + " " + shown(v.key)
			if !variablePattern.MatchString(v.key) {
				r.fail(v.at, v.width, fmt.Sprintf("%q is no name of a variable", short(v.key)), "a name is letters, digits and underscores, and does not begin with a digit")
				continue
			}
			if strings.HasPrefix(v.key, "SLIPWAY_") {
				r.fail(v.at, v.width, fmt.Sprintf("%s sets %s", n.label, short(v.key)), "names that begin with SLIPWAY_ are set by the server")
				continue
			}
			if s, ok := r.plain(v, wantVariable(v)); ok {
				all[v.key] = s
			}
		}
		if len(all) > 0 {
			*dst = all
		}
	}
}

func wantVariable(n *node) string {
	switch v := n.value.(type) {
	case int64, float64, bool:
		return fmt.Sprintf("expected a string: write \"%v\"", v)
	}
	return "expected a string in quotes"
}

// cache reads folders of the work tree.
func (r *reader) cache(dst *[]string) func(*node) {
	return func(n *node) {
		var all []string
		r.strings(&all)(n)
		elements, _ := n.value.([]*node)
		*dst = nil
		for _, e := range elements {
			s, ok := e.value.(string)
			if !ok || strings.TrimSpace(s) == "" {
				continue
			}
			if clean, ok := r.folder(e, s); ok {
				*dst = append(*dst, clean)
			}
		}
	}
}

// folder checks one folder of the work tree.
func (r *reader) folder(n *node, s string) (string, bool) {
	clean := path.Clean(s)
	switch {
	case strings.HasPrefix(s, "/"), strings.HasPrefix(s, "~"):
		r.wrong(n, "expected a folder inside the work tree, without a leading / or ~")
	case slices.Contains(strings.Split(s, "/"), ".."):
		r.wrong(n, "expected a folder inside the work tree, without ..")
	case clean == ".":
		r.wrong(n, "the whole work tree cannot be kept between builds; name a folder in it")
	case strings.ContainsFunc(s, func(c rune) bool { return unicode.IsControl(c) || c == '\\' }):
		r.wrong(n, "expected a folder written with /, without control characters")
	default:
		return clean, true
	}
	return "", false
}

// pattern reads a regular expression.
func (r *reader) pattern(dst *string) func(*node) {
	return func(n *node) {
		s, ok := r.plain(n, `expected a regular expression in quotes, such as '^panic:'`)
		if !ok || s == "" {
			return
		}
		re, err := regexp.Compile(s)
		if err != nil {
			r.wrong(n, "expected a regular expression (RE2): "+limit(strings.TrimPrefix(err.Error(), "error parsing regexp: "), 160))
			return
		}
		if re.MatchString("") {
			r.wrong(n, "it matches an empty line, so every app would fail; expected a pattern that matches something")
			return
		}
		*dst = s
	}
}

// path reads the path of a request.
func (r *reader) path(dst *string) func(*node) {
	return func(n *node) {
		const want = `expected the path of a request, such as "/up"`
		s, ok := r.plain(n, want)
		if !ok {
			return
		}
		u, err := url.ParseRequestURI(s)
		if err != nil || !strings.HasPrefix(s, "/") || strings.HasPrefix(s, "//") || u.Host != "" || strings.ContainsFunc(s, unprintable) {
			r.wrong(n, want)
			return
		}
		*dst = s
	}
}

func unprintable(c rune) bool { return unicode.IsSpace(c) || !unicode.IsPrint(c) || c == '#' }

// url reads an address of a production that is elsewhere.
func (r *reader) url(dst *string) func(*node) {
	return func(n *node) {
		const want = `expected an address such as "https://shop.example.com/up"`
		s, ok := r.plain(n, want)
		if !ok {
			return
		}
		u, err := url.Parse(s)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || strings.ContainsFunc(s, unprintable) {
			r.wrong(n, want)
			return
		}
		if u.User != nil {
			r.fail(n.start, n.size, n.label+" holds a user name or password", "addresses are shown in logs; expected one without")
			return
		}
		*dst = s
	}
}
