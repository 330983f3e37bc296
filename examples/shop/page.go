package main

import (
	"fmt"
	"html/template"
	"log"
	"net/http"
)

// shop answers for one revision.
type shop struct {
	revision string
	storage  string // folder
	cart     []line
}

func newShop(revision, storage string) *shop {
	if revision == "" {
		revision = "unknown"
	}
	return &shop{revision, storage, []line{{"mug", 1200, 2}, {"bag", 500, 1}}}
}

var page = template.Must(template.New("page").Parse(`<!doctype html>
<title>Shop</title>
<h1>Welcome to the shop</h1>
{{with .Offer}}<p>Offer of the day: {{.}}</p>
{{end}}<p>Your cart: {{.Total}}</p>
<footer>revision {{.Revision}}</footer>
`))

func (s *shop) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.front)
	mux.HandleFunc("GET /cart/total", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, euros(total(s.cart)))
	})
	mux.HandleFunc("GET /revision", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, s.revision)
	})
	mux.HandleFunc("GET /up", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "up")
	})
	return mux
}

func (s *shop) front(w http.ResponseWriter, _ *http.Request) {
	offer := ""
	if showOffer {
		var err error
		if offer, err = offerOfTheDay(s.storage); err != nil {
			log.Printf("front page: %v", err)
			http.Error(w, "the shop is broken", http.StatusInternalServerError)
			return
		}
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	about := map[string]string{"Offer": offer, "Total": euros(total(s.cart)), "Revision": s.revision}
	if err := page.Execute(w, about); err != nil {
		log.Printf("writing the front page: %v", err)
	}
}
