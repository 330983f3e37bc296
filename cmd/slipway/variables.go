package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"slipway/deploy"
	"slipway/deploy/variables"
)

// maxSet is how many variables one command sets or unsets.
const maxSet = 100

func (c *commands) configSet(ctx context.Context, who caller, args []string, std stdio) error {
	f := newFlags("config set")
	test := f.Bool("test", false, "")
	deploying := f.Bool("deploy", false, "")
	names, err := f.parse(args, 2, 1+maxSet)
	if err != nil {
		return err
	}
	app, err := c.app(ctx, who, names[0], deploy.RightPush)
	if err != nil {
		return err
	}
	given, err := readVariables(names[1:], std.in)
	if err != nil {
		return err
	}
	for i := range given {
		given[i].Test, given[i].Deploy = *test, *deploying
		given[i].SetAt, given[i].SetBy = now(), who.actor.Name
	}
	before := deploy.Variables{}
	edit := func(all deploy.Variables) (deploy.Variables, error) {
		before = all
		kept := slices.DeleteFunc(slices.Clone(all), func(v deploy.Variable) bool { return named(given, v.Name) })
		return append(kept, given...), nil
	}
	if err := c.changeVariables(ctx, who, app.Name, edit, deploy.EventVariableSet, given); err != nil {
		return err
	}
	for _, v := range given {
		fmt.Fprintf(std.out, "%s is set: seen by %s%s\n", v.Name, seenBy(v), changed(before, v))
	}
	return inForce(app.Name, std)
}

func (c *commands) configUnset(ctx context.Context, who caller, args []string, std stdio) error {
	names, err := newFlags("config unset").parse(args, 2, 1+maxSet)
	if err != nil {
		return err
	}
	app, err := c.app(ctx, who, names[0], deploy.RightPush)
	if err != nil {
		return err
	}
	var given deploy.Variables
	for _, name := range names[1:] {
		if named(given, name) {
			return usageError(fmt.Sprintf("%.40q is given twice", name))
		}
		given = append(given, deploy.Variable{Name: name})
	}
	edit := func(all deploy.Variables) (deploy.Variables, error) {
		for i, v := range given {
			at := slices.IndexFunc(all, func(o deploy.Variable) bool { return o.Name == v.Name })
			if at < 0 {
				return nil, deploy.Reject(deploy.CodeNotFound, "%s has no variable %.100q", app.Name, v.Name).WithHint("slipway config list %s", app.Name)
			}
			given[i] = all[at] // with its marks
			all = slices.Delete(all, at, at+1)
		}
		return all, nil
	}
	if err := c.changeVariables(ctx, who, app.Name, edit, deploy.EventVariableUnset, given); err != nil {
		return err
	}
	for _, v := range given {
		fmt.Fprintf(std.out, "%s is not set any more\n", v.Name)
	}
	return inForce(app.Name, std)
}

// changeVariables changes the variables of an app, and records an event for each of those in changed.
func (c *commands) changeVariables(ctx context.Context, who caller, app deploy.AppName, edit func(deploy.Variables) (deploy.Variables, error), what deploy.EventType, changed deploy.Variables) error {
	err := c.variables.Change(ctx, app, edit, func(ctx context.Context) error {
		for _, v := range changed {
			event := deploy.Event{Type: what, App: app, Environment: deploy.Production}
			if err := c.record(ctx, who, event.WithData(v)); err != nil {
				return err
			}
		}
		return nil
	})
	return c.withoutKey(who, app, err)
}

