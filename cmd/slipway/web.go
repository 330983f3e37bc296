package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/klauspost/compress/gzhttp"
	"github.com/labstack/echo/v4"

	"slipway/api"
	"slipway/deploy"
	"slipway/deploy/pipeline"
	"slipway/webui"
)

// The HTTP listener: the API, and the pages below everything else.

// webTimes bound what a client may take. Streams set their own, longer ones.
const (
	webHeaderTime = 10 * time.Second
	webReadTime   = 30 * time.Second
	webWriteTime  = time.Minute
	webIdleTime   = time.Minute
	webStopTime   = 10 * time.Second // for requests that are in work when the server stops
	webHeaders    = 32 << 10         // bytes
)

// web answers HTTP until ctx ends. Streams end then, and other requests are waited for.
func (s *server) web(ctx context.Context) error {
	// Streams must end before requests are waited for.
	stopping, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	handler, err := s.webHandler(stopping.Done())
	if err != nil {
		return err
	}
	config, err := s.config.TLS.server(ctx, s.config.layout.ACME(), s.logger)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", s.config.HTTP)
	if err != nil {
		return fmt.Errorf("listening for HTTP: %w", err)
	}
	web := &http.Server{
		Handler: handler, TLSConfig: config, ReadHeaderTimeout: webHeaderTime, ReadTimeout: webReadTime, WriteTimeout: webWriteTime,
		IdleTimeout: webIdleTime, MaxHeaderBytes: webHeaders, ErrorLog: slog.NewLogLogger(s.logger.Handler(), slog.LevelDebug),
	}
	stopped := make(chan struct{})
	defer context.AfterFunc(ctx, func() {
		defer close(stopped)
		stop()
		patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), webStopTime)
		defer cancel()
		if err := web.Shutdown(patience); err != nil {
			_ = web.Close() // whoever is left has had its time
		}
	})()
	if config != nil {
		err = web.ServeTLS(listener, "", "")
	} else {
		s.warnOfPlain(listener.Addr())
		err = web.Serve(listener)
	}
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving HTTP: %w", err)
	}
	<-stopped
	return nil
}

// webHandler is what answers. stopping is closed when streams have to end.
func (s *server) webHandler(stopping <-chan struct{}) (http.Handler, error) {
	ip, err := ipExtractor(s.config.TrustedProxies)
	if err != nil {
		return nil, err
	}
	var answers *api.Server
	site, err := webui.New(webui.Config{
		Control: s.control, Sessions: s.control, Traffic: s.recent, Manual: handbook{s.config}, IP: ip, TooMany: func(ip string) bool { return answers.TooMany(ip) },
		Places: addressesOf{s.addresses}, Secure: strings.HasPrefix(s.config.web(), "https:"),
		Stopping: stopping, Now: time.Now, Logger: s.logger,
	})
	if err != nil {
		return nil, err
	}
	pages, err := zipped(site)
	if err != nil {
		return nil, err
	}
	answers, err = api.New(api.Config{
		Pages: pages, Session: s.session(site), Control: s.control, IP: ip, Ready: s.webReady, Stopping: stopping, Logger: s.logger,
		Metrics: s.metrics.Handler(), PublicMetrics: s.config.Metrics == metricsPublic,
	})
	return answers, err
}

// minZipped is how long a page is that is worth compressing, in bytes.
const minZipped = 1 << 10

// zipped compresses pages for who can read that, but for streams, which are sent as they come.
func zipped(pages http.Handler) (http.Handler, error) {
	wrap, err := gzhttp.NewWrapper(gzhttp.MinSize(minZipped), gzhttp.EnableZstd(false), gzhttp.ExceptContentTypes([]string{"text/event-stream"}))
	if err != nil {
		return nil, fmt.Errorf("compressing pages: %w", err)
	}
	return wrap(pages), nil
}

// session tells the API who is signed in to the pages.
func (s *server) session(site *webui.Site) func(*http.Request) (deploy.Caller, bool) {
	return func(r *http.Request) (deploy.Caller, bool) {
		who, err := site.Caller(r)
		if err != nil && !errors.Is(err, deploy.ErrNotFound) {
			s.logger.Error("reading a session", "error", err)
		}
		return who, err == nil
	}
}

// addressesOf is where people find things as the pages ask for it.
type addressesOf struct{ pipeline.Addresses }

func (a addressesOf) SSH() string                     { return "ssh " + a.Addresses.SSH() }
func (a addressesOf) Clone(app deploy.AppName) string { return a.Addresses.Clone(app) }
func (a addressesOf) App(app deploy.AppName) string   { return a.Addresses.App(app) }

// webReady tells why answers would be wrong or missing now.
func (s *server) webReady(ctx context.Context) error {
	select {
	case <-s.git.Ready():
	default:
		return errors.New("git is not served yet")
	}
	if s.recorder.Behind() {
		return errors.New("the database is behind the audit log")
	}
	_, _, err := s.store.Position(ctx)
	return err
}

// ipExtractor tells where requests come from. A header that says so is believed of the proxies that the
// operator named, and of nobody else.
func ipExtractor(proxies []string) (echo.IPExtractor, error) {
	if len(proxies) == 0 {
		return echo.ExtractIPDirect(), nil
	}
	trust := []echo.TrustOption{echo.TrustLoopback(false), echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
	for _, p := range proxies {
		_, network, err := net.ParseCIDR(p)
		if err != nil {
			return nil, fmt.Errorf("trusted_proxies: %q is no network such as 10.0.0.0/8 or 127.0.0.1/32", p)
		}
		trust = append(trust, echo.TrustIPRange(network))
	}
	return echo.ExtractIPFromXFFHeader(trust...), nil
}

func (s *server) warnOfPlain(a net.Addr) {
	if tcp, ok := a.(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
		s.logger.Warn("HTTP is served without TLS beyond this machine: tokens can be read on the way", "addr", a.String())
	}
}
