package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"slipway/deploy"
)

// MaxLine is the most bytes that a line may have, its newline included.
const MaxLine = 64 << 10

// specVersion is the CloudEvents version whose attribute names the lines use.
const specVersion = "1.0"

// ErrTooLarge says that an event does not fit in a line. Nothing of it was written.
var ErrTooLarge = fmt.Errorf("event is larger than %d bytes", MaxLine)

// noHash is the prev of the very first line.
var noHash = strings.Repeat("0", 2*sha256.Size)

// Line is one line of the log: an event and what ties it to its place.
type Line struct {
	Event      deploy.Event
	Source     string    // the CloudEvents source: which server wrote it
	RecordedAt time.Time // when it was written; Event.At is when it happened
	Prev       string    // SHA-256 of the line before, as hexadecimal digits; zeros in the very first line
	After      *File     // the file before this one; nil but in a file's first line
}

// File identifies a finished file of the log.
type File struct {
	Name   string `json:"file"`
	SHA256 string `json:"sha256"`
	Count  uint64 `json:"count"` // of lines
}

// wire is a line as JSON. The order of its fields is the order in the file.
type wire struct {
	SpecVersion  string           `json:"specversion"`
	ID           string           `json:"id"`
	Source       string           `json:"source"`
	Type         deploy.EventType `json:"type"`
	Subject      string           `json:"subject,omitempty"`
	Time         time.Time        `json:"time"`
	RecordedTime time.Time        `json:"recordedtime"`
	Sequence     uint64           `json:"sequence"`
	Actor        deploy.Actor     `json:"actor"`
	App          deploy.AppName   `json:"app,omitempty"`
	Target       string           `json:"target,omitempty"` // app/environment
	Ref          deploy.RefName   `json:"ref,omitempty"`
	Old          deploy.OID       `json:"old,omitempty"`
	New          deploy.OID       `json:"new,omitempty"`
	Deployment   deploy.Number    `json:"deployment,omitempty"`
	Stage        deploy.StageName `json:"stage,omitempty"`
	Outcome      deploy.Outcome   `json:"outcome,omitempty"`
	Reason       string           `json:"reason,omitempty"`
	Data         json.RawMessage  `json:"data,omitempty"`
	Previous     *File            `json:"previous,omitempty"`
	Prev         string           `json:"prev"`
}

