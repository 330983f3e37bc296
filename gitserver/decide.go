package gitserver

import (
	"cmp"
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
		d.results[i] = result{update: u, refused: d.unfit(u, named[u.Ref])}
	}
	if refused := d.forbidden(); refused != nil {
		d.refuseAll(refused)
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
		d.refuseAll(internalError())
	}
	d.recordRefusals()
	if err != nil {
		return err
	}
	return writeResults(call.Stdout(), d.results)
}

// forbidden says why the pusher may not push any more, or nil: sending a pack takes time.
func (d *decision) forbidden() *deploy.Rejection {
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
		return deploy.Reject(deploy.CodeForbidden, "you may not push here any more")
	}
	d.session.caller.Pusher.Admin = user.Role == deploy.RoleAdmin
	return nil
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

// unfit says what is wrong with an update of a ref that is named so many times, or nil.
func (d *decision) unfit(u deploy.RefUpdate, times int) *deploy.Rejection {
	gated := d.gated()
	switch {
	case times > 1:
		return deploy.Reject(deploy.CodeUsage, "named twice in one push")
	case repo.CheckRefName(u.Ref) != nil:
		return deploy.Reject(deploy.CodeUsage, "not a ref name")
	case u.Ref == gated && u.New.IsZero():
		return deploy.Reject(deploy.CodeDelete, "%s is what production runs and cannot be deleted", gated.Short())
	case strings.HasPrefix(string(u.Ref), string(gated)+"/") || strings.HasPrefix(string(gated), string(u.Ref)+"/"):
		return deploy.Reject(deploy.CodeUsage, "the name is in the way of the gated branch %s", gated.Short())
	case strings.HasPrefix(string(u.Ref), "refs/slipway/"):
		return deploy.Reject(deploy.CodeUsage, "refs/slipway is the server's own")
	}
	return nil
}

// oneByOne lets each update stand for itself.
func (d *decision) oneByOne() {
	d.store(d.indexes(func(r result) bool { return r.refused == nil && r.update.Ref != d.gated() }))
	for _, i := range d.indexes(func(r result) bool { return r.refused == nil && r.update.Ref == d.gated() }) {
		offer, refused := d.offer(i)
		if refused == nil {
			refused = d.admit(i, offer)
		}
		d.results[i].refused = refused
	}
}

// together moves all refs or none. Beside a gated ref the others are locked, and known to be free to
// move, for as long as the gate takes.
func (d *decision) together() {
	if len(d.updates) != d.commands.count() {
		d.refuseAll(deploy.Reject(deploy.CodeUsage, "another ref of this atomic push is refused"))
		return
	}
	var offer *deploy.Offer
	gate := -1
	for i, r := range d.results {
		if r.refused == nil && r.update.Ref == d.gated() {
			o, refused := d.offer(i)
			gate, offer, d.results[i].refused = i, &o, refused
		}
	}
	if d.anyRefused() {
		d.refuseBeside()
		return
	}
	others := d.indexes(func(r result) bool { return r.update.Ref != d.gated() })
	if gate >= 0 && slices.ContainsFunc(others, func(i int) bool { return d.updates[i].New.IsZero() }) {
		d.refuseAll(deploy.Reject(deploy.CodeUsage, "an atomic push cannot delete refs beside the gated branch: delete them in a push of their own"))
		return
	}
	transaction, refused := d.prepare(others)
	if refused != nil {
		d.refuseAll(refused)
		return
	}
	defer func() { _ = transaction.Abort() }()
	if gate >= 0 {
		if refused := d.admit(gate, *offer); refused != nil {
			d.results[gate].refused = refused
			d.refuseBeside()
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
	return slices.ContainsFunc(d.results, func(r result) bool { return r.refused != nil })
}

// refuseAll refuses what is not refused yet.
func (d *decision) refuseAll(r *deploy.Rejection) {
	for i := range d.results {
		if d.results[i].refused == nil {
			d.results[i].refused = r
		}
	}
}

// refuseBeside refuses those that have to share the fate of one that is refused, with which they are recorded.
func (d *decision) refuseBeside() {
	for i := range d.results {
		if d.results[i].refused == nil {
			d.results[i].refused, d.results[i].recorded = deploy.Reject(deploy.CodeUsage, "atomic push failed"), true
		}
	}
}

// manifest is the file that the gate reads of every offer.
const manifest = "slipway.toml"

// offer makes the update of the gated ref at index i an offer, unless it is refused early.
func (d *decision) offer(i int) (deploy.Offer, *deploy.Rejection) {
	if refused := d.badOptions(); refused != nil {
		return deploy.Offer{}, refused
	}
	u := d.updates[i]
	commit, revision, err := d.reader.Open(d.ctx, u.New, manifest)
	if errors.Is(err, repo.ErrNotCommit) {
		return deploy.Offer{}, deploy.Reject(deploy.CodeUsage, "not a commit")
	}
	if err != nil {
		return deploy.Offer{}, d.fault("reading the pushed commit", err)
	}
	offer := deploy.Offer{App: d.app.Name, Update: u, Pusher: d.session.caller.Pusher, Options: d.options, Commit: commit, Revision: revision}
	err = d.check(offer)
	if rejection, ok := deploy.AsRejection(err); ok {
		d.results[i].recorded = true // by the gate
		d.explain(rejection)
		return offer, rejection
	}
	if err != nil {
		return offer, d.fault("checking an offer", err)
	}
	return offer, nil
}

// badOptions says what is wrong with the push options, or nil.
func (d *decision) badOptions() *deploy.Rejection {
	bytes := 0
	for _, o := range d.options {
		bytes += len(o)
		if strings.ContainsFunc(o, unicode.IsControl) {
			return deploy.Reject(deploy.CodeUsage, "a push option holds control characters")
		}
	}
	if len(d.options) > maxOptions || bytes > maxOptionBytes {
		return deploy.Reject(deploy.CodeUsage, "too many push options")
	}
	return nil
}

// admit waits for the gate's answer to the offer at index i; nil means that the ref has moved.
func (d *decision) admit(i int, offer deploy.Offer) *deploy.Rejection {
	if d.ctx.Err() != nil {
		return d.canceled()
	}
	d.results[i].recorded = true // by the gate
	answer := d.ask(offer)
	if !answer.Accepted {
		return &deploy.Rejection{Line: cmp.Or(answer.Line, "rejected")}
	}
	repos := d.session.server.config.Repos
	if move, ok := repos.LastMove(d.app.Name, offer.Update.Ref, offer.Update.New); ok && !move.Old.IsZero() && move.Old != offer.Update.Old {
		// The pusher knows an older place than the one the ref has left.
		ancestor, err := offer.Revision.DescendsFrom(context.WithoutCancel(d.ctx), move.Old)
		d.results[i].was, d.results[i].forced = move.Old, err == nil && !ancestor
	}
	return nil
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
			answer = deploy.Answer{Line: internalError().Message}
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
func (d *decision) fault(doing string, err error) *deploy.Rejection {
	if d.ctx.Err() != nil {
		return d.canceled()
	}
	d.session.server.logger.Error(doing, "app", d.app.Name, "user", d.session.caller.User.Name, "error", err)
	return internalError()
}

// canceled says why a decision is not made whose context has ended.
func (d *decision) canceled() *deploy.Rejection {
	cause, code := context.Cause(d.ctx), deploy.CodeCanceled
	if errors.Is(cause, errShutdown) {
		code = deploy.CodeUnavailable
	}
	return deploy.Reject(code, "canceled: %v", cause)
}

func internalError() *deploy.Rejection {
	return deploy.Reject(deploy.CodeUnavailable, "internal error")
}
