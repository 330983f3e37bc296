package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"
)

func urlQuery(r *http.Request) (url.Values, error) { return url.ParseQuery(r.URL.RawQuery) }

// tagged names answers by their contents (RFC 9110, ETag), and sends those not again that a client has.
// The tags are weak, since an answer may be zipped on its way.
func tagged(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		c.Response().Header().Set(echo.HeaderCacheControl, "private, no-cache")
		c.Response().Header().Add(echo.HeaderVary, "Authorization, Cookie")
		if c.Request().Method != http.MethodGet || streamed(c) {
			return next(c)
		}
		whole := &held{ResponseWriter: c.Response().Writer, status: http.StatusOK}
		out := c.Response().Writer
		c.Response().Writer = whole
		err := next(c)
		c.Response().Writer = out
		if err != nil && !c.Response().Committed {
			return err
		}
		if whole.status == http.StatusOK {
			sum := sha256.Sum256(whole.body.Bytes())
			tag := `W/"` + hex.EncodeToString(sum[:16]) + `"`
			out.Header().Set("ETag", tag)
			if has(c.Request().Header.Get("If-None-Match"), tag) {
				out.Header().Del(echo.HeaderContentType)
				out.WriteHeader(http.StatusNotModified)
				return nil
			}
		}
		out.WriteHeader(whole.status)
		_, err = out.Write(whole.body.Bytes())
		return err
	}
}

func has(list, tag string) bool {
	for one := range strings.SplitSeq(list, ",") {
		if one = strings.TrimSpace(one); one == "*" || strings.TrimPrefix(one, "W/") == strings.TrimPrefix(tag, "W/") {
			return true
		}
	}
	return false
}

// held keeps an answer until it is whole.
type held struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (h *held) WriteHeader(status int)      { h.status = status }
func (h *held) Write(b []byte) (int, error) { return h.body.Write(b) }
