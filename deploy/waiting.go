package deploy

import (
	"strconv"
	"strings"
	"time"
)

// Waiting is one place in a queue, for people.
type Waiting struct {
	Number Number    `json:"number"`
	Target Target    `json:"target"`
	User   UserName  `json:"user"`
	Place  int       `json:"place"` // 0 is being deployed
	Stage  StageName `json:"stage,omitempty"`
	Since  time.Time `json:"since"` // in this stage or place
}

// Where says in words where it is.
func (w Waiting) Where() string {
	if w.Place > 0 {
		return "waiting at place " + strconv.Itoa(w.Place)
	}
	return strings.Replace(string(w.Stage), ".", " ", 1)
}
