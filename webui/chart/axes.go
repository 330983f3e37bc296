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
	sideRoom   = 28 // at least, for the numbers of the vertical axis
	widest     = 72 // bar
	signRoom   = 12 // that a mark needs, in width and in height
	letter     = 7  // the width of a letter, rather too much
	lowRoom    = 22 // for the labels of the horizontal one
	nameRoom   = 14 // for a second row of them
	topRoom    = 8
)

// Axis says how the values of a chart are written.
type Axis struct {
	Labels []string             // one a value, below the plot; some are left out where they would overlap
	Names  bool                 // no label is left out: in two rows there is room for twice as many
	Write  func(float64) string // a value of the vertical axis; if nil they are whole numbers
}

func (a Axis) write(v float64) string {
	if a.Write == nil {
		return fmt.Sprintf("%g", v)
	}
	return a.Write(v)
}

// Bars draws a stack of bars for each label, the first series lowest. Each bar has its label and values as
// its tooltip. Labels that are no names are days or the like, the newest last: the numbers of the vertical axis
// stand there, so that whoever sees only the end of a wide chart sees them, too.
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
	class := "bars"
	if !axis.Names {
		class += " days"
	}
	d, scale := axes(class, name, axis, top, !axis.Names)
	step := (d.right - d.left) / max(1, float64(count))
	for i, label := range axis.Labels {
		y, tip := scale(0), label
		stack := &drawing{}
		for _, s := range series {
			v := value(s, i)
			if v <= 0 {
				continue
			}
			h := scale(0) - scale(v)
			y -= h
			width := min(max(1, step*0.76), widest)
			x := d.left + (float64(i)+0.5)*step - width/2
			fmt.Fprintf(stack, `<rect class="%s" x="%s" y="%s" width="%s" height="%s"/>`, s.Class, num(x), num(y), num(width), num(h))
			if h >= signRoom && width >= signRoom {
				stack.sign(s.Sign, x+width/2, y+h/2)
			}
			tip += fmt.Sprintf("\n%s: %s", s.Name, axis.write(v))
		}
		if stack.Len() > 0 {
			fmt.Fprintf(d, `<g><title>%s</title>%s</g>`, template.HTMLEscapeString(tip), stack.String())
		}
	}
	d.labels(axis, func(i int) float64 { return d.left + (float64(i)+0.5)*step })
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
	d, scale := axes("lines", name, axis, top, false)
	step := (d.right - d.left) / max(1, float64(len(axis.Labels)-1))
	for _, s := range series {
		d.path(s, func(i int, v float64) (x, y float64) { return d.left + float64(i)*step, scale(v) })
	}
	if !math.IsNaN(limit) { // over the lines: its name has a rim that keeps them off
		y := scale(limit)
		fmt.Fprintf(d, `<path class="limit" d="M%s %sH%s"/><text class="limit" x="%s" y="%s">%s</text>`,
			num(d.left), num(y), num(d.right), num(d.left+6), num(y-5), template.HTMLEscapeString(limitName))
	}
	d.labels(axis, func(i int) float64 { return d.left + float64(i)*step })
	return d.end()
}

// axes draws the horizontal lines with their numbers, at their end or before them, and returns where a value is.
func axes(class, name string, axis Axis, top float64, atEnd bool) (*drawing, func(float64) float64) {
	d := begin(class, name, plotWidth, plotHeight)
	step := round(top)
	if axis.Write == nil {
		step = max(1, step)
	}
	d.low = lowRoom
	if axis.Names {
		d.low += nameRoom
	}
	top = max(step, math.Ceil(top/step-1e-9)*step)
	scale := func(v float64) float64 {
		return plotHeight - d.low - v/top*(plotHeight-d.low-topRoom)
	}
	room := float64(sideRoom)
	for v := 0.0; v <= top+step/2; v += step {
		room = max(room, float64(len([]rune(axis.write(v)))*letter+10))
	}
	d.left, d.right = room, plotWidth
	x, anchor := room-6, "end"
	if atEnd {
		d.left, d.right = 0, plotWidth-room
		x, anchor = d.right+6, "start"
	}
	for v := 0.0; v <= top+step/2; v += step {
		y := scale(v)
		fmt.Fprintf(d, `<path class="grid" d="M%s %sH%s"/><text x="%s" y="%s" text-anchor="%s">%s</text>`,
			num(d.left), num(y), num(d.right), num(x), num(y+4), anchor, template.HTMLEscapeString(axis.write(v)))
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

// labels writes as many labels as there is room for, or all of them in two rows.
func (d *drawing) labels(axis Axis, at func(int) float64) {
	longest := 0
	for _, l := range axis.Labels {
		longest = max(longest, len([]rune(l)))
	}
	room := max(1, int(d.right-d.left)/(longest*letter+14))
	every := max(1, (len(axis.Labels)+room-1)/room)
	for i, l := range axis.Labels {
		y := plotHeight - d.low + lowRoom - 6
		if axis.Names && every > 1 && i%2 == 1 {
			y += nameRoom
		}
		if axis.Names || i%every == 0 {
			fmt.Fprintf(d, `<text x="%s" y="%s" text-anchor="middle">%s</text>`, num(min(max(at(i), float64(len([]rune(l))*letter)/2), plotWidth-float64(longest)*letter/2)), num(y), template.HTMLEscapeString(l))
		}
	}
}
