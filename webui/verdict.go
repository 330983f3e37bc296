package webui

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"slipway/deploy"
	"slipway/webui/chart"
)

// head is the head of a deployment's page: how it stands, and why.
func (s *Site) head(p *DeploymentPage, t *story, mayPush bool) {
	p.Deployment, p.State = t.Deployment, stateOf(t.Status)
	p.Going = !t.Status.Final()
	p.Took = took(t.QueuedAt, t.FinishedAt, p.Now)
	p.Sentence = s.sentence(t)
	if t.rejection != nil {
		p.Hint, p.Tail = t.rejection.Hint, t.rejection.Tail
	}
	p.Regression = t.regression
	p.MayCancel = mayPush && t.running && p.Going && t.SwitchedAt.IsZero()
	p.MayAgain = mayPush && t.Status.Final()
	p.MayMark = mayPush && t.Status == deploy.StatusAccepted
}

// sentence says in one sentence what became of a deployment, as its pusher read it, and in another what
// production did.
func (s *Site) sentence(t *story) string {
	switch t.Status {
	case deploy.StatusQueued:
		return "It waits for its turn."
	case deploy.StatusRunning:
		if stage, ok := t.now(); ok {
			return "In work: " + doing(stage.Name) + "."
		}
		return "In work."
	case deploy.StatusAccepted:
		if !t.RefMoved {
			return "Accepted: " + s.Places.App(t.App) + " got " + t.New.Short() + ", and " + t.Ref.Short() + " is about to move."
		}
		return "Accepted: " + s.Places.App(t.App) + " got " + t.New.Short() + ", and " + t.Ref.Short() + " moved to it."
	}
	reason := t.Reason
	if reason == "" {
		reason = "no reason was recorded"
	}
	return begin(stateOf(t.Status).Word) + ": " + strings.TrimSuffix(reason, ".") + ". " + production(t)
}

// production says what production did while a deployment was not accepted.
func production(t *story) string {
	before := "what served before"
	if t.Previous != 0 && !t.Old.IsZero() {
		before = t.Old.Short() + " (deployment " + t.Previous.String() + ")"
	}
	switch {
	case !t.SwitchedAt.IsZero() && t.RolledBackAt.IsZero():
		return "Whether production went back to " + before + " is not recorded."
	case t.Previous == 0:
		return "Nothing was in production before it."
	case !t.SwitchedAt.IsZero():
		return "Production went back to " + before + "."
	}
	return "Production stayed at " + before + "."
}

// begin writes a word as the first of a sentence.
func begin(word string) string {
	first, size := utf8.DecodeRuneInString(word)
	return string(unicode.ToUpper(first)) + word[size:]
}

// doing says what is done in a stage.
func doing(name deploy.StageName) string {
	switch name {
	case deploy.StageCheckout:
		return "the revision is being checked out"
	case deploy.StageBuild:
		return "it is being built"
	case deploy.StageRelease:
		return "it is being made a release"
	case deploy.StageSwitch:
		return "traffic is being switched to it"
	case deploy.StageMonitor:
		return "it serves, and is being watched"
	}
	if set, ok := strings.CutPrefix(string(name), string(deploy.StageTest)+"."); ok {
		return "test set " + set + " runs"
	}
	return string(name)
}

// barStep is in which steps the bars of stages grow that run.
const barStep = 2 * time.Second

// timeline are the stages as rows, each with its bar from the first one's beginning on.
func timeline(t *story, now time.Time) []StageRow {
	if len(t.stages) == 0 {
		return nil
	}
	start, end := t.stages[0].StartedAt, t.FinishedAt
	for _, s := range t.stages {
		if t.FinishedAt.IsZero() && s.FinishedAt.After(end) {
			end = s.FinishedAt
		}
	}
	reached := start.Add(took(start, time.Time{}, now).Truncate(barStep) + barStep)
	if _, going := t.now(); going {
		end = reached
	}
	total := end.Sub(start).Seconds()
	rows := make([]StageRow, 0, len(t.stages))
	for _, s := range t.stages {
		state := stageState(t, s)
		to := s.FinishedAt
		if to.IsZero() {
			to = reached
		}
		rows = append(rows, StageRow{
			Name: s.Name, State: state, Going: state.Class == "run", Took: took(s.StartedAt, s.FinishedAt, now), Reason: s.Reason,
			Bar: chart.Span(string(s.Name), state.Class, s.StartedAt.Sub(start).Seconds(), to.Sub(start).Seconds(), total),
		})
	}
	return rows
}

// stageState is how a stage stands. One without an end whose deployment does not run was cut off.
func stageState(t *story, s deploy.StageRecord) State {
	if s.Outcome == "" && t.Status.Final() {
		return State{"warn", "–", "interrupted"}
	}
	return outcomeOf(s.Outcome)
}