// Encode returns the line as it stands in the file, newline included. It returns [ErrTooLarge] if it
// does not fit.
func (l Line) Encode() ([]byte, error) {
	e := l.Event
	w := wire{
		SpecVersion: specVersion, ID: e.ID, Source: l.Source, Type: e.Type, Subject: subject(e),
		Time: e.At, RecordedTime: l.RecordedAt, Sequence: e.Sequence, Actor: e.Actor,
		App: e.App, Target: target(e), Ref: e.Ref, Old: e.Old, New: e.New,
		Deployment: e.Deployment, Stage: e.Stage, Outcome: e.Outcome, Reason: e.Reason,
		Data: e.Data, Previous: l.After, Prev: l.Prev,
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(w); err != nil {
		return nil, fmt.Errorf("encoding event %s: %w", e.Type, err)
	}
	if b.Len() > MaxLine {
		return nil, fmt.Errorf("encoding event %s: %w: it has %d", e.Type, ErrTooLarge, b.Len())
	}
	return b.Bytes(), nil
}

// ParseLine reads a line, with or without its newline. Attributes that it does not know are passed
// over, as CloudEvents asks, so that an older server can read what a newer one wrote.
func ParseLine(raw []byte) (Line, error) {
	if len(raw) > MaxLine {
		return Line{}, fmt.Errorf("line is longer than %d bytes", MaxLine)
	}
	var w wire
	if err := json.Unmarshal(raw, &w); err != nil {
		return Line{}, fmt.Errorf("not an event: %w", err)
	}
	if err := w.check(); err != nil {
		return Line{}, fmt.Errorf("not an event: %w", err)
	}
	environment, err := w.environment()
	if err != nil {
		return Line{}, fmt.Errorf("not an event: %w", err)
	}
	return Line{
		Event: normal(deploy.Event{
			Sequence: w.Sequence, ID: w.ID, Type: w.Type, At: w.Time, Actor: w.Actor,
			App: w.App, Environment: environment, Ref: w.Ref, Old: w.Old, New: w.New,
			Deployment: w.Deployment, Stage: w.Stage, Outcome: w.Outcome, Reason: w.Reason,
			Data: w.Data,
		}),
		Source: w.Source, RecordedAt: w.RecordedTime.UTC(), Prev: w.Prev, After: w.Previous,
	}, nil
}

func (w *wire) check() error {
	switch {
	case w.SpecVersion != specVersion:
		return fmt.Errorf("specversion is %.20q, not %q", w.SpecVersion, specVersion)
	case w.ID == "":
		return errors.New("it has no id")
	case w.Type == "":
		return errors.New("it has no type")
	case w.Sequence == 0:
		return errors.New("it has no sequence")
	case w.Actor.Type == "":
		return errors.New("it has no actor")
	case !isHash(w.Prev):
		return fmt.Errorf("prev is %.70q, not a SHA-256", w.Prev)
	case w.Previous != nil && (!isFileName(w.Previous.Name) || !isHash(w.Previous.SHA256)):
		return errors.New("previous names no file of the log")
	case !writable(w.Time) || !writable(w.RecordedTime):
		return errors.New("its time is missing or out of range")
	}
	return nil
}

// writable tells whether t can be written as a time in UTC (RFC 3339 has four digits for the year)
// and is not missing.
func writable(t time.Time) bool {
	year := t.UTC().Year()
	return !t.IsZero() && year >= 0 && year <= 9999
}

func isHash(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == sha256.Size && strings.ToLower(s) == s
}

// target is written in full, other than for people, so that it can be read back.
func target(e deploy.Event) string {
	if e.Environment == "" {
		return ""
	}
	return string(e.App) + "/" + string(e.Environment)
}

func (w *wire) environment() (deploy.Environment, error) {
	if w.Target == "" {
		return "", nil
	}
	environment, ok := strings.CutPrefix(w.Target, string(w.App)+"/")
	if !ok || environment == "" {
		return "", fmt.Errorf("target %.60q is not of app %.60q", w.Target, w.App)
	}
	return deploy.Environment(environment), nil
}

// subject says what the event is about, as a path.
func subject(e deploy.Event) string {
	if e.App == "" {
		return personSubject(e)
	}
	s := "apps/" + string(e.App)
	if e.Deployment != 0 {
		s += "/deployments/" + e.Deployment.String()
	}
	if e.Stage != "" {
		s += "/stages/" + string(e.Stage)
	}
	return s
}

func personSubject(e deploy.Event) string {
	var about struct {
		Name deploy.UserName `json:"name"`
		User deploy.UserName `json:"user"`
	}
	switch e.Type {
	case deploy.EventUserCreated, deploy.EventUserRemoved, deploy.EventKeyAdded, deploy.EventKeyRemoved:
		if json.Unmarshal(e.Data, &about) != nil {
			return ""
		}
	}
	if name := about.Name + about.User; name != "" {
		return "users/" + string(name)
	}
	return ""
}

// normal returns e as a line can hold it: valid UTF-8, times in UTC, compact data, so that what is
// recorded now is what will be read later, to the byte.
func normal(e deploy.Event) deploy.Event {
	e.At = e.At.Round(0).UTC()
	e.ID, e.Reason = clean(e.ID), clean(e.Reason)
	e.Type, e.Stage, e.Outcome = clean(e.Type), clean(e.Stage), clean(e.Outcome)
	e.App, e.Environment, e.Ref = clean(e.App), clean(e.Environment), clean(e.Ref)
	e.Old, e.New = clean(e.Old), clean(e.New)
	a := e.Actor
	e.Actor = deploy.Actor{
		Type: clean(a.Type), Name: clean(a.Name), Key: clean(a.Key), IP: clean(a.IP), Origin: clean(a.Origin),
	}
	e.Data = normalData(e.Data)
	return e
}

// clean returns s as valid UTF-8.
func clean[S ~string](s S) S { return S(strings.ToValidUTF8(string(s), "\uFFFD")) }

func normalData(data json.RawMessage) json.RawMessage {
	if len(data) == 0 {
		return nil
	}
	data = bytes.ToValidUTF8(data, []byte("\uFFFD"))
	var b bytes.Buffer
	if json.Compact(&b, data) != nil {
		return data // not JSON: the encoder says so
	}
	if b.String() == "null" {
		return nil
	}
	return b.Bytes()
}

// hashOf is what the next line's prev says of raw.
func hashOf(raw []byte) string {
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}
