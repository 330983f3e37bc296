package webui

import (
	"encoding/csv"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"slipway/deploy"
)

// pageRows is how many rows a page of a long list has.
const pageRows = 50

// history shows what was deployed, refused and rolled back.
func (s *Site) history(w http.ResponseWriter, r *http.Request, who deploy.Caller) error {
	apps, err := s.appNames(r, who)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	page := &HistoryPage{Frame: s.frame(who, "Deployments", "deployments"), Filter: formOf(q, apps)}
	f, err := filterOf(q)
	if rejection, ok := deploy.AsRejection(err); ok {
		page.Problem = rejection.Message
		return s.show(w, http.StatusBadRequest, "history", page)
	}
	page.AsJSON, page.AsCSV = "/api/v1/deployments?"+apiQuery(f), "/deployments.csv?"+only(q, filterNames()...)
	f.Limit = pageRows + 1
	found, err := s.Control.Deployments(r.Context(), who, f)
	if err != nil {
		return err
	}
	found, newer, older := paged(found, f.After != 0, f.Before != 0)
	page.Rows = deploymentRows(found, s.Now())
	if newer {
		page.Newer = "/deployments?" + moved(q, "after", found[0].Number.String(), filterNames())
	}
	if older {
		page.Older = "/deployments?" + moved(q, "before", found[len(found)-1].Number.String(), filterNames())
	}
	return s.show(w, http.StatusOK, "history", page)
}

func (s *Site) appNames(r *http.Request, who deploy.Caller) ([]deploy.AppName, error) {
	apps, err := s.Control.Apps(r.Context(), who)
	names := make([]deploy.AppName, len(apps))
	for i, app := range apps {
		names[i] = app.Name
	}
	return names, err
}

// paged cuts what was read, one row more than fits, to a page, and tells whether there are neighbours. after
// and before say from which side the page was asked for.
func paged[T any](found []T, after, before bool) (page []T, newer, older bool) {
	more := len(found) > pageRows
	if more && after {
		found = found[1:]
	} else if more {
		found = found[:pageRows]
	}
	some := len(found) > 0
	return found, some && (before || after && more), some && (after || more)
}

// filterNames are the parameters of the history's filter.
func filterNames() []string {
	return []string{"app", "status", "stage", "user", "since", "until", "text", "revision", "bypassed"}
}

// only keeps the named parameters that have a value.
func only(q url.Values, names ...string) string {
	kept := url.Values{}
	for _, name := range names {
		if v := q.Get(name); v != "" {
			kept.Set(name, v)
		}
	}
	return kept.Encode()
}

// moved is the same filter at another place of the list.
func moved(q url.Values, side, at string, names []string) string {
	return strings.TrimPrefix(only(q, names...)+"&"+query(side, at), "&")
}

func formOf(q url.Values, apps []deploy.AppName) FilterForm {
	return FilterForm{
		App: q.Get("app"), User: q.Get("user"), Status: q.Get("status"), Stage: q.Get("stage"), Since: q.Get("since"), Until: q.Get("until"),
		Text: q.Get("text"), Revision: q.Get("revision"), Bypassed: q.Get("bypassed") == "true", Apps: apps, Statuses: statuses(),
		Stages: []deploy.StageName{deploy.StageCheckout, deploy.StageBuild, deploy.TestStage("unit"), deploy.StageRelease, deploy.StageSwitch, deploy.StageMonitor},
	}
}

func statuses() []deploy.Status {
	return []deploy.Status{
		deploy.StatusAccepted, deploy.StatusRejected, deploy.StatusErrored, deploy.StatusCanceled, deploy.StatusInterrupted, deploy.StatusRunning, deploy.StatusQueued,
	}
}

