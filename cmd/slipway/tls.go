package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
)

// tlsConfig is [tls] in server.toml: a certificate in files, or one that an ACME authority gives.
type tlsConfig struct {
	Certificate string   `toml:"certificate"`
	Key         string   `toml:"key"`
	ACME        []string `toml:"acme"`  // host names
	Email       string   `toml:"email"` // for the authority's warnings
	CA          string   `toml:"ca"`    // the authority's directory; Let's Encrypt if empty
}

func (c tlsConfig) check() error {
	files := c.Certificate != "" || c.Key != ""
	switch {
	case files && (c.Certificate == "" || c.Key == ""):
		return errors.New("[tls]: certificate and key belong together")
	case files && len(c.ACME) > 0:
		return errors.New("[tls]: it is either certificate and key, or acme")
	}
	return nil
}

// server returns how TLS is spoken; nil for not at all. dir keeps what an ACME authority gave.
func (c tlsConfig) server(ctx context.Context, dir string, logger *slog.Logger) (*tls.Config, error) {
	switch {
	case c.Certificate != "":
		files := &certificateFiles{certificate: c.Certificate, key: c.Key, logger: logger}
		if _, err := files.get(nil); err != nil {
			return nil, fmt.Errorf("[tls]: %w", err)
		}
		return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: files.get, NextProtos: []string{"h2", "http/1.1"}}, nil
	case len(c.ACME) > 0:
		return c.acme(ctx, dir, logger)
	}
	return nil, nil
}

// acme has certificates obtained and renewed. The authority asks on port 443 of the host names.
func (c tlsConfig) acme(ctx context.Context, dir string, logger *slog.Logger) (*tls.Config, error) {
	var magic *certmagic.Config
	cache := certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) { return magic, nil }, Logger: zap.NewNop(),
	})
	context.AfterFunc(ctx, cache.Stop)
	magic = certmagic.New(cache, certmagic.Config{
		Storage: &certmagic.FileStorage{Path: dir}, Logger: zap.NewNop(),
		OnEvent: func(_ context.Context, event string, data map[string]any) error {
			switch event {
			case "cert_failed":
				logger.Error("no certificate", "host", data["identifier"], "error", data["error"])
			case "cert_obtained":
				logger.Info("a certificate was obtained", "host", data["identifier"])
			}
			return nil
		},
	})
	ca := c.CA
	if ca == "" {
		ca = certmagic.LetsEncryptProductionCA
	}
	magic.Issuers = []certmagic.Issuer{certmagic.NewACMEIssuer(magic, certmagic.ACMEIssuer{
		CA: ca, Email: c.Email, Agreed: true, DisableHTTPChallenge: true, Logger: zap.NewNop(),
	})}
	if err := magic.ManageAsync(ctx, c.ACME); err != nil {
		return nil, fmt.Errorf("[tls] acme: %w", err)
	}
	config := magic.TLSConfig()
	config.NextProtos = append([]string{"h2", "http/1.1"}, config.NextProtos...)
	return config, nil
}

// certificateFiles are a certificate and its key, read anew when one of the files has changed.
type certificateFiles struct {
	certificate, key string
	logger           *slog.Logger

	mu     sync.Mutex
	loaded *tls.Certificate
	stamps [2]stamp
}

type stamp struct {
	at   time.Time
	size int64
}

// get implements [tls.Config.GetCertificate]. While the files do not fit each other, as in the middle of
// their renewal, the certificate from before is used.
func (f *certificateFiles) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	stamps, err := stampsOf(f.certificate, f.key)
	if err == nil && f.loaded != nil && stamps == f.stamps {
		return f.loaded, nil
	}
	var fresh tls.Certificate
	if err == nil {
		fresh, err = tls.LoadX509KeyPair(f.certificate, f.key)
	}
	if err != nil && f.loaded == nil {
		return nil, err
	}
	if err != nil {
		if f.stamps != stamps {
			f.logger.Error("the new certificate cannot be used; the old one is", "error", err)
		}
		f.stamps = stamps
		return f.loaded, nil
	}
	f.loaded, f.stamps = &fresh, stamps
	return f.loaded, nil
}

func stampsOf(paths ...string) (stamps [2]stamp, err error) {
	for i, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return stamps, err
		}
		stamps[i] = stamp{info.ModTime(), info.Size()}
	}
	return stamps, nil
}