func (c *commands) configList(ctx context.Context, who caller, args []string, std stdio) error {
	f := newFlags("config list")
	values := f.Bool("values", false, "")
	names, err := f.parse(args, 1, 1)
	if err != nil {
		return err
	}
	right := deploy.RightRead
	if *values {
		right = deploy.RightPush // who may push can have the app print them
	}
	app, err := c.app(ctx, who, names[0], right)
	if err != nil {
		return err
	}
	all, err := c.variables.Read(ctx, app.Name)
	if err != nil {
		return c.withoutKey(who, app.Name, err)
	}
	if *values {
		event := deploy.Event{Type: deploy.EventVariablesRead, App: app.Name, Environment: deploy.Production}
		if err := c.record(ctx, who, event); err != nil {
			return err
		}
		for _, v := range all {
			fmt.Fprintf(std.out, "%s=%s\n", v.Name, shellWord(v.Value))
		}
		return nil
	}
	t := tabwriter.NewWriter(std.out, 0, 8, 2, ' ', 0)
	for _, v := range all {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", v.Name, v.Marks(), v.SetAt.UTC().Format("2006-01-02 15:04:05"), v.SetBy)
	}
	return t.Flush()
}

// withoutKey makes a rejection of the error that the key is missing: it is the server that cannot do it,
// and somebody has to hear what mends it.
func (c *commands) withoutKey(who caller, app deploy.AppName, err error) error {
	if !errors.Is(err, variables.ErrNoKey) {
		return err
	}
	c.logger.Error("variables cannot be read", "app", app, "error", err)
	r := deploy.Reject(deploy.CodeUnavailable, "the key that the variables of %s are encrypted with is missing; nothing is lost", app)
	if !who.admin {
		return r.WithHint("an admin reads what to do with: slipway status")
	}
	return r.WithHint("%v", err)
}

// readVariables reads NAME=VALUE words, or one NAME and its value from in.
func readVariables(words []string, in io.Reader) (deploy.Variables, error) {
	var given deploy.Variables
	if len(words) == 2 && words[1] == "-" {
		b, err := io.ReadAll(io.LimitReader(in, deploy.MaxVariableValue+2))
		if err != nil {
			return nil, fmt.Errorf("reading the value: %w", err)
		}
		value := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r") // of an echo
		words = []string{words[0] + "=" + value}
	}
	for _, word := range words {
		name, value, found := strings.Cut(word, "=")
		if err := deploy.CheckVariableName(name); err != nil {
			return nil, usageError(err.Error())
		}
		if !found {
			return nil, usageError(fmt.Sprintf("%s has no value: say %s=VALUE, or %s - to give it by standard input", name, name, name))
		}
		if err := deploy.CheckVariableValue(value); err != nil {
			return nil, usageError(name + ": " + err.Error())
		}
		if named(given, name) {
			return nil, usageError(name + " is given twice")
		}
		given = append(given, deploy.Variable{Name: name, Value: value})
	}
	return given, nil
}

func named(all deploy.Variables, name string) bool {
	return slices.ContainsFunc(all, func(v deploy.Variable) bool { return v.Name == name })
}

func seenBy(v deploy.Variable) string {
	switch v.Marks() {
	case "test":
		return "the app and its tests"
	case "deploy":
		return "the app and its hooks"
	case "test,deploy":
		return "the app, its tests and its hooks"
	}
	return "the app"
}

// changed tells of a variable that others saw before.
func changed(before deploy.Variables, v deploy.Variable) string {
	for _, old := range before {
		if old.Name == v.Name && old.Marks() != v.Marks() {
			return " (before: " + seenBy(old) + ")"
		}
	}
	return ""
}

// inForce says from when on a change counts.
func inForce(app deploy.AppName, std stdio) error {
	_, err := fmt.Fprintf(std.out, "in force with the next deployment of %s, or now by: slipway restart %s\n", app, app)
	return err
}

// shellWord quotes a value for a shell.
func shellWord(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// loggable is a command line without the words that may hold a secret.
func loggable(args []string) string {
	most := len(args)
	switch {
	case len(args) > 0 && args[0] == "config":
		most = min(most, 3)
	case len(args) > 0 && args[0] == "run":
		most = min(most, 2)
	}
	if most < len(args) {
		return strings.Join(args[:most], " ") + " …"
	}
	return strings.Join(args, " ")
}
