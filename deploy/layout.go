package deploy

import "path/filepath"

// Layout names the places of a data directory, which a person can read with ls. All paths are below
// the layout's root, an absolute path. It is the only place that knows them.
type Layout string

func (l Layout) at(elem ...string) string {
	return filepath.Join(append([]string{string(l)}, elem...)...)
}

// Config is the operator's configuration file.
func (l Layout) Config() string { return l.at("server.toml") }

// Socket is where commands on this machine reach the server; mode 0600.
func (l Layout) Socket() string { return l.at("slipway.sock") }

// HostKey is the server's SSH host key.
func (l Layout) HostKey() string { return l.at("host_key") }

// SecretKey is the key that the apps' variables are encrypted with; mode 0600. It may be a link to a
// file elsewhere.
func (l Layout) SecretKey() string { return l.at("secret.key") }

// Database is the SQLite file, a projection of the audit log.
func (l Layout) Database() string { return l.at("slipway.db") }

// Audit is the folder of the audit log.
func (l Layout) Audit() string { return l.at("audit") }

// Hooks is the folder of git's hooks and of the socket through which they reach the server; mode 0700.
func (l Layout) Hooks() string { return l.at("hooks") }

// Aside is the program of keepers, and of what runs inside sandboxes.
func (l Layout) Aside() string { return l.at("libexec", "slipway") }

// Router is the folder of the router's socket and state; mode 0700.
func (l Layout) Router() string { return l.at("router") }

// ACME is the folder of certificates that an authority gave; mode 0700.
func (l Layout) ACME() string { return l.at("acme") }

// Reserve is room for records where the disk is full otherwise.
func (l Layout) Reserve() string { return l.at("reserve") }

// Repos is the folder of all repositories; mode 0700.
func (l Layout) Repos() string { return l.at("repos") }

// Repo is an app's bare repository.
func (l Layout) Repo(a AppName) string { return l.at("repos", string(a)+".git") }

// App is an app's folder.
func (l Layout) App(a AppName) string { return l.at("apps", string(a)) }

// Work is where the tree of deployment n is built and tested, before it becomes a release.
func (l Layout) Work(a AppName, n Number) string { return l.at("apps", string(a), "work", n.String()) }

// Scratch is where a step of deployment n writes what does not become part of the release.
func (l Layout) Scratch(a AppName, n Number, step string) string { return l.Work(a, n) + "." + step }

// Spare is the tree that the next work tree of an app is made from.
func (l Layout) Spare(a AppName) string { return l.at("apps", string(a), "spare") }

// Releases is the folder of an app's releases.
func (l Layout) Releases(a AppName) string { return l.at("apps", string(a), "releases") }

// Release is the directory of an app's release n.
func (l Layout) Release(a AppName, n Number) string {
	return l.at("apps", string(a), "releases", n.String())
}

// Current is the symbolic link to the accepted release that serves.
func (l Layout) Current(a AppName) string { return l.at("apps", string(a), "current") }

// Cache is kept between the builds of an app.
func (l Layout) Cache(a AppName) string { return l.at("apps", string(a), "cache") }

// Storage is what an app's instances may write to for good.
func (l Layout) Storage(a AppName) string { return l.at("apps", string(a), "storage") }

// Env is the file of an app's own variables, encrypted; mode 0600.
func (l Layout) Env(a AppName) string { return l.at("apps", string(a), "env") }

// Instances is the folder of an app's instances: what each was started with, its keeper's socket and
// its logs.
func (l Layout) Instances(a AppName) string { return l.at("apps", string(a), "instances") }

// LayoutOf returns the layout that an instance's folder, an absolute path, is in.
func LayoutOf(instance string) Layout {
	for range 4 { // DATA/apps/shop/instances/42-web-1
		instance = filepath.Dir(instance)
	}
	return Layout(instance)
}

// Deployment is the folder of the logs and measurements of deployment n.
func (l Layout) Deployment(n Number) string { return l.at("deployments", n.String()) }
