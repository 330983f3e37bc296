package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// showOffer turns the offer of the day on.
const showOffer = false

// offerOfTheDay reads what the shopkeeper wrote into offer.txt in the storage folder: a name and a
// price in cents, such as "mug 950". Where nothing is written there is no offer.
func offerOfTheDay(storage string) (string, error) {
	b, err := os.ReadFile(filepath.Join(storage, "offer.txt"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	name, price, _ := strings.Cut(strings.TrimSpace(string(b)), " ")
	cents, err := strconv.Atoi(price)
	if err != nil {
		return "", fmt.Errorf("offer of the day: %w", err)
	}
	return name + " for " + euros(cents), nil
}
