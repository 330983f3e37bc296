package gitserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"slipway/deploy"
	"slipway/gitserver/hook"
	"slipway/gitserver/repo"
)

// decision is a push whose objects are all there, and whose refs are to be moved or not.
type decision struct {
	*push
	request
	ctx      context.Context // ends when the pusher goes away, or the server shuts down
	progress io.Writer       // what the pusher reads
	results  []result        // one for each update, in its place
}

// errGitGone is why a decision's context has ended when git has.
var errGitGone = errors.New("git receive-pack has ended")

// procReceive decides a push and answers git.
func (p *push) procReceive(base context.Context, call *hook.Call) error {
	// A few packets for what the pusher says, and for names that git refuses by itself.
	q, err := readRequest(call, call.Stdout(), p.commands.limit+maxOptions)
	if err != nil {
		return err
	}
	ctx, end := p.whilePusherWaits(base)
	defer end(nil)
	go func() {
		// Git says no more, and closes when it has the answers. Earlier it has died.
		_, _ = io.Copy(io.Discard, call)
		end(errGitGone)
	}()
	printed := newProgress(call.Stderr(), progressPatience)
	defer printed.finish() // after a panic, too
	d := &decision{push: p, request: q, ctx: ctx, progress: newTerminal(printed), results: make([]result, len(q.updates))}
	named := map[deploy.RefName]int{}
	for _, u := range q.updates {
		named[u.Ref]++
	}
	for i, u := range q.updates {
		d.results[i] = result{update: u, reason: d.refusal(u, named[u.Ref])}
	}
	if reason := d.forbidden(); reason != "" {
		d.refuseAll(reason)
	}
	err = p.session.server.config.Repos.SyncObjects(p.app.Name)
	switch {
	case err != nil:
	case q.atomic:
		d.together()
	default:
		d.oneByOne()
	}
	if head := p.session.server.config.Head; head != nil {
		fmt.Fprintf(d.progress, "audit head %s\n", head())
	}
	printed.finish()
	if err != nil {
		d.refuseAll("internal error")
	}
	d.recordRefusals()
	if err != nil {
		return err
	}
	return writeResults(call.Stdout(), d.results)
}

const notAnyMore = "you may not push here any more"

// forbidden says why the pusher may not push any more, or "": sending a pack takes time.
func (d *decision) forbidden() string {
	directory := d.session.server.config.Directory
	user, err := directory.UserByKey(d.ctx, d.session.caller.Pusher.Fingerprint)
	var role deploy.Role
	if err == nil {
		_, role, err = directory.Access(d.ctx, user.Name, d.app.Name)
	}
	switch {
	case err != nil && !errors.Is(err, deploy.ErrNotFound):
		return d.fault("looking up the pusher again", err)
	case err != nil || user.Name != d.session.caller.User.Name || !deploy.Allows(user.Role, role, deploy.RightPush):
		return notAnyMore
	}
	d.session.caller.Pusher.Admin = user.Role == deploy.RoleAdmin
	return ""
}

// whilePusherWaits returns a context that ends with the server, or when the pusher has gone who would
// wait for a report. One who does not ask for a report hangs up and still means it.
func (p *push) whilePusherWaits(base context.Context) (context.Context, context.CancelCauseFunc) {
	ctx, end := context.WithCancelCause(base)
	context.AfterFunc(p.session.base, func() { end(errShutdown) })
	if p.commands.wantsReport() {
		context.AfterFunc(p.session.ctx, func() { end(context.Cause(p.session.ctx)) })
	}
	return ctx, end
}

// gated is the ref that goes through the gate.
func (p *push) gated() deploy.RefName {
	if p.app.GatedRef == "" {
		return repo.DefaultRef
	}
	return p.app.GatedRef
}

// refusal says what is wrong with an update of a ref that is named so many times, or "".
func (d *decision) refusal(u deploy.RefUpdate, times int) string {
	gated := d.gated()
	switch {
	case times > 1:
		return "named twice in one push"
	case repo.CheckRefName(u.Ref) != nil:
		return "not a ref name"
	case u.Ref == gated && u.New.IsZero():
		return fmt.Sprintf("%s is what production runs and cannot be deleted", gated.Short())
	case strings.HasPrefix(string(u.Ref), string(gated)+"/") || strings.HasPrefix(string(gated), string(u.Ref)+"/"):
		return fmt.Sprintf("the name is in the way of the gated branch %s", gated.Short())
	case strings.HasPrefix(string(u.Ref), "refs/slipway/"):
		return "refs/slipway is the server's own"
	}
	return ""
}

// oneByOne lets each update stand for itself.
func (d *decision) oneByOne() {
	d.store(d.indexes(func(r result) bool { return r.reason == "" && r.update.Ref != d.gated() }))
	for _, i := range d.indexes(func(r result) bool { return r.reason == "" && r.update.Ref == d.gated() }) {
		offer, reason := d.offer(d.results[i].update)
		if reason == "" {
			reason = d.admit(i, offer)
		}
		d.results[i].reason = reason
	}
}

