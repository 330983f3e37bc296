package manifest

import (
	"fmt"
	"slices"
	"strings"

	"slipway/deploy"
)

// rules notes what is wrong between keys that are right by themselves.
func (r *reader) rules() {
	r.external()
	r.needs()
	r.cycles()
	r.caches()
	r.ports()
}

// at returns where a label stands, if it was written.
func (r *reader) at(label string) (n *node, written bool) {
	n, written = r.seen[label]
	return n, written
}

// refuse notes a mistake at the key with that label, if it was written.
func (r *reader) refuse(label, found, want string) {
	if n, ok := r.at(label); ok {
		r.fail(n.at, n.width, found, want)
	}
}

// external checks that production is here or elsewhere, and not half of each.
func (r *reader) external() {
	_, run := r.at("[deploy] run")
	if !run {
		r.refuse("[deploy] undo", "[deploy] undo has no run to undo", "it goes with [deploy] run, where production is elsewhere")
		r.refuse("[health] url", "[health] url is for a production elsewhere, and [deploy] has no run", `here write [health] path, such as path = "/up"`)
		r.refuse("[verify] url", "[verify] url is for a production elsewhere, and [deploy] has no run", "what serves here is verified without it")
		return
	}
	missing := func(label, why string) {
		if _, ok := r.at(label); !ok {
			r.refuse("[deploy] run", "[deploy] run needs "+label, why)
		}
	}
	missing("[deploy] undo", "the command that puts the previous revision back")
	missing("[health] url", "the address that is probed while the candidate is watched")
	missing("[verify] url", "the address that answers with the revision in production")
	const elsewhere = "[deploy] run puts production elsewhere, where this server starts no instance"
	r.refuse("[deploy] release", "[deploy] release is never run", elsewhere+": do it in run")
	r.refuse("[health] path", "[health] path is never asked for", elsewhere+": write [health] url")
	for _, key := range []string{"error_pattern", "max_memory", "max_cpu", "max_restarts"} {
		r.refuse("[monitor] "+key, "[monitor] "+key+" is never checked", elsewhere)
	}
}

// needs checks that each set named by another exists.
func (r *reader) needs() {
	var known []string
	for _, t := range r.m.Tests {
		known = append(known, t.Name)
	}
	for _, t := range r.m.Tests {
		label := "[test." + t.Name + "] needs"
		for i, need := range t.Needs {
			e := r.element(label, need)
			switch {
			case need == t.Name:
				r.fail(e.start, e.size, fmt.Sprintf("test set %q needs itself", need), "expected the name of another set")
			case slices.Contains(t.Needs[:i], need):
				last := r.lastElement(label, need)
				r.fail(last.start, last.size, fmt.Sprintf("test set %q needs %q twice", t.Name, need), "once is enough")
			case !slices.Contains(known, need):
				r.fail(e.start, e.size, fmt.Sprintf("test set %q needs %q, which does not exist", t.Name, short(need)), r.didYouMean(need, known, t.Name))
			}
		}
	}
}

// didYouMean guesses which set was meant. A file that has more mistakes than are told anyway gets no
// guesses, which would take long.
func (r *reader) didYouMean(written string, known []string, but string) string {
	others := slices.DeleteFunc(slices.Clone(known), func(s string) bool { return s == but })
	if len(r.mistakes) > maxMistakes || len(others) == 0 {
		return "there is no other set of that name"
	}
	if near, ok := nearest(written, others); ok {
		return fmt.Sprintf("did you mean %q?", near)
	}
	if len(others) > 10 {
		return "expected the name of another set"
	}
	return "the other sets are " + strings.Join(others, ", ")
}

// element returns the first element of an array with that value, or the array.
func (r *reader) element(label, value string) *node {
	elements, _ := r.seen[label].value.([]*node)
	for _, e := range elements {
		if e.value == value {
			return e
		}
	}
	return r.seen[label]
}

func (r *reader) lastElement(label, value string) *node {
	elements, _ := r.seen[label].value.([]*node)
	for _, e := range slices.Backward(elements) {
		if e.value == value {
			return e
		}
	}
	return r.seen[label]
}

// cycles notes each circle of sets that wait for each other, once.
func (r *reader) cycles() {
	needs := map[string][]string{}
	for _, t := range r.m.Tests {
		needs[t.Name] = slices.DeleteFunc(slices.Clone(t.Needs), func(s string) bool { return s == t.Name })
	}
	done := map[string]bool{}
	var path []string
	var visit func(name string)
	visit = func(name string) {
		if i := slices.Index(path, name); i >= 0 {
			circle := append(slices.Clone(path[i:]), name)
			if n := len(circle); n > 10 {
				circle = slices.Concat(circle[:5], []string{"…"}, circle[n-4:])
			}
			e := r.element("[test."+path[len(path)-1]+"] needs", name)
			r.fail(e.start, e.size, "test sets need each other in a circle: "+strings.Join(circle, " → "), "one of them must come first")
			return
		}
		if done[name] {
			return
		}
		path = append(path, name)
		for _, need := range needs[name] {
			visit(need)
		}
		path = path[:len(path)-1]
		done[name] = true
	}
	for _, t := range r.m.Tests {
		visit(t.Name)
	}
}

// maxCaches bounds how many folders are kept between builds.
const maxCaches = 32

// caches checks that the kept folders are few, and none is or lies in another.
func (r *reader) caches() {
	all := r.m.Build.Cache
	if len(all) > maxCaches {
		r.refuse("[build] cache", fmt.Sprintf("[build] cache names %d folders", len(all)), fmt.Sprintf("expected at most %d", maxCaches))
		return
	}
	for i, a := range all {
		if first, _, _ := strings.Cut(a, "/"); first == ".git" || a == fileName {
			r.refuse("[build] cache", fmt.Sprintf("[build] cache names %q", short(a)), "expected a folder that the build fills")
		}
		for _, b := range all[:i] {
			if a == b || strings.HasPrefix(a, b+"/") || strings.HasPrefix(b, a+"/") {
				r.refuse("[build] cache", fmt.Sprintf("[build] cache names %q and %q, which overlap", short(b), short(a)), "expected folders apart from each other")
			}
		}
	}
}

// ports checks that a process does not choose its own port, which the server gives it.
func (r *reader) ports() {
	for _, p := range r.m.Processes {
		if _, ok := p.Env["PORT"]; ok {
			r.refuse("[process."+p.Name+"] env", "[process."+p.Name+"] env sets PORT", "the server gives each instance a port of its own in $PORT; listen on 127.0.0.1:$PORT")
		}
	}
}

// needWeb notes each set that runs beside an app which has no process for its traffic.
func (r *reader) needWeb() {
	if _, ok := r.m.Web(); ok {
		return
	}
	for _, t := range r.m.Tests {
		if t.App {
			r.refuse("[test."+t.Name+"] app", fmt.Sprintf("test set %q wants the app beside it, and there is no process %q", t.Name, deploy.WebProcess), "expected a section [process.web]")
		}
	}
}
