package webui

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io"
	"path"
	"strings"
	"time"

	"slipway/deploy"
)

//go:embed templates
var templates embed.FS

// Pages renders view structs. It is safe for concurrent use.
type Pages struct {
	assets *assets
	pages  map[string]*template.Template
}

// The files that every page is parsed with, beside its own.
func partials() []string { return []string{"layout.html", "berth.html", "events.html"} }

// NewPages parses the embedded templates.
func NewPages() (*Pages, error) {
	files, err := readAssets()
	if err != nil {
		return nil, err
	}
	p := &Pages{assets: files, pages: map[string]*template.Template{}}
	base := template.New("").Option("missingkey=error").Funcs(p.functions())
	for _, name := range partials() {
		if base, err = base.ParseFS(templates, "templates/"+name); err != nil {
			return nil, fmt.Errorf("parsing the templates: %w", err)
		}
	}
	names, err := templates.ReadDir("templates")
	if err != nil {
		return nil, fmt.Errorf("reading the templates: %w", err)
	}
	for _, file := range names {
		page, err := base.Clone()
		if err == nil {
			page, err = page.ParseFS(templates, "templates/"+file.Name())
		}
		if err != nil {
			return nil, fmt.Errorf("parsing the templates: %w", err)
		}
		p.pages[strings.TrimSuffix(file.Name(), path.Ext(file.Name()))] = page
	}
	return p, nil
}

// Render writes a page, or nothing if that fails: it is whole before its first byte is written.
func (p *Pages) Render(w io.Writer, page string, view any) error {
	return p.fragment(w, page, "layout", view)
}

// fragment writes a part of a page, for the live update of it.
func (p *Pages) fragment(w io.Writer, page, name string, view any) error {
	t, ok := p.pages[page]
	if !ok {
		return fmt.Errorf("no page %q", page)
	}
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, name, view); err != nil {
		return fmt.Errorf("rendering %s: %w", page, err)
	}
	_, err := b.WriteTo(w)
	return err
}

// functions are what templates may call. They write; they do not look anything up.
func (p *Pages) functions() template.FuncMap {
	return template.FuncMap{
		"asset":    p.assets.address,
		"zone":     func() string { return "UTC" },
		"when":     when,
		"stamp":    stamp,
		"span":     span,
		"clock":    clock,
		"count":    count,
		"slug":     func(name string) string { return strings.ReplaceAll(strings.ToLower(name), " ", "-") },
		"sentence": sentence,
		"short":    func(o deploy.OID) string { return o.Short() },
		"link": func(section, href, word, present string) navigation {
			return navigation{href, word, section == present}
		},
		"within": func(page framed, b Berth) placed { return placed{page.frame().Now, b} },
		"rows":   func(now time.Time, rows []DeploymentRow) table { return table{now, rows} },
		"events": func(rows []EventRow) eventTable { return eventTable{rows} },
	}
}

// What the functions hand to partials.
type (
	navigation struct {
		Href, Word string
		Present    bool
	}
	placed struct {
		Now time.Time
		Of  Berth
	}
	table struct {
		Now  time.Time
		Rows []DeploymentRow
	}
	eventTable struct{ Events []EventRow }
)

// framed is every page.
type framed interface{ frame() Frame }

func (f Frame) frame() Frame { return f }

// when says how long ago a moment was, with the moment itself for who wants to know.
func when(now, t time.Time) template.HTML {
	if t.IsZero() {
		return "–"
	}
	return moment(t, ago(now.Sub(t)))
}

// stamp writes a moment.
func stamp(t time.Time) template.HTML {
	if t.IsZero() {
		return "–"
	}
	return moment(t, t.UTC().Format("2006-01-02 15:04:05"))
}

// moment is a time element. What it is given was written by this file.
func moment(t time.Time, text string) template.HTML {
	at := t.UTC().Format(time.RFC3339)
	return template.HTML(`<time datetime="` + at + `" title="` + at + `">` + text + `</time>`)
}

// ago writes an age in its largest unit.
func ago(age time.Duration) string {
	switch {
	case age < 10*time.Second:
		return "just now"
	case age < time.Minute:
		return fmt.Sprintf("%d s ago", int(age.Seconds()))
	case age < time.Hour:
		return fmt.Sprintf("%d min ago", int(age.Minutes()))
	case age < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(age.Hours()))
	}
	return fmt.Sprintf("%d days ago", int(age.Hours()/24))
}

// span writes how long something took: to a tenth of a second below ten, then to the second.
func span(d time.Duration) string {
	switch {
	case d >= 10*time.Second && d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%d min %02d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d h %02d min", int(d.Hours()), int(d.Minutes())%60)
}

// clock is span for what has not ended: a script lets it go on.
func clock(d time.Duration) template.HTML {
	return template.HTML(fmt.Sprintf(`<span data-elapsed="%.1f">%s</span>`, d.Seconds(), span(d)))
}

// sentence writes a message of the server, which begins small and has no end, as a sentence.
func sentence(text string) string {
	if text == "" || strings.Contains(text, "\n") {
		return text
	}
	return strings.TrimSuffix(begin(text), ".") + "."
}

// count writes a number with its noun: 1 app, 1,204 lines.
func count(n int, noun string) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	if n != 1 {
		noun += "s"
	}
	return s + " " + noun
}
