package variables

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"

	"slipway/deploy"
	"slipway/deploy/durable"
)

// ErrNoKey says that the key which something was encrypted with is not there. The encrypted files are as
// they were; with the key in its place they can be read again.
var ErrNoKey = deploy.ErrNoKey

// key is what everything is encrypted with. Printing one prints its fingerprint.
type key struct {
	secret [chacha20poly1305.KeySize]byte
}

// fingerprint tells keys apart and gives nothing of them away.
func (k *key) fingerprint() string {
	sum := sha256.Sum256(append([]byte("slipway key\x00"), k.secret[:]...))
	return hex.EncodeToString(sum[:6])
}

func (k *key) String() string { return "key " + k.fingerprint() }

// keyHeader begins the key's file, whose second line is the key in hexadecimal digits.
const keyHeader = "slipway secret key 1\n"

// readKey reads the key. It fails with an fs.ErrNotExist where there is none.
func (s *Store) readKey() (*key, error) {
	path := s.layout.SecretKey()
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	digits, ok := strings.CutPrefix(string(b), keyHeader)
	secret, err := hex.DecodeString(strings.TrimSpace(digits))
	if !ok || err != nil || len(secret) != chacha20poly1305.KeySize {
		return nil, fmt.Errorf("%s is no key: %w", path, ErrNoKey)
	}
	return &key{secret: [chacha20poly1305.KeySize]byte(secret)}, nil
}

// needKey reads the key with which something was encrypted.
func (s *Store) needKey(fingerprint string) (*key, error) {
	k, err := s.readKey()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: put %s back, with the key %s", ErrNoKey, s.layout.SecretKey(), fingerprint)
	case err != nil:
		return nil, err
	case k.fingerprint() != fingerprint:
		return nil, fmt.Errorf("%w: %s holds the key %s, and %s is needed", ErrNoKey, s.layout.SecretKey(), k.fingerprint(), fingerprint)
	}
	return k, nil
}

// anyKey reads the key, or makes it where nothing was ever encrypted.
func (s *Store) anyKey() (*key, error) {
	k, err := s.readKey()
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	needed, err := s.files()
	if err != nil {
		return nil, err
	}
	for _, path := range needed {
		if b, err := os.ReadFile(path); err == nil {
			if e, err := parseEnvelope(b); err == nil {
				return s.needKey(e.Key)
			}
		}
	}
	if err := s.makeKey(); err != nil {
		return nil, fmt.Errorf("making the key: %w", err)
	}
	return s.readKey()
}

// SweepKey removes another name of the key, which a server that was killed while it made it has left.
func (s *Store) SweepKey() error {
	if err := os.Remove(s.layout.SecretKey() + durable.NewSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing another name of the key: %w", err)
	}
	return nil
}

// makeKey makes the key unless there is one. It has its name once it is on disk.
func (s *Store) makeKey() error {
	var k key
	if _, err := rand.Read(k.secret[:]); err != nil {
		return err
	}
	path := s.layout.SecretKey()
	if _, err := os.Lstat(path); err == nil { // a link to a file that is away
		return fmt.Errorf("%s leads nowhere: %w", path, ErrNoKey)
	}
	var b bytes.Buffer
	b.WriteString(keyHeader + hex.EncodeToString(k.secret[:]) + "\n")
	next := path + durable.NewSuffix
	_ = os.Remove(next) // a crash may have left it, as another name of a key
	if err := durable.Write(next, b.Bytes()); err != nil {
		return err
	}
	defer os.Remove(next)
	if err := os.Link(next, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return durable.Sync(filepath.Dir(path))
}
