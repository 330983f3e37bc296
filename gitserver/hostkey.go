package gitserver

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"

	gossh "golang.org/x/crypto/ssh"

	"slipway/deploy/durable"
)

// loadHostKey reads the server's host key, or makes an ed25519 one on first start: in OpenSSH's
// format, readable by the server's user only, complete or not there at all.
func loadHostKey(path string) (gossh.Signer, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeHostKey(path); err != nil {
			return nil, fmt.Errorf("making host key: %w", err)
		}
		b, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("reading host key: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading host key: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("reading host key: others can read it (mode %04o): chmod 600 %s", mode, path)
	}
	key, err := gossh.ParsePrivateKey(b)
	if err != nil {
		return nil, fmt.Errorf("reading host key %s: %w", path, err)
	}
	return key, nil
}

func makeHostKey(path string) error {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	block, err := gossh.MarshalPrivateKey(private, "slipway")
	if err != nil {
		return err
	}
	return durable.Replace(path, pem.EncodeToMemory(block))
}
