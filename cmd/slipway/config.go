package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"slipway/deploy"
	"slipway/deploy/build"
	"slipway/deploy/pipeline"
	"slipway/deploy/sandbox"
	"slipway/gitserver"
)

// config is server.toml. help/serve.txt is its manual.
type config struct {
	SSH        string              `toml:"ssh"`
	HTTP       string              `toml:"http"`
	Proxy      string              `toml:"proxy"`
	Host       string              `toml:"host"`
	Domain     string              `toml:"domain"`
	Sandbox    string              `toml:"sandbox"`
	Toolchains []string            `toml:"toolchains"`
	Egress     []string            `toml:"egress"`
	Grants     map[string][]string `toml:"grants"`
	MaxPush    string              `toml:"max_push"`
	Database   string              `toml:"database"`
	Memory     string              `toml:"memory"`
	Processes  int                 `toml:"processes"`
	Disk       string              `toml:"disk"`
	FileSize   string              `toml:"file_size"`

	KeepLogs      string `toml:"keep_logs"`
	KeepRejected  int    `toml:"keep_rejected"`
	Cache         string `toml:"cache"`
	MinFree       string `toml:"min_free"`
	ClientTimeout string `toml:"client_timeout"`

	URL            string    `toml:"url"`
	TLS            tlsConfig `toml:"tls"`
	TrustedProxies []string  `toml:"trusted_proxies"`
	Metrics        string    `toml:"metrics"`

	layout deploy.Layout
}

// Who may read the metrics.
const (
	metricsByToken = "token"
	metricsPublic  = "public"
)

func defaultConfig() config {
	return config{
		SSH: ":2222", HTTP: "127.0.0.1:8080", Proxy: ":8000", Host: "localhost", Domain: "localhost",
		Sandbox: string(sandbox.ModeBubblewrap), Egress: []string{"*"}, MaxPush: "1GiB",
		Memory: "2GiB", Processes: 512, Disk: "8GiB", FileSize: "4GiB",
		KeepLogs: "90d", KeepRejected: 200, Cache: "10GiB", MinFree: "1GiB",
		ClientTimeout: "1m", Metrics: metricsByToken,
	}
}

// readConfig reads the command line of serve and the file that it names; the command line wins.
func readConfig(data string, args []string) (config, error) {
	f := newFlags("serve")
	file := f.String("config", "", "")
	given := map[string]*string{"data": f.String("data", data, "")}
	for _, name := range []string{"ssh", "http", "proxy"} {
		given[name] = f.String(name, "", "")
	}
	if _, err := f.parse(args, 0, 0); err != nil {
		return config{}, err
	}
	dir, err := dataDir(*given["data"])
	if err != nil {
		return config{}, err
	}
	c := defaultConfig()
	c.layout = deploy.Layout(dir)
	if err := c.readFile(*file); err != nil {
		return c, err
	}
	for name, field := range map[string]*string{"ssh": &c.SSH, "http": &c.HTTP, "proxy": &c.Proxy} {
		if v := *given[name]; v != "" {
			*field = v
		}
	}
	return c, c.check()
}

func (c *config) readFile(name string) error {
	asked := name != ""
	if !asked {
		name = c.layout.Config()
	}
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) && !asked {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the configuration: %w", err)
	}
	d := toml.NewDecoder(bytes.NewReader(b)).DisallowUnknownFields()
	err = d.Decode(c)
	if strict, ok := errors.AsType[*toml.StrictMissingError](err); ok {
		return fmt.Errorf("%s: unknown key\n%s\nslipway help serve   lists the keys", name, strict.String())
	}
	if bad, ok := errors.AsType[*toml.DecodeError](err); ok {
		return fmt.Errorf("%s: %s", name, bad.String())
	}
	return err
}

func (c *config) check() error {
	if c.Sandbox != string(sandbox.ModeBubblewrap) && c.Sandbox != string(sandbox.ModeNone) {
		return fmt.Errorf(`sandbox = %q: it is "bubblewrap" or "none"`, c.Sandbox)
	}
	if c.Metrics != metricsByToken && c.Metrics != metricsPublic {
		return fmt.Errorf(`metrics = %q: it is "token" or "public"`, c.Metrics)
	}
	if _, err := ipExtractor(c.TrustedProxies); err != nil {
		return err
	}
	if err := c.TLS.check(); err != nil {
		return err
	}
	if u, err := url.Parse(c.URL); c.URL != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "") {
		return fmt.Errorf("url = %q: it is an address such as https://slipway.example.org", c.URL)
	}
	for key, value := range map[string]string{"max_push": c.MaxPush, "memory": c.Memory, "disk": c.Disk, "file_size": c.FileSize, "cache": c.Cache, "min_free": c.MinFree} {
		if _, err := parseSize(value); err != nil {
			return fmt.Errorf("%s = %q: %w", key, value, err)
		}
	}
	if c.Database != "" && !strings.HasPrefix(c.Database, "postgres://") && !strings.HasPrefix(c.Database, "postgresql://") {
		return errors.New("database: it is the address of a PostgreSQL database, postgres://USER@HOST/NAME; without it SQLite is used")
	}
	if _, err := parseDays(c.KeepLogs); err != nil {
		return fmt.Errorf("keep_logs = %q: %w", c.KeepLogs, err)
	}
	if c.KeepRejected < 0 {
		return fmt.Errorf("keep_rejected = %d: it is a number of revisions", c.KeepRejected)
	}
	if d, err := time.ParseDuration(c.ClientTimeout); err != nil || d < time.Second || d > 10*time.Minute {
		return fmt.Errorf("client_timeout = %q: it is a span such as 30s, from 1s to 10m", c.ClientTimeout)
	}
	for key, value := range map[string]string{"ssh": c.SSH, "http": c.HTTP, "proxy": c.Proxy} {
		if _, _, err := net.SplitHostPort(value); err != nil {
			return fmt.Errorf("%s = %q: it is an address such as 127.0.0.1:2222 or :2222", key, value)
		}
	}
	return nil
}

