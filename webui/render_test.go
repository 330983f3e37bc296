package webui

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"
)

var contentHash = regexp.MustCompile(`(/static/[a-z]+)\.[0-9a-f]{12}\.([a-z]+)`)

var update = flag.Bool("update", false, "write the golden files anew")

// Each page with canned data is what its golden file says. After a change of a page: go test ./webui -update,
// and look at the difference and at the screenshots.
func TestGolden(t *testing.T) {
	pages, err := NewPages()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range canned() {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := pages.Render(&b, c.page, c.view); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", "golden", name+".html")
			// The content of style and script is none of a page's.
			is := contentHash.ReplaceAll(b.Bytes(), []byte("$1.HASH.$2"))
			if *update {
				if err := os.WriteFile(file, is, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), string(is)); d != "" {
				t.Error(d)
			}
		})
	}
}

// What a pusher wrote must not become markup, and nothing in a page may need a policy that is not strict.
func TestPagesAreSafe(t *testing.T) {
	pages, err := NewPages()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range canned() {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := pages.Render(&b, c.page, c.view); err != nil {
				t.Fatal(err)
			}
			doc, err := html.Parse(&b)
			if err != nil {
				t.Fatal(err)
			}
			ids := map[string]bool{}
			for n := range doc.Descendants() {
				if n.Type != html.ElementNode {
					continue
				}
				scripted := n.Data == "script" && n.FirstChild != nil
				if scripted || n.Data == "style" || n.Data == "b" && strings.HasPrefix(text(n), "\"") {
					t.Errorf("<%s> with content: %s", n.Data, text(n))
				}
				for _, a := range n.Attr {
					if a.Key == "style" || strings.HasPrefix(a.Key, "on") || strings.HasPrefix(a.Val, "javascript:") {
						t.Errorf("<%s %s=%q>", n.Data, a.Key, a.Val)
					}
					if a.Key == "id" {
						if ids[a.Val] {
							t.Errorf("two elements have the id %q", a.Val)
						}
						ids[a.Val] = true
					}
				}
			}
		})
	}
}

func text(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return b.String()
}
