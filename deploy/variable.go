package deploy

import (
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode/utf8"
)

// Variable is one of an app's own variables, such as DATABASE_URL, as the operator set it. All of them
// are in the environment of the app's instances and of its release command. Its value is a secret: it
// is in no JSON, and printing or logging a Variable prints its name.
type Variable struct {
	Name   string    `json:"name"`
	Value  string    `json:"-"`
	Test   bool      `json:"test,omitempty"`   // test sets see it too
	Deploy bool      `json:"deploy,omitempty"` // hooks and the commands that deploy elsewhere see it too
	SetAt  time.Time `json:"setAt"`
	SetBy  string    `json:"setBy"` // the name of an [Actor]
}

// MaxVariableValue is how long a variable's value may be, in bytes.
const MaxVariableValue = 32 << 10

var variablePattern = pattern(`^[A-Z_][A-Z0-9_]{0,99}$`)

// CheckVariableName says why s cannot be the name of a variable, nil if it can.
func CheckVariableName(s string) error {
	switch {
	case !variablePattern().MatchString(s):
		return fmt.Errorf("%.40q is not a variable's name: use capital letters, digits and underscores, not beginning with a digit, at most 100", s)
	case s == "PORT" || strings.HasPrefix(s, "SLIPWAY_"):
		return fmt.Errorf("%s is set by Slipway itself", s)
	}
	return nil
}

// CheckVariableValue says why s cannot be the value of a variable, nil if it can. It does not repeat s.
func CheckVariableValue(s string) error {
	switch {
	case len(s) > MaxVariableValue:
		return fmt.Errorf("the value has %d bytes: at most %d are taken", len(s), MaxVariableValue)
	case strings.ContainsRune(s, 0) || !utf8.ValidString(s):
		return fmt.Errorf("the value is not text: encode it, for example as base64")
	}
	return nil
}

// Marks names who sees the variable beside the app: "test", "deploy", both with a comma, or "-".
func (v Variable) Marks() string {
	switch {
	case v.Test && v.Deploy:
		return "test,deploy"
	case v.Test:
		return "test"
	case v.Deploy:
		return "deploy"
	}
	return "-"
}

// String returns the name.
func (v Variable) String() string { return v.Name }

// GoString returns the name.
func (v Variable) GoString() string { return v.Name }

// LogValue implements [slog.LogValuer] by the name.
func (v Variable) LogValue() slog.Value { return slog.StringValue(v.Name) }

// Variables are those of one app.
type Variables []Variable

// All returns every value by its name: the environment of instances, and what no log may show.
func (v Variables) All() map[string]string {
	return v.values(func(Variable) bool { return true })
}

// ForTests returns the values that test sets see.
func (v Variables) ForTests() map[string]string {
	return v.values(func(one Variable) bool { return one.Test })
}

// ForDeploying returns the values that hooks and the commands that deploy elsewhere see.
func (v Variables) ForDeploying() map[string]string {
	return v.values(func(one Variable) bool { return one.Deploy })
}

func (v Variables) values(seen func(Variable) bool) map[string]string {
	values := make(map[string]string)
	for _, one := range v {
		if seen(one) {
			values[one.Name] = one.Value
		}
	}
	return values
}
