package webui

import (
	"html/template"
	"time"

	"slipway/deploy"
)

// DeploymentPage is /deployments/{n}.
type DeploymentPage struct {
	Frame
	deploy.Deployment
	State       State
	Headline    string // accepted, rejected in test.unit, …
	Sentence    string // the one that the pusher read
	Hint        string
	Tail        []string // what the failing output said last
	Took        time.Duration
	Going       bool // it has not ended
	Stages      []StageRow
	Logs        []Log
	Checks      []CheckRow
	Watch       []Chart
	Commits     []CommitRow
	MoreCommits bool
	Diff        Diff
	Events      []EventRow
	Transcript  Log
	Regression  *deploy.Regression
	MayCancel   bool
	MayAgain    bool
	MayMark     bool
}

// StageRow is a stage in the timeline.
type StageRow struct {
	Name   deploy.StageName
	State  State
	Took   time.Duration
	Going  bool   // it has not ended
	Reason string // why it failed
	Bar    template.HTML
}

// Log is a stage's log, or as much of it as is shown at first.
type Log struct {
	Name   string // of the stage, or transcript
	State  State
	Took   time.Duration
	Going  bool // its stage has not ended
	Open   bool
	Live   bool  // more is coming
	Total  int   // lines
	Before int   // lines left out above those shown
	Places []int // where the blocks of those begin, for a script to fill; none if they are too many
	Lines  []Line
	Whole  string // the address of all of it as text
	Page   string // the address of it on a page of its own
}

// AtEnd tells whether a reader who opens the log sees its end first: more is coming, or the beginning is far.
func (l Log) AtEnd() bool { return l.Live || l.Before > 0 }

// Shown is the HTML of the lines.
func (l Log) Shown() template.HTML { return blocks(l.Name, l.Lines) }

// Line is a line of a log.
type Line struct {
	Number int
	HTML   template.HTML
}

// CheckRow is a check of the watch.
type CheckRow struct {
	Name   string
	State  State
	Detail string
}

// Chart is a picture with its name.
type Chart struct {
	Name  string
	SVG   template.HTML
	Table *Table
}

// Table is the numbers of a chart.
type Table struct {
	Head []string
	Rows [][]string
}

// CommitRow is a commit that the deployment brought.
type CommitRow struct {
	OID deploy.OID
	deploy.Commit
}

// Diff is what the deployment changed, line by line.
type Diff struct {
	Files   int
	Added   int
	Removed int
	Lines   []DiffLine
	Cut     bool   // there is more than is shown
	Absent  string // why there is none
}

// DiffLine is a line of a diff.
type DiffLine struct {
	Class string // file, hunk, added, removed or ""
	Text  string
}

// EventRow is an event of the audit log.
type EventRow struct {
	deploy.Event
	Data string // its data as indented JSON; "" for none
}

// LogPage is /deployments/{n}/log/{stage}: a window of a log's lines.
type LogPage struct {
	Frame
	Number    deploy.Number
	App       deploy.AppName
	Log       Log
	From, To  int // lines shown
	Previous  string
	Following string
}
