package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"slipway/deploy"
	"slipway/deploy/audit"
	"slipway/deploy/sockets"
	"slipway/gitserver"
)

// The wire of DATA/slipway.sock. The client sends one line of JSON, then its standard input as it is,
// then closes its half. The server sends frames: one byte that says what it is, four bytes of length
// (big-endian), and as many bytes.
const (
	frameOut  = 1
	frameErr  = 2
	frameExit = 3 // one byte: the exit status; nothing follows
)

// request is what a client asks.
type request struct {
	Args []string `json:"args"`
}

// maxRequest bounds a request's line, in bytes.
const maxRequest = 64 << 10

// maxFrame bounds a frame, in bytes.
const maxFrame = 32 << 10

// commandSocket answers commands on DATA/slipway.sock, which only the server's user can open: whoever can
// is an operator, with every right.
type commandSocket struct {
	listener net.Listener
	commands *commands
	logger   *slog.Logger
}

// listenControl opens the socket. A socket that a dead server left is replaced; the audit log's lock,
// taken before, sees to it that no living one is.
func listenControl(path string, c *commands, logger *slog.Logger) (*commandSocket, error) {
	l, err := sockets.Listen(path)
	if err != nil {
		return nil, fmt.Errorf("listening for commands: %w", err)
	}
	return &commandSocket{listener: l, commands: c, logger: logger}, nil
}

// Run answers until ctx ends, and waits for the commands that run then.
func (c *commandSocket) Run(ctx context.Context) error {
	var serving sync.WaitGroup
	defer serving.Wait()
	err := sockets.Accept(ctx, c.listener, c.logger, func(conn net.Conn) {
		serving.Go(func() { c.serve(ctx, conn) })
	})
	if err != nil {
		return fmt.Errorf("accepting a command: %w", err)
	}
	return nil
}

func (c *commandSocket) serve(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in := bufio.NewReaderSize(conn, maxRequest)
	line, err := in.ReadSlice('\n')
	if len(line) == 0 && errors.Is(err, io.EOF) {
		return // somebody looked whether a server listens
	}
	if err != nil {
		c.logger.Warn("reading a command", "error", err)
		return
	}
	var r request
	if err := json.Unmarshal(line, &r); err != nil {
		c.logger.Warn("reading a command", "error", err)
		return
	}
	out := &frames{conn: conn, lost: cancel}
	go out.look(ctx)
	who := deploy.Caller{Actor: deploy.Actor{Type: deploy.ActorOperator, Name: string(deploy.Operator), Origin: "socket"}, Admin: true}
	std := stdio{in, out.channel(frameOut), gitserver.Text(out.channel(frameErr))}
	if len(r.Args) == 0 || r.Args[0] != "run" { // what an app's command writes may be no text, and was asked for
		std.out = gitserver.Text(std.out)
	}
	status := c.commands.run(ctx, who, r.Args, std)
	out.write(frameExit, []byte{byte(status)})
}

// frames writes the server's half. Its methods are safe for concurrent use.
type frames struct {
	mu   sync.Mutex
	conn net.Conn
	lost context.CancelFunc // called when the client has gone
}

func (f *frames) write(kind byte, b []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	head := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(b)))
	if _, err := f.conn.Write(append(head, b...)); err != nil {
		f.lost()
	}
}

// lookInterval is how often a client that is told nothing is looked after.
const lookInterval = time.Second

// look writes nothing now and then until ctx ends, which finds out when the client has gone: the end of
// its input alone does not tell.
func (f *frames) look(ctx context.Context) {
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			f.write(frameOut, nil)
		case <-ctx.Done():
			return
		}
	}
}

func (f *frames) channel(kind byte) io.Writer { return &channel{f, kind} }

type channel struct {
	*frames
	kind byte
}

func (c *channel) Write(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		n := min(len(rest), maxFrame)
		c.write(c.kind, rest[:n])
		rest = rest[n:]
	}
	return len(b), nil
}

// remoteCommand sends a command to the running server and returns its exit status.
func remoteCommand(ctx context.Context, data string, args []string, std stdio) error {
	dir, err := dataDir(data)
	if err != nil {
		return err
	}
	args, input, err := inputOf(args, std.in)
	if err != nil {
		return err
	}
	path := deploy.Layout(dir).Socket()
	conn, err := sockets.Dial(ctx, path)
	if err != nil {
		return unreachable(dir, err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	b, err := json.Marshal(request{Args: args})
	if err != nil {
		return err
	}
	if len(b) >= maxRequest {
		return usageError(fmt.Sprintf("the command is longer than %d KiB: give a long value by its input", maxRequest>>10))
	}
	if _, err := conn.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("sending the command: %w", err)
	}
	go func() {
		if input != nil {
			_, _ = io.Copy(conn, input)
		}
		_ = conn.CloseWrite()
	}()
	if err := readFrames(bufio.NewReader(conn), std); err != nil || args[0] != "shutdown" {
		return err
	}
	// Whoever shuts a server down may want to start another in its place.
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	return audit.Released(ctx, deploy.Layout(dir).Audit())
}

func unreachable(dir string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("the server in %s is another user's: run this as that user, or as ssh HOST COMMAND", dir)
	}
	return fmt.Errorf("no server runs in %s (%w)\nstart one with: slipway serve -data %s", dir, err, dir)
}

// inputOf returns what is sent of a command and what goes along as its standard input, nil for nothing.
func inputOf(args []string, in io.Reader) ([]string, io.Reader, error) {
	switch {
	case args[0] == "run": // what follows is another program's command line
		return args, in, nil
	case args[0] == "config" && slices.Contains(args, "-"):
		return args, in, nil
	case args[0] == "config":
		return args, nil, nil
	}
	return readKeyFile(args, in)
}

// keyFlag is -key=FILE, or -key with the file in the next word.
var keyFlag = regexp.MustCompile(`^--?key(=(.*))?$`)

// readKeyFile opens the file that -key names, here where the caller's files are: the server gets its
// content as standard input. Standard input goes along only to a command that asks for it by "-".
func readKeyFile(args []string, in io.Reader) ([]string, io.Reader, error) {
	for i, a := range args {
		m := keyFlag.FindStringSubmatch(a)
		if m == nil {
			continue
		}
		at, value := i, m[2]
		if m[1] == "" {
			if i+1 == len(args) {
				break
			}
			at, value = i+1, args[i+1]
		}
		if value == "-" {
			return args, in, nil
		}
		f, err := os.Open(value)
		if err != nil {
			return nil, nil, fmt.Errorf("reading the key: %w", err)
		}
		sent := slices.Clone(args)
		sent[at] = strings.TrimSuffix(args[at], value) + "-"
		return sent, f, nil
	}
	return args, nil, nil
}

func readFrames(r *bufio.Reader, std stdio) error {
	for {
		var head [5]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return fmt.Errorf("the server went away in the middle of the command: %w", err)
		}
		length := binary.BigEndian.Uint32(head[1:])
		if length > maxFrame {
			return fmt.Errorf("the server sent a frame of %d bytes", length)
		}
		b := make([]byte, length)
		if _, err := io.ReadFull(r, b); err != nil {
			return fmt.Errorf("the server went away in the middle of the command: %w", err)
		}
		switch head[0] {
		case frameOut:
			if _, err := std.out.Write(b); err != nil {
				return err
			}
		case frameErr:
			if _, err := std.err.Write(b); err != nil {
				return err
			}
		case frameExit:
			if len(b) == 1 && b[0] != 0 {
				return exitStatus(b[0])
			}
			return nil
		}
	}
}