var sizePattern = regexp.MustCompile(`^([0-9]+)(KiB|MiB|GiB)$`)

// parseSize reads a size such as 512MiB, in bytes.
func parseSize(s string) (int64, error) {
	m := sizePattern.FindStringSubmatch(s)
	if m == nil {
		return 0, errors.New("it is a size such as 512MiB or 2GiB")
	}
	n, err := strconv.ParseInt(m[1], 10, 32)
	if err != nil {
		return 0, errors.New("it is too large")
	}
	return n << map[string]int{"KiB": 10, "MiB": 20, "GiB": 30}[m[2]], nil
}

// bytes returns a size that check has seen.
func bytesOf(s string) int64 {
	n, err := parseSize(s)
	if err != nil {
		panic("config: " + s + ": " + err.Error())
	}
	return n
}

// clients says how long the git server puts up with a client that does not sign in, answer, or read.
func (c *config) clients() gitserver.Limits {
	d, err := time.ParseDuration(c.ClientTimeout)
	if err != nil {
		panic("config: client_timeout: " + err.Error()) // check has seen it
	}
	const asked = 4 // times in vain; the last one gets its time, too
	return gitserver.Limits{
		Handshake: d, Stall: d, KeepAlive: d / (asked + 1), KeepAliveMisses: asked,
		PackBytes: bytesOf(c.MaxPush), GitMemory: bytesOf(c.Memory), Shutdown: stopTimeout,
	}
}

func (c *config) limits() deploy.Limits {
	return deploy.Limits{Memory: bytesOf(c.Memory), Processes: c.Processes, Disk: bytesOf(c.Disk), FileSize: bytesOf(c.FileSize)}
}

// addresses tells what people type to reach the server. sshAddr is where it really listens.
func (c *config) addresses(sshAddr func() string) pipeline.Addresses {
	sshPort := func() string { return portOf(sshAddr()) }
	return pipeline.Addresses{
		SSH:   func() string { return "-p " + sshPort() + " " + c.Host },
		Clone: func(a deploy.AppName) string { return "ssh://" + c.Host + ":" + sshPort() + "/" + string(a) },
		App: func(a deploy.AppName) string {
			return "http://" + string(a) + "." + c.Domain + ":" + portOf(c.Proxy)
		},
		Page: func(n deploy.Number) string { return c.web() + "/deployments/" + n.String() },
	}
}

// web is where people reach the pages.
func (c *config) web() string {
	if c.URL != "" {
		return strings.TrimRight(c.URL, "/")
	}
	host, port, err := net.SplitHostPort(c.HTTP)
	if ip := net.ParseIP(host); err != nil || host == "" || ip != nil && ip.IsUnspecified() {
		host = c.Host
	}
	switch {
	case len(c.TLS.ACME) > 0:
		return "https://" + hostPort(c.TLS.ACME[0], port, "443")
	case c.TLS.Certificate != "":
		return "https://" + hostPort(host, port, "443")
	}
	return "http://" + hostPort(host, port, "80")
}

// hostPort leaves out the port that goes without saying.
func hostPort(host, port, usual string) string {
	if port == usual && !strings.Contains(host, ":") {
		return host
	}
	return net.JoinHostPort(host, port)
}

// path is the PATH of everything that runs in a sandbox: the operator's toolchains first.
func (c *config) path() string {
	var dirs []string
	for _, dir := range c.Toolchains {
		if bin := filepath.Join(dir, "bin"); isDir(bin) {
			dirs = append(dirs, bin)
		}
	}
	return strings.Join(append(dirs, build.DefaultPath), ":")
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// granted are the hosts that an app's hooks and deploy commands may reach beside those that every
// build may.
func (c *config) granted(app deploy.AppName) []string { return c.Grants[string(app)] }

// allGranted are the hosts that the server itself may ask for apps whose production is elsewhere.
func (c *config) allGranted() []string {
	return slices.Concat(slices.Collect(maps.Values(c.Grants))...)
}

func portOf(addr string) string {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return port
}