// together moves all refs or none. Beside a gated ref the others are locked, and known to be free to
// move, for as long as the gate takes.
func (d *decision) together() {
	if len(d.updates) != d.commands.count() {
		d.refuseAll("another ref of this atomic push is refused")
		return
	}
	var offer *deploy.Offer
	gate := -1
	for i, r := range d.results {
		if r.reason == "" && r.update.Ref == d.gated() {
			o, reason := d.offer(r.update)
			gate, offer, d.results[i].reason = i, &o, reason
		}
	}
	if d.anyRefused() {
		d.refuseAll(atomicFailed)
		return
	}
	others := d.indexes(func(r result) bool { return r.update.Ref != d.gated() })
	if gate >= 0 && slices.ContainsFunc(others, func(i int) bool { return d.updates[i].New.IsZero() }) {
		d.refuseAll("an atomic push cannot delete refs beside the gated branch: delete them in a push of their own")
		return
	}
	transaction, reason := d.prepare(others)
	if reason != "" {
		d.refuseAll(reason)
		return
	}
	defer func() { _ = transaction.Abort() }()
	if gate >= 0 {
		if reason := d.admit(gate, *offer); reason != "" {
			d.results[gate].reason = reason
			d.refuseAll(atomicFailed)
			return
		}
	}
	d.commit(transaction, others)
}

func (d *decision) indexes(include func(result) bool) []int {
	var list []int
	for i, r := range d.results {
		if include(r) {
			list = append(list, i)
		}
	}
	return list
}

func (d *decision) anyRefused() bool {
	return slices.ContainsFunc(d.results, func(r result) bool { return r.reason != "" })
}

// atomicFailed is why those refs are refused that had to share the fate of another one.
const atomicFailed = "atomic push failed"

// refuseAll refuses what is not refused yet.
func (d *decision) refuseAll(reason string) {
	for i := range d.results {
		if d.results[i].reason == "" {
			d.results[i].reason = reason
		}
	}
}

// manifest is the file that the gate reads of every offer.
const manifest = "slipway.toml"

// offer makes an update of the gated ref an offer, unless it is refused early.
func (d *decision) offer(u deploy.RefUpdate) (deploy.Offer, string) {
	if reason := d.badOptions(); reason != "" {
		return deploy.Offer{}, reason
	}
	commit, revision, err := d.reader.Open(d.ctx, u.New, manifest)
	if errors.Is(err, repo.ErrNotCommit) {
		return deploy.Offer{}, "not a commit"
	}
	if err != nil {
		return deploy.Offer{}, d.fault("reading the pushed commit", err)
	}
	offer := deploy.Offer{App: d.app.Name, Update: u, Pusher: d.session.caller.Pusher, Options: d.options, Commit: commit, Revision: revision}
	err = d.check(offer)
	if rejection, ok := deploy.AsRejection(err); ok {
		d.heard(u.Ref)
		d.explain(rejection)
		return offer, lineOf(rejection)
	}
	if err != nil {
		return offer, d.fault("checking an offer", err)
	}
	return offer, ""
}

// badOptions says what is wrong with the push options, or "".
func (d *decision) badOptions() string {
	bytes := 0
	for _, o := range d.options {
		bytes += len(o)
		if strings.ContainsFunc(o, unicode.IsControl) {
			return "a push option holds control characters"
		}
	}
	if len(d.options) > maxOptions || bytes > maxOptionBytes {
		return "too many push options"
	}
	return ""
}

// admit waits for the gate's answer to the offer at index i; "" means that the ref has moved.
func (d *decision) admit(i int, offer deploy.Offer) string {
	if d.ctx.Err() != nil {
		return "canceled: " + context.Cause(d.ctx).Error()
	}
	d.results[i].heard = true
	answer := d.ask(offer)
	if !answer.Accepted {
		if answer.Line == "" {
			answer.Line = "rejected"
		}
		return answer.Line
	}
	repos := d.session.server.config.Repos
	if move, ok := repos.LastMove(d.app.Name, offer.Update.Ref, offer.Update.New); ok && !move.Old.IsZero() && move.Old != offer.Update.Old {
		// The pusher knows an older place than the one the ref has left.
		ancestor, err := offer.Revision.DescendsFrom(context.WithoutCancel(d.ctx), move.Old)
		d.results[i].was, d.results[i].forced = move.Old, err == nil && !ancestor
	}
	return ""
}

// check calls the gate; one that panics has a fault.
func (d *decision) check(offer deploy.Offer) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in the gate: %v", p)
		}
	}()
	return d.session.server.config.Gate.Check(d.ctx, offer)
}

// ask calls the gate; a gate that panics has not accepted.
func (d *decision) ask(offer deploy.Offer) (answer deploy.Answer) {
	defer func() {
		if p := recover(); p != nil {
			d.session.server.logger.Error("panic in the gate", "app", d.app.Name, "revision", offer.Update.New, "panic", p)
			answer = deploy.Answer{Line: "internal error"}
		}
	}()
	return d.session.server.config.Gate.Admit(d.ctx, offer, d.progress)
}

// explain prints a rejection for the pusher: what is wrong, the last lines of what failed, what to do.
func (d *decision) explain(r *deploy.Rejection) {
	lines := []string{"refused: " + r.Message}
	for _, line := range r.Tail {
		lines = append(lines, "  "+line)
	}
	if r.Hint != "" {
		lines = append(lines, strings.Split(r.Hint, "\n")...)
	}
	fmt.Fprintln(d.progress, strings.Join(lines, "\n"))
}

func lineOf(r *deploy.Rejection) string {
	if r.Line != "" {
		return r.Line
	}
	return r.Message
}

// fault logs what went wrong on our side and returns what the pusher may know of it.
func (d *decision) fault(doing string, err error) string {
	if d.ctx.Err() != nil {
		return "canceled: " + context.Cause(d.ctx).Error()
	}
	d.session.server.logger.Error(doing, "app", d.app.Name, "user", d.session.caller.User.Name, "error", err)
	return "internal error"
}