// filterOf reads the filter that an address holds.
func filterOf(q url.Values) (deploy.DeploymentFilter, error) {
	f := deploy.DeploymentFilter{
		App: deploy.AppName(q.Get("app")), User: deploy.UserName(q.Get("user")), Status: deploy.Status(q.Get("status")),
		FailedStage: deploy.StageName(q.Get("stage")), Text: q.Get("text"), Bypassed: q.Get("bypassed") == "true",
	}
	if f.Status != "" && !slices.Contains(statuses(), f.Status) {
		return f, deploy.Reject(deploy.CodeUsage, "%.40q is no verdict", f.Status)
	}
	var errs [5]error
	f.Since, errs[0] = dayOf(q.Get("since"), 0)
	f.Until, errs[1] = dayOf(q.Get("until"), 1)
	f.Before, errs[2] = pageStart[deploy.Number](q.Get("before"))
	f.After, errs[3] = pageStart[deploy.Number](q.Get("after"))
	f.Revision, errs[4] = revisionOf(q.Get("revision"))
	return f, errors.Join(errs[:]...)
}

// revisionOf is a revision's id or its beginning, as it was copied from somewhere; "" for none.
func revisionOf(text string) (deploy.OID, error) {
	if text = strings.TrimSpace(text); text == "" {
		return "", nil
	}
	id, err := deploy.ParseOIDPrefix(text)
	if err != nil {
		err = deploy.Reject(deploy.CodeUsage, "%v", err)
	}
	return id, err
}

// pageStart is where in a list a page begins; zero for its beginning.
func pageStart[T ~int64 | ~uint64](text string) (T, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 {
		return 0, deploy.Reject(deploy.CodeUsage, "%.40q is no place in this list", text)
	}
	return T(n), nil
}

// dayOf is the beginning of a day, UTC, so many days later; a moment may be given, too.
func dayOf(text string, later int) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.DateOnly, text); err == nil {
		return t.AddDate(0, 0, later), nil
	}
	if t, err := time.Parse(fieldFormat, text); err == nil {
		return t, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, deploy.Reject(deploy.CodeUsage, "%.40q is no day such as 2026-11-22, and no moment such as 2026-11-22T14:30", text)
	}
	return t.UTC(), nil
}

// fieldFormat is how forms write moments, which are UTC here.
const fieldFormat = "2006-01-02T15:04"

// apiQuery is the filter as the API reads it.
func apiQuery(f deploy.DeploymentFilter) string {
	bypassed := ""
	if f.Bypassed {
		bypassed = "true"
	}
	return query("app", string(f.App), "user", string(f.User), "status", string(f.Status), "failedStage", string(f.FailedStage), "text", f.Text, "revision", string(f.Revision),
		"since", clockTime(f.Since), "until", clockTime(f.Until), "bypassed", bypassed)
}

// clockTime writes a moment for programs; nothing for none.
func clockTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// historyCSV sends what fits the filter, the newest first.
func (s *Site) historyCSV(w http.ResponseWriter, r *http.Request, who deploy.Caller) error {
	f, err := filterOf(r.URL.Query())
	if err != nil {
		return err
	}
	f.Limit, f.After = fileRows, 0
	next := func(last *deploy.Deployment) ([]deploy.Deployment, error) {
		if last != nil {
			f.Before = last.Number
		}
		return s.Control.Deployments(r.Context(), who, f)
	}
	out := csv.NewWriter(w)
	_ = out.Write(csvHead()) // an error stays in the writer
	return sendFile(s, w, r, fileName{"deployments.csv", "text/csv; charset=utf-8"}, next, func(found []deploy.Deployment) error {
		for _, d := range found {
			_ = out.Write(csvRow(d))
		}
		out.Flush()
		return out.Error()
	})
}

func csvHead() []string {
	return []string{"number", "app", "status", "code", "failed_stage", "reason", "revision", "subject", "author", "user", "bypass", "again", "queued_at", "started_at", "finished_at"}
}

func csvRow(d deploy.Deployment) []string {
	bypass, again := "", ""
	if d.Bypass != nil {
		bypass = d.Bypass.Reason
	}
	if d.Again != nil {
		again = d.Again.String()
	}
	row := []string{
		d.Number.String(), string(d.App), string(d.Status), string(d.Code), string(d.FailedStage), d.Reason, string(d.New), d.Commit.Subject, d.Commit.Author,
		string(d.Pusher.User), bypass, again, clockTime(d.QueuedAt), clockTime(d.StartedAt), clockTime(d.FinishedAt),
	}
	for i, cell := range row {
		row[i] = harmless(cell)
	}
	return row
}

// harmless keeps a spreadsheet from taking a cell that a pusher wrote for a formula.
func harmless(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}
