package inner

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
)

// connectWord makes [Main] join standard input and output to a host through the egress proxy: what ssh
// calls a ProxyCommand.
const connectWord = "connect"

// ConnectArgs are the arguments for [Main] that do so; socket is the proxy's as seen inside.
func ConnectArgs(socket, host, port string) []string {
	return []string{connectWord, socket, host, port}
}

func connectMain(args []string) int {
	if len(args) != 3 {
		fmt.Fprintln(os.Stderr, "slipway inner: usage: inner connect SOCKET HOST PORT")
		return statusFault
	}
	if err := connect(args[0], net.JoinHostPort(args[1], args[2]), os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "slipway inner:", err)
		return 1
	}
	return 0
}

// connect asks the proxy for a tunnel to addr, and passes bytes until the host has sent its last.
func connect(socket, addr string, in io.Reader, out io.Writer) error {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return fmt.Errorf("the egress proxy does not answer: %w", err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", addr, addr); err != nil {
		return fmt.Errorf("asking the egress proxy: %w", err)
	}
	from := bufio.NewReader(conn)
	res, err := http.ReadResponse(from, &http.Request{Method: http.MethodConnect})
	if err != nil {
		return fmt.Errorf("asking the egress proxy: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10))
		return fmt.Errorf("no way to %s: %s", addr, strings.TrimSpace(string(why)))
	}
	go func() {
		_, _ = io.Copy(conn, in)
		_ = conn.(*net.UnixConn).CloseWrite()
	}()
	if _, err := io.Copy(out, from); err != nil {
		return fmt.Errorf("reading from %s: %w", addr, err)
	}
	return nil
}
