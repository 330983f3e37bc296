package deploy

import (
	"fmt"
	"strconv"
	"strings"
)

// OID is the lower-case hexadecimal id of a git object, 40 digits (SHA-1) or 64 (SHA-256).
type OID string

var oidPattern = pattern(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// ParseOID checks that s is a whole object id.
func ParseOID(s string) (OID, error) {
	if !oidPattern().MatchString(s) {
		return "", fmt.Errorf("%q is not an object id of 40 or 64 hexadecimal digits", s)
	}
	return OID(s), nil
}

var oidPrefixPattern = pattern(`^[0-9a-f]{4,64}$`)

// ParseOIDPrefix checks s as an object id that people may have shortened, to four digits at least and in either
// case, as git takes them.
func ParseOIDPrefix(s string) (OID, error) {
	lower := strings.ToLower(s)
	if !oidPrefixPattern().MatchString(lower) {
		return "", fmt.Errorf("%.70q is not a revision's id, nor 4 or more of the hexadecimal digits that it begins with", s)
	}
	return OID(lower), nil
}

// IsZero tells whether o names no object: empty, or all zeros as git writes a missing ref.
func (o OID) IsZero() bool { return strings.Trim(string(o), "0") == "" }

// Short returns the first seven digits, for people.
func (o OID) Short() string {
	if len(o) < 7 {
		return string(o)
	}
	return string(o[:7])
}

// RefName is a full ref name such as refs/heads/main.
type RefName string

// Short returns the name without refs/heads/ or refs/tags/.
func (r RefName) Short() string {
	s := strings.TrimPrefix(string(r), "refs/heads/")
	return strings.TrimPrefix(s, "refs/tags/")
}

// DeploymentRef is where the revision of deployment n stays readable.
func DeploymentRef(n Number) RefName {
	return RefName("refs/slipway/deployments/" + n.String())
}

// AppName names an app: a lower-case letter, then letters, digits and inner hyphens, at most 40.
// It is a folder name, a repository name and a host name label, so it is never anything else.
type AppName string

var namePattern = pattern(`^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$`)

// ParseAppName checks s as the name of an app.
func ParseAppName(s string) (AppName, error) {
	if !namePattern().MatchString(s) {
		return "", fmt.Errorf("%.60q is not an app name: use lower-case letters, digits and inner hyphens, starting with a letter, at most 40", s)
	}
	return AppName(s), nil
}

// UserName names a user, in the same form as an app's name.
type UserName string

// ParseUserName checks s as the name of a user.
func ParseUserName(s string) (UserName, error) {
	if !namePattern().MatchString(s) {
		return "", fmt.Errorf("%.60q is not a user name: use lower-case letters, digits and inner hyphens, starting with a letter, at most 40", s)
	}
	return UserName(s), nil
}

// Number numbers a deployment, from 1, once per server. The release it makes has the same number.
// Zero means none.
type Number int64

// ParseNumber checks s as the number of a deployment.
func ParseNumber(s string) (Number, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%.40q is not a deployment number", s)
	}
	return Number(n), nil
}

// String returns the number in decimal digits.
func (n Number) String() string { return strconv.FormatInt(int64(n), 10) }

// Environment names one of an app's places to run. There is one today.
type Environment string

// Production is the environment that the gated branch deploys to.
const Production Environment = "production"

// Target is what one deployment at a time may change: an app in an environment.
type Target struct {
	App         AppName     `json:"app"`
	Environment Environment `json:"environment"`
}

// String returns the app's name, followed by the environment if it is not production.
func (t Target) String() string {
	if t.Environment == Production || t.Environment == "" {
		return string(t.App)
	}
	return string(t.App) + "/" + string(t.Environment)
}
