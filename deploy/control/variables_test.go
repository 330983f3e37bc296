package control_test

import (
	"encoding/json"
	"os"
	"slices"
	"testing"

	"slipway/deploy"
	"slipway/deploy/control/controltest"
)

// TestFinishVariables: a server was killed when it had recorded a change of variables, and had not made it. The next
// one makes it, and records that.
func TestFinishVariables(t *testing.T) {
	w := newWorld(t)
	w.apps()
	w.Must(os.MkdirAll(w.Layout.App("shop"), 0o700))
	set := func(all ...deploy.Variable) func() error {
		return func() error {
			_, err := w.Control.SetVariables(t.Context(), controltest.Operator(), "shop", all)
			return err
		}
	}
	w.Must(set(deploy.Variable{Name: "A", Value: "1"}, deploy.Variable{Name: "C", Value: "1"})())
	known := uint64(0)
	for _, c := range []struct {
		change func() error
		events []string
		names  []string
	}{
		{set(deploy.Variable{Name: "A", Value: "2"}, deploy.Variable{Name: "B", Value: "1"}), []string{"variable.set A", "variable.set B"}, []string{"A", "B", "C"}},
		{func() error { return w.Control.UnsetVariables(t.Context(), controltest.Operator(), "shop", "A") }, []string{"variable.unset A"}, []string{"B", "C"}},
	} {
		env := w.Layout.Env("shop")
		before, err := os.ReadFile(env)
		w.Must(err)
		w.Must(c.change())
		w.Must(os.Rename(env, env+".new"))
		w.Must(os.WriteFile(env, before, 0o600))
		for range 2 { // once is enough
			w.Must(w.Control.FinishVariables(t.Context(), "shop"))
		}
		w.Recorder.Wait()
		all, err := w.Store.Events(t.Context(), deploy.EventFilter{App: "shop", Limit: 100})
		w.Must(err)
		var events []string
		for _, e := range all {
			var v deploy.Variable
			if e.Actor.Origin == "recovery" && e.Sequence > known {
				w.Must(json.Unmarshal(e.Data, &v))
				events = append(events, string(e.Type)+" "+v.Name)
			}
		}
		known = all[0].Sequence // the newest comes first
		if slices.Sort(events); !slices.Equal(events, c.events) {
			t.Errorf("recorded %q, want %q", events, c.events)
		}
		now, err := w.Control.VariableNames(t.Context(), controltest.Operator(), "shop")
		w.Must(err)
		var names []string
		for _, v := range now {
			names = append(names, v.Name)
		}
		if !slices.Equal(names, c.names) {
			t.Errorf("now %q, want %q", names, c.names)
		}
	}
}
