package webui

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

//go:embed static
var static embed.FS

// assets are the embedded files, by the address that names their content.
type assets struct {
	byAddress map[string]asset
	addresses map[string]string // by name
}

type asset struct {
	kind    string // media type
	content []byte
}

// kinds are the media types of what is embedded.
func kinds() map[string]string {
	return map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
}

func readAssets() (*assets, error) {
	a := &assets{byAddress: map[string]asset{}, addresses: map[string]string{}}
	err := fs.WalkDir(static, "static", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := static.ReadFile(name)
		if err != nil {
			return err
		}
		kind, known := kinds()[path.Ext(name)]
		if !known {
			return fmt.Errorf("%s has no media type", name)
		}
		sum := sha256.Sum256(content)
		base, ext := strings.TrimSuffix(path.Base(name), path.Ext(name)), path.Ext(name)
		address := "/static/" + base + "." + hex.EncodeToString(sum[:6]) + ext
		a.byAddress[address], a.addresses[path.Base(name)] = asset{kind, content}, address
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the embedded files: %w", err)
	}
	return a, nil
}

// address returns where the file of that name is served. Templates call it, so a name that does not exist
// is found by the test that renders them.
func (a *assets) address(name string) (string, error) {
	address, ok := a.addresses[name]
	if !ok {
		return "", fmt.Errorf("no embedded file %q", name)
	}
	return address, nil
}

// ServeHTTP serves a file for as long as a browser wants to keep it: another content has another address.
func (a *assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	file, ok := a.byAddress[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", file.kind)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = w.Write(file.content)
}
