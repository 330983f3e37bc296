package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"slipway/deploy"
)

// maxSet is how many variables one command sets or unsets.
const maxSet = 100

func (c *commands) configSet(ctx context.Context, who deploy.Caller, args []string, std stdio) error {
	f := newFlags("config set")
	test := f.Bool("test", false, "")
	deploying := f.Bool("deploy", false, "")
	names, err := f.parse(args, 2, 1+maxSet)
	if err != nil {
		return err
	}
	app, err := appNamed(names[0])
	if err != nil {
		return err
	}
	if _, err := c.control.App(ctx, who, app, deploy.RightPush); err != nil {
		return err // before anything is read
	}
	given, err := readVariables(names[1:], std.in)
	if err != nil {
		return err
	}
	for i := range given {
		given[i].Test, given[i].Deploy = *test, *deploying
	}
	before, err := c.control.SetVariables(ctx, who, app, given)
	if err != nil {
		return err
	}
	for _, v := range given {
		fmt.Fprintf(std.out, "%s is set: seen by %s%s\n", v.Name, seenBy(v), changed(before, v))
	}
	return inForce(app, std)
}

func (c *commands) configUnset(ctx context.Context, who deploy.Caller, args []string, std stdio) error {
	names, err := newFlags("config unset").parse(args, 2, 1+maxSet)
	if err != nil {
		return err
	}
	app, err := appNamed(names[0])
	if err != nil {
		return err
	}
	for i, name := range names[1:] {
		if slices.Contains(names[1:1+i], name) {
			return usageError(fmt.Sprintf("%.40q is given twice", name))
		}
	}
	if err := c.control.UnsetVariables(ctx, who, app, names[1:]...); err != nil {
		return err
	}
	for _, name := range names[1:] {
		fmt.Fprintf(std.out, "%s is not set any more\n", name)
	}
	return inForce(app, std)
}

func (c *commands) configList(ctx context.Context, who deploy.Caller, args []string, std stdio) error {
	f := newFlags("config list")
	values := f.Bool("values", false, "")
	names, err := f.parse(args, 1, 1)
	if err != nil {
		return err
	}
	app, err := appNamed(names[0])
	if err != nil {
		return err
	}
	if *values {
		all, err := c.control.VariableValues(ctx, who, app)
		if err != nil {
			return err
		}
		for _, v := range all {
			fmt.Fprintf(std.out, "%s=%s\n", v.Name, shellWord(v.Value))
		}
		return nil
	}
	all, err := c.control.VariableNames(ctx, who, app)
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(std.out, 0, 8, 2, ' ', 0)
	for _, v := range all {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", v.Name, v.Marks(), v.SetAt.UTC().Format("2006-01-02 15:04:05"), v.SetBy)
	}
	return t.Flush()
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
