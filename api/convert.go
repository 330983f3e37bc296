package api

import (
	"encoding/json"
	"time"

	"slipway/deploy"
)

// Words of the domain as the document has them.

func each[T, U any](all []T, of func(T) U) []U {
	made := make([]U, len(all)) // also nothing is a list
	for i, one := range all {
		made[i] = of(one)
	}
	return made
}

func utc(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC()
}

func appOf(a deploy.App) App {
	return App{Name: string(a.Name), GatedRef: string(a.GatedRef), ObjectFormat: a.ObjectFormat, CreatedAt: utc(a.CreatedAt)}
}

func targetOf(s deploy.Standing) Target {
	return Target{
		App: appOf(s.App), Environment: string(deploy.Production), Role: Role(s.Role), Serving: int64(s.State.Serving),
		Revision: string(s.State.Revision), Previous: int64(s.State.Previous), Frozen: s.State.Frozen, FrozenAt: utc(s.State.FrozenAt),
		Drift: s.Drift, Health: healthOf(s), Instances: each(s.Instances, instanceOf), Queue: each(s.Queue, waitingOf),
	}
}

// healthOf is the health of the instances together.
func healthOf(s deploy.Standing) TargetHealth {
	up := 0
	for _, i := range s.Instances {
		if i.State.Running {
			up++
		}
	}
	switch {
	case s.State.Serving == 0:
		return "nothing"
	case len(s.Instances) == 0:
		return "elsewhere"
	case up == 0:
		return "down"
	case up < len(s.Instances):
		return "degraded"
	}
	return "up"
}

func instanceOf(i deploy.RunningInstance) Instance {
	return Instance{
		Process: i.Process, Index: i.Index, Release: int64(i.Release), Running: i.State.Running, StartedAt: utc(i.State.StartedAt),
		Restarts: i.State.Restarts, Memory: i.State.Memory, CPU: float32(i.State.CPU.Seconds()), LastExit: i.State.LastExit,
	}
}

func waitingOf(w deploy.Waiting) Waiting {
	return Waiting{
		Number: int64(w.Number), App: string(w.Target.App), Environment: string(w.Target.Environment), User: string(w.User),
		Place: w.Place, Stage: string(w.Stage), Since: utc(w.Since),
	}
}

func deploymentOf(d deploy.Deployment) Deployment {
	out := Deployment{
		Number: int64(d.Number), App: string(d.App), Environment: string(d.Environment), Ref: string(d.Ref), Old: string(d.Old), New: string(d.New),
		Subject: d.Commit.Subject, Author: d.Commit.Author, AuthoredAt: utc(d.Commit.AuthoredAt),
		Pusher: Person{User: string(d.Pusher.User), Admin: d.Pusher.Admin, Key: d.Pusher.Fingerprint, IP: d.Pusher.IP},
		Status: Status(d.Status), Code: string(d.Code), Reason: d.Reason, FailedStage: string(d.FailedStage), Previous: int64(d.Previous),
		QueuedAt: utc(d.QueuedAt), StartedAt: utc(d.StartedAt), SwitchedAt: utc(d.SwitchedAt), FinishedAt: utc(d.FinishedAt), RefMoved: d.RefMoved,
	}
	if d.Bypass != nil {
		out.Bypass = Bypass{Reason: d.Bypass.Reason, Forced: d.Bypass.Forced}
	}
	if d.Again != nil {
		out.Again = Again{Kind: string(d.Again.Kind), Of: int64(d.Again.Of), Reason: d.Again.Reason}
	}
	return out
}

func stageOf(s deploy.StageRecord) Stage {
	return Stage{
		Name: string(s.Name), Outcome: string(s.Outcome), Reason: s.Reason, StartedAt: utc(s.StartedAt), FinishedAt: utc(s.FinishedAt),
		Size: s.Size, Sha256: s.SHA256,
		Checks: each(s.Checks, func(c deploy.Check) Check {
			return Check{Name: c.Name, Outcome: string(c.Outcome), Detail: c.Detail}
		}),
	}
}

func commitOf(c deploy.CommitOf) Commit {
	return Commit{ID: string(c.ID), Subject: c.Subject, Author: c.Author, AuthoredAt: utc(c.AuthoredAt)}
}

func fileChangeOf(f deploy.FileChange) FileChange {
	return FileChange{Path: f.Path, OldPath: f.OldPath, Added: f.Added, Deleted: f.Deleted, Binary: f.Binary, Patch: f.Patch}
}

func eventOf(e deploy.Event) Event {
	out := Event{
		Sequence: int64(e.Sequence), ID: e.ID, Type: string(e.Type), At: utc(e.At),
		Actor: Actor{Type: string(e.Actor.Type), Name: e.Actor.Name, Key: e.Actor.Key, IP: e.Actor.IP, Origin: e.Actor.Origin},
		App:   string(e.App), Environment: string(e.Environment), Ref: string(e.Ref), Old: string(e.Old), New: string(e.New),
		Deployment: int64(e.Deployment), Stage: string(e.Stage), Outcome: string(e.Outcome), Reason: e.Reason,
	}
	if len(e.Data) > 0 && json.Unmarshal(e.Data, &out.Data) == nil {
		delete(out.Data, "hash") // of a secret
	}
	return out
}

func userOf(u deploy.User) User {
	return User{Name: string(u.Name), Role: Role(u.Role), CreatedAt: utc(u.CreatedAt)}
}

func keyOf(k deploy.Key) Key {
	return Key{Fingerprint: k.Fingerprint, Line: k.Line, AddedAt: utc(k.AddedAt)}
}

func tokenOf(t deploy.Token) Token {
	return Token{ID: t.ID, Name: t.Name, User: string(t.User), Limit: limitOf(t.Limit), CreatedAt: utc(t.CreatedAt), ExpiresAt: utc(t.ExpiresAt)}
}

func limitOf(l deploy.Limit) Limit { return Limit{Role: Role(l.Role), App: string(l.App)} }
