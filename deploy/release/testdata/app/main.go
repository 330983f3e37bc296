// Command app is the app that the tests release.
package main

import (
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	up := flag.Int("up", 200, "what /up answers")
	host := flag.String("host", "127.0.0.1", "where to listen")
	port := flag.String("port", os.Getenv("PORT"), "where to listen")
	fail := flag.Int("fail", -1, "exit at once with this status")
	deaf := flag.Bool("deaf", false, "listen nowhere")
	crash := flag.String("crash", "", "exit at once while this file exists")
	sick := flag.String("sick", "", "answer 500 while this file exists")
	boot := flag.Duration("boot", 0, "how long it takes to listen")
	flag.Parse()
	fmt.Println("app starts")
	if _, err := os.Stat(*crash); *crash != "" && err == nil {
		*fail = 7
	}
	if *fail >= 0 {
		fmt.Fprintln(os.Stderr, "panic: \x1b[31mout of luck\x1b[0m")
		os.Exit(*fail)
	}
	if *deaf {
		*boot = time.Hour
	}
	<-time.After(*boot)
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)
	go func() {
		<-terminated
		fmt.Println("app was asked to end")
		os.Exit(0)
	}()
	http.HandleFunc("/up", func(w http.ResponseWriter, _ *http.Request) {
		if _, err := os.Stat(*sick); *sick != "" && err == nil {
			*up = 500
		}
		w.WriteHeader(*up)
	})
	http.HandleFunc("/env/{name}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, os.Getenv(r.PathValue("name")))
	})
	http.HandleFunc("/write/{dir}", func(w http.ResponseWriter, r *http.Request) {
		dir := map[string]string{"storage": os.Getenv("SLIPWAY_STORAGE"), "app": ".", "tmp": os.TempDir()}[r.PathValue("dir")]
		if err := os.WriteFile(dir+"/written", nil, 0o600); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
		}
	})
	http.HandleFunc("/exit", func(http.ResponseWriter, *http.Request) { os.Exit(5) })
	http.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) {
		b, err := os.ReadFile("REVISION")
		fmt.Fprint(w, string(b), err)
	})
	l, err := net.Listen("tcp", net.JoinHostPort(*host, *port))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(http.Serve(l, nil))
}
