// Command visited is the app that crash_test.go pushes: it answers every request with its revision many
// times over, slowly enough that a kill can cut an answer short.
package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

func main() {
	_, err := os.Stat("sick")
	sick := err == nil
	var visited atomic.Bool
	http.HandleFunc("/up", func(w http.ResponseWriter, _ *http.Request) {
		if sick && visited.Load() { // so it is ready, and fails under traffic
			http.Error(w, "sick", http.StatusInternalServerError)
		}
	})
	half := strings.Repeat(os.Getenv("SLIPWAY_REVISION")+"\n", 200)
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		visited.Store(true)
		fmt.Fprint(w, half)
		_ = http.NewResponseController(w).Flush()
		<-time.After(2 * time.Millisecond)
		fmt.Fprint(w, half)
	})
	err = http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil)
	if !errors.Is(err, http.ErrServerClosed) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
