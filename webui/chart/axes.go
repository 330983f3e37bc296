package chart

import (
	"fmt"
	"html/template"
	"math"
)

// The measures of a chart with axes, in pixels.
const (
	plotWidth  = 720
	plotHeight = 180
	leftRoom   = 52 // for the numbers of the vertical axis
	lowRoom    = 22 // for the labels of the horizontal one
	topRoom    = 8
)

// Axis says how the values of a chart are written.
type Axis struct {
	Labels []string             // one a value, below the plot; some are left out where they would overlap
	Write  func(float64) string // a value of the vertical axis; %g if nil
}

func (a Axis) write(v float64) string {
	if a.Write == nil {
		return fmt.Sprintf("%g", v)
	}
	return a.Write(v)
}

// Bars draws a stack of bars for each label, the first series lowest. Each bar has its label and values as
// its tooltip.
func Bars(name string, axis Axis, series ...Series) template.HTML {
	count := len(axis.Labels)
	top := 0.0
	for i := range count {
		sum := 0.0
		for _, s := range series {
			sum += value(s, i)
		}
		top = max(top, sum)
	}
	d, scale := axes("bars", name, axis, top)
	step := float64(plotWidth-leftRoom) / max(1, float64(count))
	for i, label := range axis.Labels {
		y, tip := scale(0), label
		stack := ""
		for _, s := range series {
			v := value(s, i)
			if v <= 0 {
				continue
			}
			h := scale(0) - scale(v)
			y -= h
			stack += fmt.Sprintf(`<rect class="%s" x="%s" y="%s" width="%s" height="%s"/>`, s.Class,
				num(leftRoom+float64(i)*step+step*0.12), num(y), num(max(1, step*0.76)), num(h))
			tip += fmt.Sprintf("\n%s: %s", s.Name, axis.write(v))
		}
		if stack != "" {
			fmt.Fprintf(d, `<g><title>%s</title>%s</g>`, template.HTMLEscapeString(tip), stack)
		}
	}
	d.labels(axis.Labels, func(i int) float64 { return leftRoom + (float64(i)+0.5)*step })
	return d.end()
}

func value(s Series, i int) float64 {
	if i >= len(s.Values) || math.IsNaN(s.Values[i]) {
		return 0
	}
	return s.Values[i]
}

// Lines draws series as lines over the labels, and a limit (NaN for none) as a line across with its name.
func Lines(name string, axis Axis, limit float64, limitName string, series ...Series) template.HTML {
	top := 0.0
	for _, s := range series {
		for i := range s.Values {
			top = max(top, value(s, i))
		}
	}
	if !math.IsNaN(limit) {
		top = max(top, limit*1.15)
	}
	d, scale := axes("lines", name, axis, top)
	step := float64(plotWidth-leftRoom) / max(1, float64(len(axis.Labels)-1))
	if !math.IsNaN(limit) {
		y := scale(limit)
		fmt.Fprintf(d, `<path class="limit" d="M%d %sH%d"/><text class="limit" x="%d" y="%s" text-anchor="end">%s</text>`,
			leftRoom, num(y), plotWidth, plotWidth, num(y-4), template.HTMLEscapeString(limitName))
	}
	for _, s := range series {
		d.path(s, func(i int, v float64) (x, y float64) { return leftRoom + float64(i)*step, scale(v) })
	}
	d.labels(axis.Labels, func(i int) float64 { return leftRoom + float64(i)*step })
	return d.end()
}

// axes draws the horizontal lines with their numbers and returns where a value is.
func axes(class, name string, axis Axis, top float64) (*drawing, func(float64) float64) {
	d := begin(class, name, plotWidth, plotHeight)
	step := round(top)
	top = max(step, math.Ceil(top/step-1e-9)*step)
	scale := func(v float64) float64 {
		return plotHeight - lowRoom - v/top*(plotHeight-lowRoom-topRoom)
	}
	for v := 0.0; v <= top+step/2; v += step {
		y := scale(v)
		fmt.Fprintf(d, `<path class="grid" d="M%d %sH%d"/><text x="%d" y="%s" text-anchor="end">%s</text>`,
			leftRoom, num(y), plotWidth, leftRoom-6, num(y+4), template.HTMLEscapeString(axis.write(v)))
	}
	return d, scale
}

// round returns a distance of 1, 2 or 5 times a power of ten that divides 0..top into three to six parts.
func round(top float64) float64 {
	if top <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(top)))
	for _, f := range []float64{0.2, 0.5, 1, 2} {
		if top/(power*f) <= 5 {
			return power * f
		}
	}
	return power * 2
}

// labels writes as many labels as there is room for.
func (d *drawing) labels(labels []string, at func(int) float64) {
	longest := 0
	for _, l := range labels {
		longest = max(longest, len([]rune(l)))
	}
	room := max(1, (plotWidth-leftRoom)/(longest*7+14))
	every := (len(labels) + room - 1) / room
	for i, l := range labels {
		if i%max(1, every) == 0 {
			fmt.Fprintf(d, `<text x="%s" y="%d" text-anchor="middle">%s</text>`, num(min(at(i), plotWidth-float64(longest)*3.5)), plotHeight-6, template.HTMLEscapeString(l))
		}
	}
}
