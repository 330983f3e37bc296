package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// makeCertificate returns a certificate for localhost with that serial number, and its key, as PEM.
func makeCertificate(t *testing.T, serial int64) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	b, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: b})
}

// TestCertificateIsReadAnew: new connections get a renewed certificate without a restart, and the old one
// while the files do not fit each other.
func TestCertificateIsReadAnew(t *testing.T) {
	dir := t.TempDir()
	c := tlsConfig{Certificate: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	if _, err := c.server(t.Context(), dir, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "cert.pem") {
		t.Errorf("without the files: %v", err)
	}
	put := func(path string, b []byte) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	first, firstKey := makeCertificate(t, 1)
	second, secondKey := makeCertificate(t, 2)
	put(c.Certificate, first)
	put(c.Key, firstKey)
	config, err := c.server(t.Context(), dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.TLS = config
	server.StartTLS()
	defer server.Close()
	serial := func() int64 {
		t.Helper()
		conn, err := tls.Dial("tcp", server.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	expect := func(when string, want int64) {
		t.Helper()
		if got := serial(); got != want {
			t.Errorf("%s: certificate %d, want %d", when, got, want)
		}
	}
	expect("at first", 1)
	put(c.Certificate, append([]byte("\n"), second...)) // a length of its own: clocks of file systems are coarse
	expect("while the key is the old one", 1)
	put(c.Key, append([]byte("\n\n"), secondKey...))
	expect("when both are new", 2)
	if err := os.Remove(c.Certificate); err != nil {
		t.Fatal(err)
	}
	expect("when it is gone", 2)
	put(c.Certificate, first)
	put(c.Key, firstKey)
	expect("when the old one is back", 1)
}

func TestTLSMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"[tls]\ncertificate = \"a\"": "[tls]: certificate and key belong together",
		"[tls]\nkey = \"a\"":         "[tls]: certificate and key belong together",
		"[tls]\ncertificate = \"a\"\nkey = \"b\"\nacme = [\"example.org\"]": "[tls]: it is either certificate and key, or acme",
		"[tls]\nacme = \"example.org\"":                                     "acme",
		"[tls]\nacmes = [\"example.org\"]":                                  "acmes",
	} {
		path := filepath.Join(t.TempDir(), "server.toml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := readConfig(t.TempDir(), []string{"-config", path})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestTrustedProxies: where a request comes from is what a proxy says that the operator named, and nothing
// that a client says.
func TestTrustedProxies(t *testing.T) {
	for _, test := range []struct {
		proxies         string
		from, forwarded string
		want            string
	}{
		{"", "192.0.2.9:1", "", "192.0.2.9"},
		{"", "127.0.0.1:1", "198.51.100.1", "127.0.0.1"},
		{"127.0.0.1/32", "127.0.0.1:1", "198.51.100.1", "198.51.100.1"},
		{"127.0.0.1/32", "192.0.2.9:1", "198.51.100.1", "192.0.2.9"},
		{"127.0.0.1/32", "127.0.0.1:1", "203.0.113.5, 198.51.100.1", "198.51.100.1"}, // the client made the first one up
		{"127.0.0.1/32,10.0.0.0/8", "127.0.0.1:1", "198.51.100.1, 10.1.2.3", "198.51.100.1"},
		{"127.0.0.1/32", "127.0.0.1:1", "198.51.100.1, 10.1.2.3", "10.1.2.3"}, // nobody named that one
		{"127.0.0.1/32", "127.0.0.1:1", "", "127.0.0.1"},
		{"127.0.0.1/32", "127.0.0.1:1", "nonsense", "127.0.0.1"},
	} {
		var proxies []string
		if test.proxies != "" {
			proxies = strings.Split(test.proxies, ",")
		}
		ip, err := ipExtractor(proxies)
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.RemoteAddr = test.from
		if test.forwarded != "" {
			r.Header.Set("X-Forwarded-For", test.forwarded)
		}
		if got := ip(r); got != test.want {
			t.Errorf("%+v: %s", test, got)
		}
	}
	if _, err := ipExtractor([]string{"localhost"}); err == nil || !strings.Contains(err.Error(), `"localhost" is no network`) {
		t.Errorf("%v", err)
	}
}
