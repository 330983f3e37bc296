package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestOfferOfTheDay(t *testing.T) {
	storage := t.TempDir()
	if offer, err := offerOfTheDay(storage); offer != "" || err != nil {
		t.Errorf("nothing written: got %q, %v", offer, err)
	}
	if err := os.WriteFile(filepath.Join(storage, "offer.txt"), []byte("mug 950\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if offer, err := offerOfTheDay(storage); offer != "mug for € 9.50" || err != nil {
		t.Errorf("got %q, %v", offer, err)
	}
}
