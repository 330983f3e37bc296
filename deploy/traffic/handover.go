package traffic

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"slipway/deploy/sockets"
)

// How a router hands over to another one, over the control socket:
//
//	successor                               predecessor
//	POST /handover ─────────────────────▶   locks its table
//	         ◀──────────────────────────    the table, and the listening socket's descriptor
//	puts the table in force, then "ready" ▶ gives up the control socket's name, accepts no more
//	         ◀──────────────────────────    "left"
//	takes the control socket's name, accepts
//
// Both hold the same socket, so its queue of connections is never empty-handed. A successor that dies
// before "ready" changes nothing. From "left" on the predecessor serves the connections it has until
// they end: its answers ask clients to close, and its successor tells it every table, drains and
// counts over both, until its farewell hands over what it has counted.

const (
	readyByte = 'R'
	leftByte  = 'L'
)

// handoverPatience bounds each wait of a handover, during which no table can change.
const handoverPatience = 10 * time.Second

// handover is what a successor is told. Routes is nil if the predecessor has no table itself.
type handover struct {
	Routes []Route `json:"routes"`

	conn     *net.UnixConn
	listener *net.TCPListener
}

// askHandover asks the router at socket to hand over.
func askHandover(ctx context.Context, socket, id string) (*handover, error) {
	conn, err := sockets.Dial(ctx, socket)
	if err != nil {
		return nil, err
	}
	h := &handover{conn: conn}
	if err := h.receive(id); err != nil {
		h.close()
		return nil, fmt.Errorf("asking the running router to hand over: %w", err)
	}
	return h, nil
}

func (h *handover) receive(id string) error {
	if err := h.conn.SetDeadline(time.Now().Add(handoverPatience)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(h.conn, "POST /handover HTTP/1.1\r\nHost: router\r\nSlipway-Router: %s\r\nContent-Length: 0\r\n\r\n", id); err != nil {
		return err
	}
	first, file, err := receiveListener(h.conn)
	if err != nil {
		return err
	}
	if first != '{' || file == nil {
		return errors.New("it does not know how")
	}
	if h.listener, err = adoptListener(file); err != nil {
		return err
	}
	text, err := readLine(h.conn)
	if err != nil {
		return err
	}
	return json.Unmarshal(append([]byte{first}, text...), h)
}

// readLine reads a line. Nothing follows it until it is answered.
func readLine(r io.Reader) ([]byte, error) {
	line, err := bufio.NewReader(io.LimitReader(r, 64<<20)).ReadBytes('\n')
	if err != nil {
		return nil, fmt.Errorf("reading the table: %w", err)
	}
	return line, nil
}

// listen returns the predecessor's socket, or one of its own beside it if the address is another.
func (h *handover) listen(address string) (*net.TCPListener, error) {
	if reuse(h.listener, address) {
		l := h.listener
		h.listener = nil
		return l, nil
	}
	return listen(address, true)
}

// confirm tells the predecessor to leave, and returns when it has.
func (h *handover) confirm() error {
	if _, err := h.conn.Write([]byte{readyByte}); err != nil {
		return fmt.Errorf("taking over: %w", err)
	}
	var b [1]byte
	if _, err := io.ReadFull(h.conn, b[:]); err != nil {
		return fmt.Errorf("taking over: the running router did not let go: %w", err)
	}
	return nil
}

func (h *handover) close() {
	if h.listener != nil {
		_ = h.listener.Close()
	}
	_ = h.conn.Close()
}

// handOver is the predecessor's side. No change of the table comes between.
func (r *router) handOver(conn *net.UnixConn, successor string) error {
	r.changing.Lock()
	defer r.changing.Unlock()
	if r.isLeaving() {
		return errMoved
	}
	h := handover{}
	if t := r.table.Load(); t != nil {
		h.Routes = sorted(t.routes())
	}
	message, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if err := conn.SetDeadline(time.Now().Add(handoverPatience)); err != nil {
		return err
	}
	if err := sendListener(conn, append(message, '\n'), r.listener); err != nil {
		return err
	}
	var b [1]byte
	if _, err := io.ReadFull(conn, b[:]); err != nil {
		return fmt.Errorf("the successor did not get ready: %w", err)
	}
	if err := r.control.move(r.config.Socket + leavingSuffix + r.id); err != nil {
		return err
	}
	r.mu.Lock()
	r.older = nil // the successor finds them too
	r.leaving.Store(true)
	r.mu.Unlock()
	close(r.left)
	r.log.Info("router has handed over", "router", r.id, "successor", successor,
		"connections", r.connections.now(), "requests", r.serving.now())
	_, err = conn.Write([]byte{leftByte})
	return err
}

// hijackHandover serves POST /handover.
func (r *router) hijackHandover(w http.ResponseWriter, req *http.Request) {
	conn, err := hijack(w)
	if err != nil {
		r.log.Warn("handing over failed", "error", err)
		return
	}
	defer conn.Close()
	if err := r.handOver(conn, req.Header.Get("Slipway-Router")); err != nil {
		r.log.Warn("handing over failed", "error", err)
	}
}

// hijackListener serves POST /listener: whoever asks keeps the socket open when the router dies.
func (r *router) hijackListener(w http.ResponseWriter, _ *http.Request) {
	conn, err := hijack(w)
	if err != nil {
		r.log.Warn("lending the listening socket failed", "error", err)
		return
	}
	defer conn.Close()
	if r.isLeaving() {
		return
	}
	if err := sendListener(conn, []byte{readyByte}, r.listener); err != nil {
		r.log.Warn("lending the listening socket failed", "error", err)
	}
}

func hijack(w http.ResponseWriter) (*net.UnixConn, error) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, err
	}
	conn, ok := c.(*net.UnixConn)
	if !ok {
		return nil, errors.Join(errors.New("not a unix socket"), c.Close())
	}
	return conn, nil
}

// borrowListener returns a descriptor of the listening socket of the router at socket.
func borrowListener(ctx context.Context, socket string) (*os.File, error) {
	conn, err := sockets.Dial(ctx, socket)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(handoverPatience)); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(conn, "POST /listener HTTP/1.1\r\nHost: router\r\nContent-Length: 0\r\n\r\n"); err != nil {
		return nil, err
	}
	first, file, err := receiveListener(conn)
	if err == nil && (first != readyByte || file == nil) {
		err = errors.New("the router lends no listening socket")
	}
	return file, err
}
