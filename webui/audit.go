package webui

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"slipway/deploy"
)

// audit shows what was recorded, and whether the record is whole.
func (s *Site) audit(w http.ResponseWriter, r *http.Request, who deploy.Caller) error {
	q := r.URL.Query()
	page := &AuditPage{
		Frame: s.frame(who, "Audit", "audit"), App: q.Get("app"), Type: q.Get("type"), Actor: q.Get("actor"), Deployment: q.Get("deployment"), Types: eventTypes(),
	}
	if err := s.chain(r, who, page); err != nil {
		return err
	}
	if page.MayVerify = who.Everything(); page.MayVerify {
		page.Export = "/audit.jsonl?" + only(q, auditNames()...)
	}
	f, err := eventFilterOf(q)
	page.Since, page.Until = fieldTime(f.Since), fieldTime(f.Until)
	if rejection, ok := deploy.AsRejection(err); ok {
		page.Problem = rejection.Message
		return s.show(w, http.StatusBadRequest, "audit", page)
	}
	f.Limit = pageRows + 1
	found, err := s.Control.Events(r.Context(), who, f)
	if err != nil {
		return err
	}
	found, newer, older := paged(found, f.After != 0, f.Before != 0)
	page.Rows = eventRows(found)
	at := func(e deploy.Event) string { return strconv.FormatUint(e.Sequence, 10) }
	if newer {
		page.Newer = "/audit?" + moved(q, "after", at(found[0]), auditNames())
	}
	if older {
		page.Older = "/audit?" + moved(q, "before", at(found[len(found)-1]), auditNames())
	}
	return s.show(w, http.StatusOK, "audit", page)
}

// chain tells where the log ends, and what its last verification found.
func (s *Site) chain(r *http.Request, who deploy.Caller, page *AuditPage) error {
	state := s.Control.Chain(r.Context(), who)
	page.Head = fmt.Sprintf("%d:%s", state.Sequence, state.Hash)
	if who.Scope() != (deploy.Scope{}) {
		page.Verified = State{"idle", "–", "told to admins"}
		return nil
	}
	found, err := s.Control.Events(r.Context(), who, deploy.EventFilter{Type: deploy.EventAuditVerified, Limit: 1})
	if err != nil {
		return err
	}
	page.Verified = State{"warn", "!", "never verified"}
	if len(found) == 0 {
		return nil
	}
	var data deploy.VerifiedData
	if err := json.Unmarshal(found[0].Data, &data); err != nil {
		return fmt.Errorf("reading event %d: %w", found[0].Sequence, err)
	}
	page.Verified, page.VerifiedAt, page.VerifiedUntil = State{"pass", "✓", "no line was changed"}, found[0].At, data.Events
	if found[0].Outcome != deploy.OutcomePass {
		page.Verified, page.Findings = State{"fail", "✗", "not as it was written: " + count(data.Count, "finding")}, data.Findings
	}
	return nil
}

// verifyTime is how long the reading of the whole log may take.
const verifyTime = 10 * time.Minute

// verify reads the whole audit log now, and leads to what was found.
func (s *Site) verify(w http.ResponseWriter, r *http.Request, who deploy.Caller) error {
	if err := giveTime(w, verifyTime); err != nil {
		return err
	}
	report, err := s.Control.VerifyChain(r.Context(), who)
	if err != nil {
		return err
	}
	read := fmt.Sprintf("%s in %s were read, up to %d", count(int(report.Events), "event"), count(report.Files, "file"), report.Head.Sequence)
	if len(report.Findings) > 0 {
		s.tellNext(w, r, who, "/audit", Notice{"fail", "Not as it was written:", read + ", and what was found is below"})
		return nil
	}
	s.done(w, r, who, "/audit", read+", and no line was changed")
	return nil
}

// auditNames are the parameters of the audit log's filter.
func auditNames() []string { return []string{"app", "type", "actor", "deployment", "since", "until"} }

func eventFilterOf(q url.Values) (deploy.EventFilter, error) {
	f := deploy.EventFilter{App: deploy.AppName(q.Get("app")), Type: deploy.EventType(q.Get("type")), Actor: q.Get("actor")}
	var errs [5]error
	if text := q.Get("deployment"); text != "" {
		n, err := deploy.ParseNumber(text)
		if err != nil {
			errs[0] = deploy.Reject(deploy.CodeUsage, "%v", err)
		}
		f.Deployment = n
	}
	f.Since, errs[1] = dayOf(q.Get("since"), 0)
	f.Until, errs[2] = dayOf(q.Get("until"), 1)
	f.Before, errs[3] = pageStart[uint64](q.Get("before"))
	f.After, errs[4] = pageStart[uint64](q.Get("after"))
	return f, errors.Join(errs[:]...)
}

