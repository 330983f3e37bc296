package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"slipway/deploy"
)

const (
	// followInterval is how often a followed log is looked at.
	followInterval = 20 * time.Millisecond
	// endInterval is how often is looked whether a log that does not grow has ended.
	endInterval = 200 * time.Millisecond
	// maxPiece is how much of a log is handed on at once, in bytes.
	maxPiece = 64 << 10
)

// Follow hands a log on from an offset in it, as it grows, until its stage or deployment has ended. send
// gets whole lines, but for parts of one that is longer than 64 KiB, and the offset after them, from
// which somebody else can go on; it may block, and its error ends the following.
func (c *Control) Follow(ctx context.Context, who deploy.Caller, n deploy.Number, name string, from int64, send func(text []byte, next int64) error) error {
	path, err := c.LogPath(ctx, who, n, name)
	if err != nil {
		return err
	}
	f := &follower{path: path, at: from, send: send, buffer: make([]byte, maxPiece)}
	defer f.close()
	look := time.NewTicker(followInterval)
	defer look.Stop()
	ended, asked := false, time.Time{}
	for {
		sent, err := f.pass(ended)
		if err != nil || ended && !sent {
			return err
		}
		if sent {
			continue
		}
		if time.Since(asked) >= endInterval {
			asked = time.Now()
			if ended, err = c.logEnded(ctx, n, name); err != nil {
				return err
			}
			continue
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// logEnded tells whether a log does not grow any more.
func (c *Control) logEnded(ctx context.Context, n deploy.Number, name string) (bool, error) {
	if !c.Pipeline.Running(n) || name == Transcript {
		return !c.Pipeline.Running(n), nil
	}
	stages, err := c.Records.Stages(ctx, n)
	for _, s := range stages {
		if string(s.Name) == name {
			return s.Outcome != "", err
		}
	}
	return false, err
}

// follower reads a file that grows.
type follower struct {
	path   string
	file   *os.File // nil until it is there
	at     int64
	send   func([]byte, int64) error
	buffer []byte
}

// pass hands on what is there, and tells whether there was anything. A line without its end is handed on
// when there will be no more.
func (f *follower) pass(ended bool) (bool, error) {
	if f.file == nil {
		file, err := os.Open(f.path)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("opening a log: %w", err)
		}
		f.file = file
	}
	size, err := f.file.ReadAt(f.buffer, f.at)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, fmt.Errorf("reading a log: %w", err)
	}
	piece := f.buffer[:size]
	if end := bytes.LastIndexByte(piece, '\n') + 1; end > 0 {
		piece = piece[:end]
	} else if size < len(f.buffer) && !ended {
		return false, nil
	}
	if len(piece) == 0 {
		return false, nil
	}
	f.at += int64(len(piece))
	return true, f.send(piece, f.at)
}

func (f *follower) close() {
	if f.file != nil {
		f.file.Close()
	}
}
