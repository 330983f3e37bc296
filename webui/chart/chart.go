// Package chart draws small SVG charts on the server: a spark line, stacked bars a day, a line with its limit,
// and the bar of a span within a longer one. They carry no colours: every shape has a class, and a stylesheet
// gives it one for light and one for dark. Nothing in them needs a script or an inline style.
//
// A chart is a picture of numbers that stand beside it as text or as a table, so it has a name for screen
// readers and no more. The package knows nothing of the product. Start reading at [Spark].
package chart

import (
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"
)

// Series is a row of values that are drawn alike. A NaN is a gap.
type Series struct {
	Class  string // for the stylesheet: letters, digits and hyphens
	Name   string
	Sign   string // a mark for those who do not tell the colours apart; "" for none
	Values []float64
}

// drawing collects the elements of one SVG.
type drawing struct {
	strings.Builder
	left, right float64 // where the plot begins and ends, of a chart with axes
	low         float64 // what is below it
}

// begin opens the picture. Its user units are pixels at its natural size; the stylesheet may scale it.
func begin(class, name string, width, height float64) *drawing {
	d := &drawing{}
	fmt.Fprintf(d, `<svg class="chart %s" role="img" aria-label="%s" viewBox="0 0 %s %s" width="%s" height="%s">`,
		class, template.HTMLEscapeString(name), num(width), num(height), num(width), num(height))
	return d
}

// stretch makes the picture fill whatever room it is given: what was drawn so far is its opening tag.
func (d *drawing) stretch() {
	opening := strings.TrimSuffix(d.String(), ">")
	d.Reset()
	d.WriteString(opening + ` preserveAspectRatio="none">`)
}

// end closes it. What it holds was written by this package, with every text escaped.
func (d *drawing) end() template.HTML {
	d.WriteString("</svg>")
	return template.HTML(d.String())
}

// num writes a coordinate with at most one decimal, as short as can be.
func num(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "0"
	}
	s := strconv.FormatFloat(v, 'f', 1, 64)
	s = strings.TrimSuffix(s, ".0")
	if s == "-0" {
		return "0"
	}
	return s
}

// Spark draws series over one another as thin lines without axes. The vertical scale begins at zero and
// ends at the largest value of all series.
func Spark(name string, width, height float64, series ...Series) template.HTML {
	d := begin("spark", name, width, height)
	top := highest(series)
	fmt.Fprintf(d, `<path class="base" d="M0 %sH%s"/>`, num(height-0.5), num(width))
	for _, s := range series {
		d.path(s, func(i int, v float64) (x, y float64) {
			return float64(i) * width / max(1, float64(len(s.Values)-1)), height - 1 - v/top*(height-2)
		})
	}
	return d.end()
}

// Legend tells what the series of a chart are: each by its mark on its colour, and its name. The first is the
// lowest of a stack.
func Legend(series ...Series) template.HTML {
	var d drawing
	d.WriteString(`<ul class="legend">`)
	for _, s := range series {
		fmt.Fprintf(&d, `<li><svg class="chart" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true"><rect class="%s" width="16" height="16" rx="2"/>`, s.Class)
		d.sign(s.Sign, 8, 8)
		fmt.Fprintf(&d, `</svg> %s</li>`, template.HTMLEscapeString(s.Name))
	}
	d.WriteString("</ul>")
	return template.HTML(d.String())
}

// sign writes a mark with its middle at x, y.
func (d *drawing) sign(sign string, x, y float64) {
	if sign != "" {
		fmt.Fprintf(d, `<text class="sign" x="%s" y="%s" text-anchor="middle" aria-hidden="true">%s</text>`, num(x), num(y+4), template.HTMLEscapeString(sign))
	}
}

// path draws a series as one line, broken at gaps.
func (d *drawing) path(s Series, at func(int, float64) (x, y float64)) {
	var p strings.Builder
	pen, points := "M", 0
	for i, v := range s.Values {
		if math.IsNaN(v) {
			pen = "M"
			continue
		}
		x, y := at(i, v)
		p.WriteString(pen + num(x) + " " + num(y))
		pen, points = "L", points+1
	}
	if points == 1 { // a line of one point is not to be seen, but with round ends
		p.WriteString("h0")
	}
	if p.Len() > 0 {
		fmt.Fprintf(d, `<path class="line %s" d="%s"/>`, s.Class, p.String())
	}
}

// highest is the largest value, never zero.
func highest(series []Series) float64 {
	top := 0.0
	for _, s := range series {
		for _, v := range s.Values {
			if !math.IsNaN(v) {
				top = max(top, v)
			}
		}
	}
	if top == 0 {
		return 1
	}
	return top
}

// Span draws the part from..to of 0..total as a bar in a row, full width for all. Bars that are too short to
// be seen are drawn two pixels wide.
func Span(name, class string, from, to, total float64) template.HTML {
	const width, height = 600, 10
	d := begin("span", name, width, height)
	if total <= 0 {
		total = 1
	}
	x := min(from/total*width, width-2)
	w := max((to-from)/total*width, 2)
	d.stretch()
	fmt.Fprintf(d, `<rect class="track" x="0" y="4" width="%d" height="2"/>`, width)
	fmt.Fprintf(d, `<rect class="%s" x="%s" y="0" width="%s" height="%d" rx="2"/>`, class, num(x), num(min(w, width-x)), height)
	return d.end()
}
