package gitserver_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"slipway/deploy"
	"slipway/gitserver/pktline"
)

// rawPush is a client that speaks the protocol by itself, with the capabilities that it likes.
type rawPush struct {
	session *gossh.Session
	client  *gossh.Client
	stdin   io.WriteCloser
	stdout  io.Reader
	stderr  *bytes.Buffer
}

// beginRawPush begins a push of which nothing has been sent yet.
func beginRawPush(t *testing.T, alice *person) *rawPush {
	t.Helper()
	p := &rawPush{client: dial(t, alice), stderr: &bytes.Buffer{}}
	var err error
	p.session, err = p.client.NewSession()
	must(t, err)
	p.session.Stderr = p.stderr
	p.stdin, err = p.session.StdinPipe()
	must(t, err)
	p.stdout, err = p.session.StdoutPipe()
	must(t, err)
	must(t, p.session.Start("git-receive-pack '/shop'"))
	readAdvertisement(t, p.stdout)
	return p
}

// rawPush begins a push of updates ("old new ref") and sends the pack of alice's HEAD.
func (w *world) rawPush(alice *person, capabilities string, updates ...string) *rawPush {
	w.Helper()
	p := beginRawPush(w.T, alice)
	var list bytes.Buffer
	packets := pktline.NewWriter(&list)
	for i, u := range updates {
		if i == 0 {
			u += "\x00" + capabilities
		}
		must(w.T, packets.String(u))
	}
	must(w.T, packets.Flush())
	o := alice.run("sh", "-c", "git rev-list --objects HEAD | git pack-objects -q --stdout")
	// A server that refuses may have ended before it has everything.
	if _, err := io.WriteString(p.stdin, list.String()+o.stdout); !errors.Is(err, io.EOF) {
		must(w.T, err)
	}
	return p
}

// report reads the answer of a client without side bands.
func (p *rawPush) report(t *testing.T) []string {
	t.Helper()
	var lines []string
	for packets := pktline.NewReader(p.stdout); ; {
		kind, payload, err := packets.Next()
		if errors.Is(err, io.EOF) {
			return lines
		}
		must(t, err)
		if kind == pktline.Data {
			lines = append(lines, pktline.Text(payload))
		}
	}
}

func create(oid deploy.OID, ref string) string {
	return fmt.Sprintf("%s %s %s", strings.Repeat("0", len(oid)), oid, ref)
}

// An old client, without side bands: progress comes on standard error.
func TestClientWithoutSideBand(t *testing.T) {
	w := newWorld(t, "sha1")
	alice := w.alice(t)
	one := alice.start("sha1")
	w.gate.admit = func(_ context.Context, _ deploy.Offer, progress io.Writer) deploy.Answer {
		fmt.Fprintln(progress, "\x1b[31mbuilding\x1b[0m\x1b[2J")
		return deploy.Answer{Line: "no"}
	}
	p := w.rawPush(alice, "report-status", create(one, "refs/heads/main"), create(one, "refs/heads/other"))
	if got := strings.Join(p.report(t), "|"); got != "unpack ok|ng refs/heads/main no|ok refs/heads/other" {
		t.Errorf("reported %q", got)
	}
	must(t, p.session.Wait())
	if got := p.stderr.String(); got != "\x1b[31mbuilding\x1b[0m\n" {
		t.Errorf("progress %q", got)
	}
}

// What only a client of somebody's own making sends.
func TestOddUpdates(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		alice := w.alice(t)
		one := alice.start(w.format())
		format := " object-format=" + w.format()
		p := w.rawPush(alice, "report-status"+format,
			create(one, "refs/heads/twice"), create(one, "refs/heads/twice"),
			create(one, "HEAD"), create(one, "refs/heads"), create(one, "refs/heads/../../x"),
			create(one, "refs/heads/a.lock"), create(one, "refs/heads/good"))
		report := strings.Join(p.report(t), "\n")
		contains(t, report, "ng refs/heads/twice named twice in one push", "ng HEAD funny refname", "ng refs/heads/../../x not a ref name", "ng refs/heads/a.lock not a ref name", "ok refs/heads/good")
		if n := strings.Count(report, "\nok "); n != 1 {
			t.Errorf("%d were taken:\n%s", n, report)
		}
		// An atomic push of which git alone refuses a part.
		p = w.rawPush(alice, "report-status atomic"+format, create(one, "refs/heads/main"), create(one, "HEAD"))
		report = strings.Join(p.report(t), "\n")
		contains(t, report, "ng refs/heads/main another ref of this atomic push is refused", "ng HEAD ")
		if len(w.gate.seen()) > 0 {
			t.Error("it got to the gate")
		}
	})
}

// What git sends when it refuses by itself what its user wants pushed, with push options: no update, the
// options, and in a write of its own the end of them. The connection lasts until it has sent that, or git would die of
// SIGPIPE before it has told its user why.
func TestPushOfNothing(t *testing.T) {
	w := newWorld(t, "sha1")
	alice := w.alice(t)
	alice.start("sha1")
	p := beginRawPush(t, alice)
	ended := make(chan error, 1)
	go func() { ended <- p.session.Wait() }()
	_, err := io.WriteString(p.stdin, "0000"+"0011reason=urgent")
	must(t, err)
	select {
	case err := <-ended:
		t.Fatalf("it has ended before the client has (%v)", err)
	case <-time.After(500 * time.Millisecond):
	}
	_, err = io.WriteString(p.stdin, "0000")
	must(t, errors.Join(err, p.stdin.Close()))
	select {
	case err := <-ended:
		must(t, err)
	case <-time.After(4 * time.Second):
		t.Error("it goes on after the client has ended")
	}
}

func TestSignedPush(t *testing.T) {
	w := newWorld(t, "sha1")
	alice := w.alice(t)
	one := alice.start("sha1")
	p := w.rawPush(alice, "report-status", "push-cert", create(one, "refs/heads/main"))
	p.report(t)
	if err := p.session.Wait(); err == nil || !strings.Contains(p.stderr.String(), "slipway: signed pushes are not supported") {
		t.Errorf("%v: %s", err, p.stderr)
	}
}

// While the gate is silent, git says that it is there.
func TestKeepalive(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 5 s, which is git's interval")
	}
	w := newWorld(t, "sha1")
	alice := w.alice(t)
	one := alice.start("sha1")
	release := make(chan struct{})
	w.gate.admit = func(ctx context.Context, o deploy.Offer, _ io.Writer) deploy.Answer {
		select {
		case <-release:
		case <-time.After(20 * time.Second):
			t.Error("no keepalive came")
		}
		return w.gate.accept(ctx, o, 1)
	}
	p := w.rawPush(alice, "report-status side-band-64k", create(one, "refs/heads/main"))
	var report bytes.Buffer
	kept := 0
	for packets := pktline.NewReader(p.stdout); ; {
		kind, payload, err := packets.Next()
		must(t, err)
		if kind == pktline.Flush {
			break
		}
		band, data, err := pktline.SplitBand(payload)
		must(t, err)
		if band == pktline.BandData && len(data) == 0 {
			if kept++; kept == 1 {
				close(release)
			}
		}
		report.Write(data)
	}
	contains(t, report.String(), "ok refs/heads/main")
}
