// Command benchapp is the app of the benchmarks: as small as a web process can be, and with a clock.
//
// It listens after the time in BENCH_DELAY, and answers with its revision. It says in headers when it
// began to listen and when the first visitor came, in nanoseconds since 1970. Who says in a header Visitor
// that he is one counts as a visitor; probes do not.
package main

import (
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"time"
)

func main() {
	if s := os.Getenv("BENCH_DELAY"); s != "" {
		delay, err := time.ParseDuration(s)
		if err != nil {
			log.Fatal(err)
		}
		<-time.After(delay)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
	if err != nil {
		log.Fatal(err)
	}
	listening, first := time.Now().UnixNano(), new(atomic.Int64)
	revision := os.Getenv("SLIPWAY_REVISION")
	log.Fatal(http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Visitor") != "" && first.Load() == 0 {
			first.CompareAndSwap(0, time.Now().UnixNano())
		}
		w.Header().Set("Listening", strconv.FormatInt(listening, 10))
		w.Header().Set("First", strconv.FormatInt(first.Load(), 10))
		_, _ = io.WriteString(w, revision)
	})))
}
