package chart_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"html/template"
	"io"
	"math"
	"strings"
	"testing"

	"slipway/webui/chart"
)

// whole fails where a picture is no well-formed XML, or has what a strict content policy forbids.
func whole(t *testing.T, svg template.HTML) string {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(string(svg)))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in %s", err, svg)
		}
		if e, ok := token.(xml.StartElement); ok {
			for _, a := range e.Attr {
				if a.Name.Local == "style" || strings.HasPrefix(a.Name.Local, "on") || strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") {
					t.Errorf("<%s %s=%q>", e.Name.Local, a.Name.Local, a.Value)
				}
			}
		}
	}
	return string(svg)
}

func TestSpark(t *testing.T) {
	svg := whole(t, chart.Spark(`requests of "shop"`, 100, 20, chart.Series{Class: "requests", Values: []float64{0, 5, math.NaN(), 10, 0}}))
	if want := `<path class="line requests" d="M0 19L25 10M75 1L100 19"/>`; !strings.Contains(svg, want) {
		t.Errorf("want %s in\n%s", want, svg)
	}
	if !strings.Contains(svg, `aria-label="requests of &#34;shop&#34;"`) {
		t.Errorf("no name in %s", svg)
	}
}

func TestNothingToDraw(t *testing.T) {
	for name, svg := range map[string]template.HTML{
		"spark":    chart.Spark("none", 100, 20),
		"one":      chart.Spark("one", 100, 20, chart.Series{Values: []float64{0}}),
		"bars":     chart.Bars("none", chart.Axis{}),
		"lines":    chart.Lines("none", chart.Axis{}, math.NaN(), ""),
		"gaps":     chart.Lines("gaps", chart.Axis{Labels: []string{"a"}}, 0, "limit 0", chart.Series{Values: []float64{math.NaN()}}),
		"span":     chart.Span("none", "pass", 0, 0, 0),
		"infinite": chart.Span("odd", "pass", math.Inf(1), math.NaN(), 1),
	} {
		t.Run(name, func(t *testing.T) { whole(t, svg) })
	}
}

func TestBars(t *testing.T) {
	svg := whole(t, chart.Bars("deployments a day", chart.Axis{Labels: []string{"Mon <1>", "Tue"}},
		chart.Series{Class: "accepted", Name: "accepted", Values: []float64{3, 0}},
		chart.Series{Class: "rejected", Name: "rejected", Values: []float64{1}}))
	for _, want := range []string{"<title>Mon &lt;1&gt;\naccepted: 3\nrejected: 1</title>", `class="accepted"`, `>4</text>`} {
		if !strings.Contains(svg, want) {
			t.Errorf("want %s in\n%s", want, svg)
		}
	}
	if n := strings.Count(svg, "<rect"); n != 2 {
		t.Errorf("%d bars, want 2: a day without any has none", n)
	}
}

// Who does not tell colours apart reads the marks: in the legend always, in a bar where there is room.
func TestMarks(t *testing.T) {
	series := []chart.Series{{Class: "accepted", Name: "accepted", Sign: "✓", Values: []float64{30}}, {Class: "rejected", Name: "<rejected>", Sign: "✗", Values: []float64{1}}}
	mark := func(sign string) string { return `aria-hidden="true">` + sign + `</text>` }
	svg := whole(t, chart.Bars("days", chart.Axis{Labels: []string{"Mon"}}, series...))
	if !strings.Contains(svg, mark("✓")) || strings.Contains(svg, mark("✗")) {
		t.Errorf("want a mark in the long bar alone:\n%s", svg)
	}
	legend := whole(t, chart.Legend(series...))
	for _, want := range []string{mark("✓") + "</svg> accepted</li>", mark("✗") + "</svg> &lt;rejected&gt;</li>"} {
		if !strings.Contains(legend, want) {
			t.Errorf("want %s in\n%s", want, legend)
		}
	}
}

// Names are all there, also where only every second would fit in a row; numbers of things are whole.
func TestNames(t *testing.T) {
	axis := chart.Axis{Names: true}
	for i := range 9 {
		axis.Labels = append(axis.Labels, fmt.Sprintf("test.integration%d", i))
	}
	svg := whole(t, chart.Bars("rejections", axis, chart.Series{Class: "rejected", Values: []float64{1, 0, 1}}))
	for _, l := range axis.Labels {
		if !strings.Contains(svg, ">"+l+"</text>") {
			t.Errorf("%s is left out", l)
		}
	}
	if strings.Contains(svg, ">0.") || !strings.Contains(svg, ">1</text>") {
		t.Errorf("an axis of whole numbers has parts of them:\n%s", svg)
	}
}

// The numbers of an axis have the room that they need.
func TestLongNumbers(t *testing.T) {
	svg := whole(t, chart.Lines("cpu", chart.Axis{Labels: []string{"0 s"}, Write: func(v float64) string { return fmt.Sprintf("%.2f cores", v) }}, math.NaN(), "",
		chart.Series{Class: "cpu", Values: []float64{0.1}}))
	if !strings.Contains(svg, `<text x="74" y=`) || !strings.Contains(svg, `d="M80 `) {
		t.Errorf("0.05 cores does not fit beside the plot:\n%s", svg)
	}
}

func TestLimitIsInThePicture(t *testing.T) {
	svg := whole(t, chart.Lines("memory", chart.Axis{Labels: []string{"0 s", "1 s"}, Write: func(v float64) string { return fmt.Sprintf("%g MiB", v) }},
		256, "limit 256 MiB", chart.Series{Class: "memory", Values: []float64{10, 20}}))
	if !strings.Contains(svg, `>limit 256 MiB</text>`) || !strings.Contains(svg, `>300 MiB</text>`) {
		t.Errorf("no limit, or an axis that does not reach it, in\n%s", svg)
	}
}

// A month has more labels than there is room for.
func TestLabelsDoNotOverlap(t *testing.T) {
	var labels []string
	for i := range 84 {
		labels = append(labels, fmt.Sprintf("2026-11-%02d", i))
	}
	svg := whole(t, chart.Bars("days", chart.Axis{Labels: labels}))
	if n := strings.Count(svg, "2026-11-"); n < 4 || n > 9 {
		t.Errorf("%d labels of 84 are drawn, want 4 to 9", n)
	}
}
