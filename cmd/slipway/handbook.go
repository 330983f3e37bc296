package main

import (
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"slipway/webui"
)

// handbook is the manual as the pages show it: the commands' help texts, the manifest's reference, which
// make build puts beside the programs, and the configuration.
type handbook struct {
	config config
}

// manifestManual is where make build puts docs/manifest.md.
const manifestManual = "libexec/slipway-manifest.md"

// Topics are the pages of the manual, the overview first.
func (h handbook) Topics() []webui.Topic {
	all := []webui.Topic{{Name: "overview", Text: helpText("help")}}
	if b, err := libexec.ReadFile(manifestManual); err == nil {
		all = append(all, webui.Topic{Name: "slipway.toml", Text: string(b), Markdown: true})
	}
	for _, name := range slices.DeleteFunc(topics(), func(s string) bool { return s == "help" }) {
		all = append(all, webui.Topic{Name: name, Text: helpText(name)})
	}
	return all
}

// Settings are the keys of server.toml with the values in force, without passwords.
func (h handbook) Settings() []webui.Setting {
	all := []webui.Setting{{Name: "data", Value: string(h.config.layout), From: "given"}}
	return append(all, settingsOf("", reflect.ValueOf(h.config), reflect.ValueOf(defaultConfig()))...)
}

func settingsOf(prefix string, value, usual reflect.Value) []webui.Setting {
	var all []webui.Setting
	for i := range value.NumField() {
		name := value.Type().Field(i).Tag.Get("toml")
		if name == "" {
			continue
		}
		field, common := value.Field(i), usual.Field(i)
		if field.Kind() == reflect.Struct {
			all = append(all, settingsOf(prefix+name+".", field, common)...)
			continue
		}
		s := webui.Setting{Name: prefix + name, Value: written(field.Interface()), From: "given"}
		if reflect.DeepEqual(field.Interface(), common.Interface()) {
			s.From = "default"
		}
		all = append(all, s)
	}
	return all
}

// written is a value as TOML has it. What may hold a password is an address: it is left out of that.
func written(v any) string {
	s, ok := v.(string)
	if !ok {
		return fmt.Sprintf("%v", v)
	}
	if strings.Contains(s, "://") {
		if u, err := url.Parse(s); err == nil {
			s = secretless(u)
		} else {
			s = "(an address that cannot be shown)"
		}
	}
	return fmt.Sprintf("%q", s)
}

// secretless is an address without its password, which may also be among its parameters.
func secretless(u *url.URL) string {
	q := u.Query()
	for _, name := range []string{"password", "sslpassword"} {
		if q.Has(name) {
			q.Set(name, "xxxxx")
		}
	}
	u.RawQuery = q.Encode()
	return u.Redacted()
}
