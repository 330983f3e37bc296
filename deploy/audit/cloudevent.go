package audit

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"

	"slipway/deploy"
)

// cloudEvent is a line in the JSON format of CloudEvents 1.0, whose extension attributes have names of
// lower-case letters and digits, and values that are strings or small numbers. "sequence" and
// "recordedtime" are as CloudEvents' documented extensions of these names want them.
type cloudEvent struct {
	SpecVersion     string           `json:"specversion"`
	ID              string           `json:"id"`
	Source          string           `json:"source"`
	Type            deploy.EventType `json:"type"`
	Subject         string           `json:"subject,omitempty"`
	Time            time.Time        `json:"time"`
	DataContentType string           `json:"datacontenttype,omitempty"`

	RecordedTime time.Time `json:"recordedtime"`
	Sequence     string    `json:"sequence"` // of 20 digits: their order as strings is that of the events
	ActorType    string    `json:"actortype"`
	ActorName    string    `json:"actorname,omitempty"`
	ActorKey     string    `json:"actorkey,omitempty"`
	ActorIP      string    `json:"actorip,omitempty"`
	ActorOrigin  string    `json:"actororigin,omitempty"`
	App          string    `json:"app,omitempty"`
	Target       string    `json:"target,omitempty"`
	Ref          string    `json:"ref,omitempty"`
	Old          string    `json:"old,omitempty"`
	New          string    `json:"new,omitempty"`
	Deployment   string    `json:"deployment,omitempty"` // a string, since CloudEvents' integers have 32 bits
	Stage        string    `json:"stage,omitempty"`
	Outcome      string    `json:"outcome,omitempty"`
	Reason       string    `json:"reason,omitempty"`
	Prev         string    `json:"prev"`
	PreviousFile string    `json:"previousfile,omitempty"` // in a file's first line, as in the log
	PreviousSum  string    `json:"previoussha256,omitempty"`
	PreviousSize string    `json:"previouscount,omitempty"`

	Data json.RawMessage `json:"data,omitempty"`
}

// CloudEvent returns the line as one CloudEvent 1.0 in its JSON format, on one line without a newline.
// Characters that CloudEvents forbids in attributes, such as line breaks in a reason, become spaces.
func (l Line) CloudEvent() ([]byte, error) {
	e := l.Event
	c := cloudEvent{
		SpecVersion: specVersion, ID: attribute(e.ID), Source: attribute(l.Source), Type: attribute(e.Type), Subject: attribute(subject(e)),
		Time: e.At, RecordedTime: l.RecordedAt, Sequence: fmt.Sprintf("%020d", e.Sequence),
		ActorType: string(attribute(e.Actor.Type)), ActorName: attribute(e.Actor.Name), ActorKey: attribute(e.Actor.Key),
		ActorIP: attribute(e.Actor.IP), ActorOrigin: attribute(e.Actor.Origin),
		App: string(attribute(e.App)), Target: attribute(target(e)), Ref: string(attribute(e.Ref)),
		Old: string(attribute(e.Old)), New: string(attribute(e.New)),
		Stage: string(attribute(e.Stage)), Outcome: string(attribute(e.Outcome)), Reason: attribute(e.Reason),
		Prev: l.Prev, Data: e.Data,
	}
	if e.Deployment != 0 {
		c.Deployment = e.Deployment.String()
	}
	if len(e.Data) > 0 {
		c.DataContentType = "application/json"
	}
	if f := l.After; f != nil {
		c.PreviousFile, c.PreviousSum, c.PreviousSize = f.Name, f.SHA256, fmt.Sprint(f.Count)
	}
	b, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("writing event %d as a CloudEvent: %w", e.Sequence, err)
	}
	return b, nil
}

// attribute makes a value of what CloudEvents 1.0 (Type System, String) lets an attribute have: no
// control characters and no code points that Unicode calls noncharacters.
func attribute[S ~string](s S) S {
	return S(strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r&0xfffe == 0xfffe || (r >= 0xfdd0 && r <= 0xfdef) {
			return ' '
		}
		return r
	}, string(s))))
}
