package variables

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"

	"slipway/deploy"
)

// envelope is what is encrypted, as it is in a file.
type envelope struct {
	Format string `json:"format"`
	Key    string `json:"key"`    // the key's fingerprint
	Sealed []byte `json:"sealed"` // nonce and ciphertext
}

const format = "slipway sealed 1"

// What is sealed is sealed for one purpose.
const (
	forStore    = "variables"
	forInstance = "instance"
)

// bound is what an envelope is bound to and does not hold: opened for another app or another purpose it
// is broken.
func bound(purpose string, app deploy.AppName) []byte {
	return []byte(format + "\x00" + purpose + "\x00" + string(app))
}

func (k *key) seal(purpose string, app deploy.AppName, plain []byte) ([]byte, error) {
	aead, err := chacha20poly1305.NewX(k.secret[:])
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+len(plain)+aead.Overhead())
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	return json.Marshal(envelope{Format: format, Key: k.fingerprint(), Sealed: aead.Seal(nonce, nonce, plain, bound(purpose, app))})
}

// errBroken says that an envelope was changed, or belongs to another app.
var errBroken = errors.New("it was changed, or encrypted for another app")

func (k *key) open(purpose string, app deploy.AppName, e envelope) ([]byte, error) {
	aead, err := chacha20poly1305.NewX(k.secret[:])
	if err != nil {
		return nil, err
	}
	if len(e.Sealed) < aead.NonceSize() {
		return nil, errBroken
	}
	nonce, sealed := e.Sealed[:aead.NonceSize()], e.Sealed[aead.NonceSize():]
	plain, err := aead.Open(nil, nonce, sealed, bound(purpose, app))
	if err != nil {
		return nil, errBroken
	}
	return plain, nil
}

func parseEnvelope(b []byte) (envelope, error) {
	var e envelope
	if err := json.Unmarshal(b, &e); err != nil || e.Format != format {
		return e, fmt.Errorf("it is not encrypted by Slipway (%s)", format)
	}
	return e, nil
}
