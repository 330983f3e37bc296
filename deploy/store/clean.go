package store

import (
	"bytes"
	"encoding/json"
	"strings"

	"slipway/deploy"
)

// PostgreSQL's text cannot hold the character NUL, which SQLite's can. It is none that anybody writes, so
// in both it becomes the character that stands for one that cannot be shown.

// clean returns the event without NULs, in its data as well.
func clean(e deploy.Event) deploy.Event {
	for _, s := range []*string{
		&e.ID, (*string)(&e.Type), (*string)(&e.Actor.Type), &e.Actor.Name, &e.Actor.Key, &e.Actor.IP, &e.Actor.Origin,
		(*string)(&e.App), (*string)(&e.Environment), (*string)(&e.Ref), (*string)(&e.Old), (*string)(&e.New),
		(*string)(&e.Stage), (*string)(&e.Outcome), &e.Reason,
	} {
		*s = strings.ToValidUTF8(strings.ReplaceAll(*s, "\x00", "\uFFFD"), "\uFFFD")
	}
	e.Data = cleanData(e.Data)
	return e
}

// cleanData replaces the escape of NUL, which valid JSON has nowhere but in a string.
func cleanData(data json.RawMessage) json.RawMessage {
	if !bytes.Contains(data, []byte(`\u0000`)) && bytes.IndexByte(data, 0) < 0 {
		return data
	}
	clean := make([]byte, 0, len(data)+2)
	for i := 0; i < len(data); i++ {
		switch {
		case data[i] == 0:
			clean = append(clean, "\uFFFD"...)
		case data[i] != '\\' || i+1 == len(data):
			clean = append(clean, data[i])
		case bytes.HasPrefix(data[i:], []byte(`\u0000`)):
			clean = append(clean, `\ufffd`...)
			i += len(`\u0000`) - 1
		default: // an escape of two, so that a backslash that is escaped begins no other one
			clean = append(clean, data[i], data[i+1])
			i++
		}
	}
	return clean
}
