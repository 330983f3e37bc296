package webui

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"math"
	"time"

	"slipway/deploy"
	"slipway/webui/chart"
)

// measured is what a watch has measured, as far as its file was read.
type measured struct {
	offset int64 // bytes that were read: whole lines
	start  time.Time
	last   time.Duration // of the last look, since start
	looks  int
	checks []deploy.Check
	lines  []reading
}

// reading is a check's numbers over time, in at most [maxPoints] parts of the same length.
type reading struct {
	check string
	limit float64
	every time.Duration
	worst []float64 // of each part; NaN for one without
}

const (
	maxPoints    = 240
	firstPart    = 250 * time.Millisecond
	maxMeasuring = 64 << 10 // bytes of one line
)

// read takes in the whole lines up to size. What is no measurement is left out: the charts are pictures of
// the file, not its judge.
func (m *measured) read(r io.ReaderAt, size int64) error {
	in := bufio.NewReaderSize(io.NewSectionReader(r, m.offset, size-m.offset), maxMeasuring)
	for {
		line, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			m.offset += int64(len(line))
			continue
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading measurements: %w", err)
		}
		m.offset += int64(len(line))
		var one struct {
			At       time.Time
			Checks   []deploy.Check
			Readings []deploy.Reading
		}
		if json.Unmarshal(line, &one) == nil && !one.At.IsZero() {
			m.add(one.At, one.Checks, one.Readings)
		}
	}
}

func (m *measured) add(at time.Time, checks []deploy.Check, readings []deploy.Reading) {
	if m.start.IsZero() {
		m.start = at
	}
	m.last = max(m.last, at.Sub(m.start))
	m.looks++
	m.checks = checks
	for _, r := range readings {
		m.line(r.Check).add(m.last, r)
	}
}

func (m *measured) line(check string) *reading {
	for i := range m.lines {
		if m.lines[i].check == check {
			return &m.lines[i]
		}
	}
	m.lines = append(m.lines, reading{check: check, every: firstPart})
	return &m.lines[len(m.lines)-1]
}

func (r *reading) add(at time.Duration, v deploy.Reading) {
	r.limit = v.Limit
	for at/r.every >= maxPoints {
		r.halve()
	}
	for i := len(r.worst); i <= int(at/r.every); i++ {
		r.worst = append(r.worst, math.NaN())
	}
	i := int(at / r.every)
	if math.IsNaN(r.worst[i]) || v.Value > r.worst[i] {
		r.worst[i] = v.Value
	}
}

// halve makes each two parts one.
func (r *reading) halve() {
	var half []float64
	for i, v := range r.worst {
		if i%2 == 0 {
			half = append(half, v)
		} else if last := &half[i/2]; math.IsNaN(*last) || v > *last {
			*last = v
		}
	}
	r.worst, r.every = half, 2*r.every
}

// checkRows are the checks as they stand.
func checkRows(checks []deploy.Check) []CheckRow {
	var rows []CheckRow
	for _, c := range checks {
		rows = append(rows, CheckRow{c.Name, outcomeOf(c.Outcome), c.Detail})
	}
	return rows
}

// kind is how the numbers of a check are drawn.
type kind struct {
	name  string
	class string
	scale float64 // what a number is multiplied by to be written
	unit  string  // after it
}

// kindOf returns how a check's numbers are drawn, false for one that has none.
func kindOf(check string) (kind, bool) {
	switch check {
	case "memory":
		return kind{"Memory", "memory", 1.0 / (1 << 20), " MiB"}, true
	case "cpu":
		return kind{"CPU, average so far", "cpu", 1, " cores"}, true
	case "errors":
		return kind{"Failed requests", "errors", 100, "%"}, true
	case "probe":
		return kind{"Time of a probe", "probe", 1000, " ms"}, true
	}
	return kind{}, false
}

func (k kind) write(v float64) string { return fmt.Sprintf("%.4g%s", v, k.unit) }

// charts draws what was measured, each with its limit and its table.
func (m *measured) charts() []Chart {
	var all []Chart
	for i := range m.lines {
		r := &m.lines[i]
		if k, ok := kindOf(r.check); ok {
			all = append(all, Chart{k.name, r.draw(k), r.table(k)})
		}
	}
	return all
}

func (r *reading) draw(k kind) template.HTML {
	axis := chart.Axis{Write: k.write}
	values := make([]float64, len(r.worst))
	gap := math.NaN()
	for i, v := range r.worst {
		if math.IsNaN(v) { // a look takes its time, so parts without one are no gaps
			v = gap
		}
		gap = v
		values[i] = v * k.scale
		axis.Labels = append(axis.Labels, r.after(i))
	}
	limit, name := math.NaN(), ""
	if r.limit > 0 {
		limit = r.limit * k.scale
		name = "limit " + k.write(limit)
	}
	return chart.Lines(k.name, axis, limit, name, chart.Series{Class: k.class, Values: values})
}

// after is when the part i began.
func (r *reading) after(i int) string {
	return fmt.Sprintf("%g s", (time.Duration(i) * r.every).Seconds())
}

// maxRows is how many rows the table of a chart has.
const maxRows = 20

func (r *reading) table(k kind) *Table {
	t := &Table{Head: []string{"After", k.name}}
	if r.limit > 0 {
		t.Head = append(t.Head, "At most")
	}
	every := (len(r.worst) + maxRows - 1) / maxRows
	for i := 0; i < len(r.worst); i += max(1, every) {
		worst := math.NaN()
		for _, v := range r.worst[i:min(len(r.worst), i+every)] {
			if math.IsNaN(worst) || v > worst {
				worst = v
			}
		}
		if math.IsNaN(worst) {
			continue
		}
		row := []string{r.after(i), k.write(worst * k.scale)}
		if r.limit > 0 {
			row = append(row, k.write(r.limit*k.scale))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}
