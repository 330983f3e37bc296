package sandbox

import (
	"context"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"
)

// Stdio is a command's input and output. Nil is nothing to read, or dropped. Out and Err may be the same
// writer, which then sees both in order.
type Stdio struct {
	In       io.Reader
	Out, Err io.Writer
}

// lastMoment is for output that is on its way when nobody waits any more.
const lastMoment = 300 * time.Millisecond

// plumbing connects a command's descriptors to readers and writers.
type plumbing struct {
	inherited []*os.File // the command's ends
	ours      []*os.File
	copies    []func()
	outputs   sync.WaitGroup
	words     *lastWords // of standard error, if that is not a file
}

func (p *plumbing) connect(cmd *exec.Cmd, s Stdio) error {
	if err := p.input(cmd, s.In); err != nil {
		return err
	}
	out, err := p.output(s.Out)
	if err != nil {
		return err
	}
	errors := out
	if !same(s.Out, s.Err) {
		if errors, err = p.output(s.Err); err != nil {
			return err
		}
	}
	if out != nil {
		cmd.Stdout = out
	}
	if errors != nil {
		cmd.Stderr = errors
	}
	return nil
}

func (p *plumbing) input(cmd *exec.Cmd, r io.Reader) error {
	if r == nil {
		return nil
	}
	if f, ok := r.(*os.File); ok {
		cmd.Stdin = f
		return nil
	}
	theirs, ours, err := os.Pipe()
	if err != nil {
		return err
	}
	p.inherited, p.ours = append(p.inherited, theirs), append(p.ours, ours)
	cmd.Stdin = theirs
	p.copies = append(p.copies, func() {
		_, _ = io.Copy(ours, r) // the command need not read it all
		ours.Close()
	})
	return nil
}

// output returns the file that the command writes to: w itself if it is one, else a pipe.
func (p *plumbing) output(w io.Writer) (*os.File, error) {
	if w == nil {
		return nil, nil
	}
	if f, ok := w.(*os.File); ok {
		return f, nil
	}
	ours, theirs, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p.inherited, p.ours = append(p.inherited, theirs), append(p.ours, ours)
	words := &lastWords{}
	p.words = words // standard error is connected last
	p.outputs.Add(1)
	p.copies = append(p.copies, func() {
		defer p.outputs.Done()
		_, err := io.Copy(io.MultiWriter(words, w), ours)
		if err != nil {
			_, _ = io.Copy(io.Discard, ours) // a writer that fails must not stop the command
		}
	})
	return theirs, nil
}

// run begins to copy.
func (p *plumbing) run() {
	for _, c := range p.copies {
		go c()
	}
	p.copies = nil
}

func (p *plumbing) closeInherited() {
	for _, f := range p.inherited {
		f.Close()
	}
	p.inherited = nil
}

// finish waits until all output has been written, or ctx and a moment have passed, then closes our ends.
func (p *plumbing) finish(ctx context.Context) {
	written := make(chan struct{})
	go func() {
		p.outputs.Wait()
		close(written)
	}()
	select {
	case <-written:
	case <-ctx.Done():
		select {
		case <-written:
		case <-time.After(lastMoment):
		}
	}
	for _, f := range p.ours {
		f.Close()
	}
}

// abandon closes everything of a command that was not started.
func (p *plumbing) abandon() {
	p.closeInherited()
	for _, f := range p.ours {
		f.Close()
	}
}

// same tells whether a and b are the same writer. Writers that cannot be compared are not.
func same(a, b io.Writer) (equal bool) {
	defer func() { _ = recover() }()
	return a == b
}

// lastWords keeps the end of what is written to it.
type lastWords struct {
	mu  sync.Mutex
	end []byte
}

const lastWordsSize = 2048

// Write keeps the end of b.
func (l *lastWords) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end = append(l.end, b[max(0, len(b)-lastWordsSize):]...)
	l.end = l.end[max(0, len(l.end)-lastWordsSize):]
	return len(b), nil
}

func (l *lastWords) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.end)
}
