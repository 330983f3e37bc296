// Shop is a small web shop that shows what Slipway does with an app: it is built, tested, started,
// watched under traffic, and it tells the revision that it runs.
//
//	shop           serves on $PORT
//	shop migrate   prepares the storage folder; runs before each release
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("shop: ")
	if err := run(os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

func run(args []string) error {
	storage := os.Getenv("SLIPWAY_STORAGE")
	switch {
	case len(args) == 0:
		if err := checkSchema(storage); err != nil {
			return err
		}
		return serve(newShop(os.Getenv("SLIPWAY_REVISION"), storage))
	case len(args) == 1 && args[0] == "migrate":
		from, err := migrate(storage)
		if err == nil {
			log.Printf("storage had schema %s and has schema %s", from, schema)
		}
		return err
	}
	return fmt.Errorf("unknown arguments %q: use none, or migrate", args)
}

// serve answers on $PORT until it is told to end, and then finishes the requests in flight.
func serve(s *shop) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	addr := net.JoinHostPort("127.0.0.1", os.Getenv("PORT"))
	server := &http.Server{Addr: addr, Handler: s.handler(), ReadHeaderTimeout: 5 * time.Second}
	ended := make(chan error, 1)
	go func() {
		log.Printf("revision %s on http://%s", s.revision, addr)
		ended <- server.ListenAndServe()
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}