// fieldTime is a moment as a form's field has it.
func fieldTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(fieldFormat)
}

// eventTypes are those that are offered to choose from.
func eventTypes() []deploy.EventType {
	return []deploy.EventType{
		deploy.EventDeploymentQueued, deploy.EventAccepted, deploy.EventRejected, deploy.EventCanceled, deploy.EventInterrupted, deploy.EventErrored,
		deploy.EventPushRefused, deploy.EventRefUpdated, deploy.EventRollbackDone, deploy.EventRollbackFailed, deploy.EventTargetFrozen, deploy.EventTargetUnfrozen,
		deploy.EventDrift, deploy.EventRestarted, deploy.EventRunStarted, deploy.EventVariableSet, deploy.EventVariableUnset, deploy.EventVariablesRead,
		deploy.EventUserCreated, deploy.EventUserRemoved, deploy.EventKeyAdded, deploy.EventKeyRemoved, deploy.EventGrantSet, deploy.EventTokenCreated,
		deploy.EventTokenRevoked, deploy.EventLinkCreated, deploy.EventSessionOpened, deploy.EventSessionClosed, deploy.EventSignInFailed, deploy.EventAppCreated, deploy.EventAppRemoved,
		deploy.EventRegressionMarked, deploy.EventAuditVerified, deploy.EventServerStarted, deploy.EventServerShutdown,
	}
}

// eventRows are events with their data written for people.
func eventRows(events []deploy.Event) []EventRow {
	rows := make([]EventRow, 0, len(events))
	for _, e := range events {
		row := EventRow{Event: e}
		var b bytes.Buffer
		if len(e.Data) > 0 && json.Indent(&b, e.Data, "", "  ") == nil {
			row.Data = b.String()
		}
		rows = append(rows, row)
	}
	return rows
}

// exported is an event as a line of the export.
type exported struct {
	Sequence   uint64             `json:"sequence"`
	ID         string             `json:"id"`
	Type       deploy.EventType   `json:"type"`
	At         time.Time          `json:"at"`
	Actor      deploy.Actor       `json:"actor"`
	App        deploy.AppName     `json:"app,omitempty"`
	Env        deploy.Environment `json:"environment,omitempty"`
	Ref        deploy.RefName     `json:"ref,omitempty"`
	Old        deploy.OID         `json:"old,omitempty"`
	New        deploy.OID         `json:"new,omitempty"`
	Deployment deploy.Number      `json:"deployment,omitempty"`
	Stage      deploy.StageName   `json:"stage,omitempty"`
	Outcome    deploy.Outcome     `json:"outcome,omitempty"`
	Reason     string             `json:"reason,omitempty"`
	Data       json.RawMessage    `json:"data,omitempty"`
}

// auditExport sends what fits the filter as lines of JSON, the newest first, to those who may read all of it.
func (s *Site) auditExport(w http.ResponseWriter, r *http.Request, who deploy.Caller) error {
	if !who.Everything() {
		return deploy.Reject(deploy.CodeForbidden, "only an admin may do this")
	}
	f, err := eventFilterOf(r.URL.Query())
	if err != nil {
		return err
	}
	f.Limit, f.After = fileRows, 0
	next := func(last *deploy.Event) ([]deploy.Event, error) {
		if last != nil {
			f.Before = last.Sequence
		}
		return s.Control.Events(r.Context(), who, f)
	}
	out := json.NewEncoder(w)
	return sendFile(s, w, r, fileName{"audit.jsonl", "application/jsonl; charset=utf-8"}, next, func(found []deploy.Event) error {
		for _, e := range found {
			line := exported{e.Sequence, e.ID, e.Type, e.At.UTC(), e.Actor, e.App, e.Environment, e.Ref, e.Old, e.New, e.Deployment, e.Stage, e.Outcome, e.Reason, e.Data}
			if err := out.Encode(line); err != nil {
				return err
			}
		}
		return nil
	})
}

// joined writes names for people.
func joined[T ~string](all []T) string {
	words := make([]string, len(all))
	for i, one := range all {
		words[i] = string(one)
	}
	return strings.Join(words, ", ")
}
