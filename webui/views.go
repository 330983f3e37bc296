package webui

import (
	"html/template"
	"net/http"
	"strings"
	"time"

	"slipway/deploy"
)

// Frame is what every page shows around its own content.
type Frame struct {
	Title   string
	Section string // which link of the navigation is the present one
	Now     time.Time
	Caller  deploy.Caller
	Name    string // of the caller, for people
	Notices []Notice
	Live    string // the address of the page's live events; "" for none
}

// Admin tells whether the page may show what only admins see.
func (f Frame) Admin() bool { return f.Caller.Admin }

// Notice is a line above the content.
type Notice struct {
	Class string // run, warn or fail
	Word  string // the first word: Frozen, Done, Fault
	Text  string
}

// State is how something stands: a mark, a word, and a class that colours both.
type State struct {
	Class, Sign, Word string
}

// ProductionPage is /: what runs, who is next, is it safe.
type ProductionPage struct {
	Frame
	Berths []Berth
}

// Safety is what there is to worry about, or that there is nothing.
func (p *ProductionPage) Safety() State { return safety(p.Berths) }

// Busy is how many deployments are in work and wait; "" without any.
func (p *ProductionPage) Busy() string { return busy(p.Berths) }

// Berth is an app in production, with the queue before it.
type Berth struct {
	App       deploy.AppName
	Address   string
	Serving   *Serving // nil if nothing serves
	Instances []Dot
	Traffic   template.HTML // a spark line; "" without numbers
	Requests  string        // "1,204 requests, 3 errors in 30 min"
	Frozen    string        // the reason; "" if not
	FrozenAt  time.Time
	Drift     string // what serves is not what the ref says, and why
	Queue     []Waiting
	MayPush   bool
	MayFreeze bool
}

// Serving is the release that serves.
type Serving struct {
	Number   deploy.Number
	Revision deploy.OID
	Subject  string
	Author   string
	Since    time.Time
}

// Dot is the health of one instance.
type Dot struct {
	Name  string // web 1
	State State
	More  string // 42 MiB, restarted 2 times
}

// Well tells whether there is nothing more to say of it.
func (d Dot) Well() bool { return d.State.Class == "pass" }

// Waiting is a deployment that runs or waits for its turn.
type Waiting struct {
	Number  deploy.Number
	Place   int // 0 while it runs, else from 1
	Who     string
	Subject string
	Strip   []Step
	Elapsed time.Duration
	Median  time.Duration // of the app's accepted deployments; 0 if unknown
}

// Step is a stage in a strip.
type Step struct {
	Name  string
	State State
}

// AppPage is /apps/{app}.
type AppPage struct {
	Frame
	Berth
	Clone     string // the repository's URL
	Releases  []ReleaseRow
	Variables []VariableRow
	History   []DeploymentRow
}

// ReleaseRow is a release that is kept.
type ReleaseRow struct {
	Serving
	Current  bool
	MayServe bool // a roll back to it is offered
}

// VariableRow is a variable by name. Its value is never shown.
type VariableRow struct {
	Name   string
	InTest bool
	SetAt  time.Time
}

// HistoryPage is /deployments.
type HistoryPage struct {
	Frame
	Filter  FilterForm
	Rows    []DeploymentRow
	Newer   string // addresses of the neighbouring pages; "" for none
	Older   string
	AsJSON  string
	AsCSV   string
	Problem string // what is wrong with the filter
}

// FilterForm is the history's filter as its form shows it.
type FilterForm struct {
	App, User, Status, Stage, Since, Until, Text, Revision string
	Bypassed                                               bool
	Apps                                                   []deploy.AppName
	Statuses                                               []deploy.Status
	Stages                                                 []deploy.StageName
}

// DeploymentRow is a line of the history.
type DeploymentRow struct {
	deploy.Deployment
	State State
	Took  time.Duration
}

// StatisticsPage is /stats.
type StatisticsPage struct {
	Frame
	App      string
	Weeks    int
	Apps     []deploy.AppName
	Figures  []Figure
	Charts   []Chart
	Clusters []Cluster
}

// Figure is a number that stands for itself.
type Figure struct{ Value, Name string }

// Cluster is a kind of failure.
type Cluster struct {
	Signature   string
	Count       int
	Apps        string
	First, Last time.Time
	Example     deploy.Number
	Excerpt     string
}

// AuditPage is /audit.
type AuditPage struct {
	Frame
	Head          string
	Verified      State
	VerifiedAt    time.Time
	VerifiedUntil uint64
	Findings      []string // of the last verification, the first ten
	MayVerify     bool
	Since, Until  string
	App           string
	Type          string
	Actor         string
	Deployment    string
	Types         []deploy.EventType
	Rows          []EventRow
	Older         string
	Newer         string
	Export        string
	Problem       string
}

// PeoplePage is /users.
type PeoplePage struct {
	Frame
	Users    []UserRow
	Tokens   []TokenRow
	Sessions []SessionRow
}

// UserRow is a user with keys and grants.
type UserRow struct {
	deploy.User
	Keys   []deploy.Key
	Grants []deploy.Grant
}

// TokenRow is a token without its secret.
type TokenRow struct {
	deploy.Token
	State State
}

// SessionRow is a browser that is signed in.
type SessionRow struct {
	deploy.Session
	Present bool // the one that looks at the page
}

// Browser is the browser's name and system as far as it tells them, else what it says.
func (s SessionRow) Browser() string {
	for _, name := range []string{"Firefox", "Edg", "OPR", "Chrome", "Safari"} {
		if !strings.Contains(s.Agent, name+"/") {
			continue
		}
		for _, system := range []string{"iPhone", "iPad", "Android", "Windows", "Mac OS X", "Linux"} {
			if strings.Contains(s.Agent, system) {
				return strings.NewReplacer("Edg", "Edge", "OPR", "Opera").Replace(name) + " on " + strings.Replace(system, "Mac OS X", "macOS", 1)
			}
		}
	}
	return s.Agent
}

// HelpPage is /help.
type HelpPage struct {
	Frame
	Topics  []Topic
	Topic   Topic
	Prose   template.HTML // the topic, if it is Markdown
	Setting []Setting     // the effective configuration
}

// Topic is a page of the manual.
type Topic struct {
	Name, Text string
	Markdown   bool // else it is shown as it is
}

// Setting is a value of the server's configuration.
type Setting struct{ Name, Value, From string }

// SignInPage is /login.
type SignInPage struct {
	Frame
	Link    string // the one-time secret of the link that was followed; "" without one
	Next    string // where to go when signed in
	SSH     string // the command that prints a link
	Problem string
}

// ProblemPage says what went wrong.
type ProblemPage struct {
	Frame
	Status int
	Text   string
	Hint   string
}

// Kind is the status in words.
func (p *ProblemPage) Kind() string { return http.StatusText(p.Status) }
