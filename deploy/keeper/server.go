package keeper

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"slipway/deploy/sockets"
)

// The socket speaks lines of JSON: one order, one answer, and the connection ends.
type order struct {
	Do    string        `json:"do"` // status, keep, restart, stop, wait
	Grace time.Duration `json:"grace,omitempty"`
}

type answer struct {
	Status Status `json:"status"`
	Error  string `json:"error,omitempty"`
}

const (
	orderLimit = 4 << 10
	orderTime  = 5 * time.Second // to say what is wanted, and to take the answer
)

// server answers on the keeper's socket.
type server struct {
	keeper   *keeper
	listener *net.UnixListener
	path     string
	open     sync.WaitGroup
}

// listen opens the socket, in place of one that a dead keeper left, and records who listens.
func (k *keeper) listen() (*server, error) {
	path := filepath.Join(k.cfg.Dir, socketFile)
	l, err := sockets.Listen(path)
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", path, err)
	}
	s := &server{keeper: k, listener: l, path: path}
	if err := writeStatus(k.cfg.Dir, k.snapshot()); err != nil { // nobody could find it
		l.Close()
		return nil, err
	}
	go s.accept()
	return s, nil
}

func (s *server) accept() {
	_ = sockets.Accept(context.Background(), s.listener, s.keeper.cfg.Logger, func(conn net.Conn) {
		s.open.Go(func() {
			defer conn.Close()
			s.serve(conn)
		})
	}) // until close
}

func (s *server) serve(conn net.Conn) {
	_ = conn.SetReadDeadline(time.Now().Add(orderTime))
	line, err := bufio.NewReader(io.LimitReader(conn, orderLimit)).ReadBytes('\n')
	if err != nil {
		return
	}
	_ = conn.SetReadDeadline(time.Time{})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { // whoever asked and hung up waits no more
		_, _ = conn.Read(make([]byte, 1))
		cancel()
	}()
	var o order
	var a answer
	if err = json.Unmarshal(line, &o); err == nil {
		a.Status, err = s.obey(ctx, o)
	}
	if err != nil {
		a.Error = err.Error()
	}
	b, err := json.Marshal(a)
	if err != nil {
		return
	}
	_ = conn.SetWriteDeadline(time.Now().Add(orderTime))
	_, _ = conn.Write(append(b, '\n'))
}

// obey does what is asked and returns when it is done.
func (s *server) obey(ctx context.Context, o order) (Status, error) {
	k := s.keeper
	before := k.snapshot()
	request := request{grace: o.Grace}
	var wanted func(Status) bool
	switch o.Do {
	case "status":
		return before, nil
	case "wait":
		return k.await(ctx, func(now Status) bool { return !now.Running || now.Starts != before.Starts })
	case "keep":
		wanted = func(now Status) bool { return !now.Trial }
	case "restart":
		request.intent = restart
		wanted = func(now Status) bool { return now.Starts > before.Starts }
	case "stop":
		request.intent = stop
		wanted = func(now Status) bool { return now.Stopped }
	default:
		return before, fmt.Errorf("unknown order %.20q", o.Do)
	}
	if err := k.ask(ctx, request); err != nil {
		return before, err
	}
	return k.await(ctx, wanted)
}

// close takes the socket away and lets those who were told wait a moment for their answers.
func (s *server) close() {
	s.listener.Close()
	_ = os.Remove(s.path)
	answered := make(chan struct{})
	go func() {
		s.open.Wait()
		close(answered)
	}()
	select {
	case <-answered:
	case <-time.After(time.Second):
	}
}
