package deploy_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"slipway/deploy"
)

func TestVariableNames(t *testing.T) {
	for name, want := range map[string]string{
		"DATABASE_URL": "", "_": "", "A1": "", strings.Repeat("A", 100): "",
		"":                       "is not a variable's name",
		"database":               "is not a variable's name",
		"1A":                     "is not a variable's name",
		"A-B":                    "is not a variable's name",
		"A B":                    "is not a variable's name",
		"A\n":                    "is not a variable's name",
		"Ä":                      "is not a variable's name",
		strings.Repeat("A", 101): "is not a variable's name",
		"PORT":                   "PORT is set by Slipway itself",
		"SLIPWAY_APP":            "SLIPWAY_APP is set by Slipway itself",
		"SLIPWAY_":               "SLIPWAY_ is set by Slipway itself",
	} {
		err := deploy.CheckVariableName(name)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", name, err, want)
		}
	}
	for value, want := range map[string]string{
		"": "", "two\nlines": "", "ä": "", strings.Repeat("x", deploy.MaxVariableValue): "",
		strings.Repeat("x", deploy.MaxVariableValue+1): "the value has 32769 bytes: at most 32768 are taken",
		"a\x00b": "the value is not text: encode it, for example as base64",
		"\xff":   "the value is not text: encode it, for example as base64",
	} {
		if err := deploy.CheckVariableValue(value); want == "" && err != nil || want != "" && (err == nil || err.Error() != want) {
			t.Errorf("%.20q: %v, want %q", value, err, want)
		}
	}
}

// A value gets out only where somebody asks for it by name.
func TestVariablesDoNotPrint(t *testing.T) {
	v := deploy.Variable{Name: "TOKEN", Value: "s3cret", Test: true}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("set", "variable", v, "all", deploy.Variables{v})
	encoded, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	for _, said := range []string{log.String(), string(encoded), fmt.Sprint(v), fmt.Sprintf("%+v %#v %v %q", v, v, deploy.Variables{v}, v)} {
		if strings.Contains(said, "s3cret") || !strings.Contains(said, "TOKEN") {
			t.Error(said)
		}
	}
	both := deploy.Variables{v, {Name: "PASSWORD", Value: "p", Deploy: true}}
	if len(both.All()) != 2 || len(both.ForTests()) != 1 || both.ForTests()["TOKEN"] != "s3cret" || len(both.ForDeploying()) != 1 || both.ForDeploying()["PASSWORD"] != "p" {
		t.Error(both.All(), both.ForTests(), both.ForDeploying())
	}
}
