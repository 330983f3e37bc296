package manifest

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// node is a key of a TOML document with its value and where both stand. go-toml's decoder finds
// whether a document is valid; its parser tells where things are, which the decoder does not.
type node struct {
	key   string
	at    int // offset of the key; of the value for an element of an array
	width int // bytes of the key as written

	value any // string, int64, float64, bool, *table, []*node (array), or other
	start int // offset of the value
	size  int // bytes of the value as written, at least 1

	label string // how a mistake names it, such as "[build] timeout"; set by the reader
}

// table holds keys in the order of the file.
type table struct {
	nodes  []*node
	inline bool
}

// other is a value of a type that no key takes.
type other string

func (t *table) get(key string) *node {
	for _, n := range t.nodes {
		if n.key == key {
			return n
		}
	}
	return nil
}

// parseDocument reads a whole document. Where it is not TOML it notes the mistake and returns nil.
func parseDocument(src *source) *table {
	var valid map[string]any
	if err := toml.Unmarshal(src.text, &valid); err != nil {
		src.syntaxMistake(err)
		return nil
	}
	root := &table{}
	current := root
	p := unstable.Parser{}
	p.Reset(src.text)
	for p.NextExpression() {
		switch e := p.Expression(); e.Kind {
		case unstable.KeyValue:
			src.insert(current, e)
		case unstable.Table:
			current = root.descend(keys(e), false)
		case unstable.ArrayTable:
			current = root.descend(keys(e), true)
		}
	}
	if err := p.Error(); err != nil { // the decoder accepted it: not to be expected
		src.fail(0, 1, "it cannot be read as TOML", err.Error())
		return nil
	}
	return root
}

// keyPart is one part of a dotted key.
type keyPart struct {
	name      string
	at, width int
}

func keys(e *unstable.Node) []keyPart {
	var parts []keyPart
	for it := e.Key(); it.Next(); {
		k := it.Node()
		parts = append(parts, keyPart{name: string(k.Data), at: int(k.Raw.Offset), width: int(k.Raw.Length)})
	}
	return parts
}

// descend returns the table that a header's or a dotted key's parts name, made where it is missing.
func (t *table) descend(parts []keyPart, array bool) *table {
	for i, part := range parts {
		n := t.get(part.name)
		if n == nil {
			n = &node{key: part.name, at: part.at, width: part.width, start: part.at, size: part.width}
			t.nodes = append(t.nodes, n)
		}
		switch v := n.value.(type) {
		case *table:
			t = v
		case []*node: // an array of tables: no key takes one, so its tables may be seen as one
			if len(v) == 0 {
				return &table{}
			}
			inner, ok := v[0].value.(*table)
			if !ok {
				return &table{}
			}
			t = inner
		case nil:
			t = &table{}
			n.value = t
			if array && i == len(parts)-1 {
				n.value = []*node{{at: part.at, width: part.width, start: part.at, size: part.width, value: t}}
			}
		default: // the decoder refuses a table below a value
			return &table{}
		}
	}
	return t
}

// insert adds a key and its value to t.
func (s *source) insert(t *table, e *unstable.Node) {
	parts := keys(e)
	last := parts[len(parts)-1]
	t = t.descend(parts[:len(parts)-1], false)
	n := &node{key: last.name, at: last.at, width: last.width}
	s.fill(n, e.Value(), s.valueStart(last.at+last.width))
	t.nodes = append(t.nodes, n)
}

// valueStart is the offset of the value that follows a key's end, which the parser does not tell for
// an array.
func (s *source) valueStart(keyEnd int) int {
	at := keyEnd
	for at < len(s.text) && bytes.IndexByte([]byte(" \t="), s.text[at]) >= 0 {
		at++
	}
	return at
}

// fill sets n's value from the parser's.
func (s *source) fill(n *node, v *unstable.Node, start int) {
	n.start, n.size = start, 1
	if v.Raw.Length > 0 {
		n.start, n.size = int(v.Raw.Offset), int(v.Raw.Length)
	}
	switch v.Kind {
	case unstable.String:
		n.value = string(v.Data)
	case unstable.Integer:
		i, err := strconv.ParseInt(strings.ReplaceAll(string(v.Data), "_", ""), 0, 64)
		n.value = i
		if err != nil {
			n.value = other("number")
		}
	case unstable.Float:
		f, err := strconv.ParseFloat(strings.ReplaceAll(string(v.Data), "_", ""), 64)
		n.value = f
		if err != nil {
			n.value = other("number")
		}
	case unstable.Bool:
		n.value = string(v.Data) == "true"
	case unstable.Array:
		elements := []*node{}
		for it := v.Children(); it.Next(); {
			e := &node{}
			s.fill(e, it.Node(), start)
			e.at, e.width = e.start, e.size
			elements = append(elements, e)
		}
		n.value = elements
	case unstable.InlineTable:
		t := &table{inline: true}
		for it := v.Children(); it.Next(); {
			s.insert(t, it.Node())
		}
		n.value = t
	default:
		n.value = other("date or time")
	}
}

// offset is the place of a line and a column in bytes, both from 1.
func (s *source) offset(line, column int) int {
	at := 0
	for ; line > 1; line-- {
		next := bytes.IndexByte(s.text[at:], '\n')
		if next < 0 {
			break
		}
		at += next + 1
	}
	return min(at+column-1, len(s.text))
}
