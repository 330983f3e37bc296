// Package sandbox runs a command where it can hurt nobody: in namespaces of its own made by
// bubblewrap, without capabilities, behind a seccomp filter, under limits, and gone as a whole when
// its first process ends.
//
//	box := sandbox.New(sandbox.Config{Logger: logger})
//	process, err := box.Start(ctx, sandbox.Spec{
//		Name:   "42-build",
//		Argv:   []string{"/bin/sh", "-e", "-c", "make build"},
//		Env:    []string{"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/cache"},
//		Dir:    "/app",
//		Mounts: []sandbox.Mount{{Source: tree, Target: "/app", Writable: true}},
//		Limits: sandbox.Limits{Memory: 1 << 30, Processes: 512, Time: 10 * time.Minute},
//	}, sandbox.Stdio{Out: log, Err: log})
//	result, err := process.Wait()
//
// # What is inside
//
// Read-only: the host's /usr (with /bin, /lib and their like), the few files of /etc that programs need
// to link, to verify certificates and to tell the time, and the operator's toolchains. Made up: /etc/passwd
// with one user, hosts, resolv.conf, a minimal /dev, /proc of its own processes, an empty private /tmp in
// memory. Everything else of the host comes by [Spec].Mounts or not at all; a mount on /tmp replaces the one
// in memory. The user is uid 1000 inside; on the host it is Config.FirstID + Spec.ID when the server is
// root, and the server's own user otherwise. Loopback is up; there is no other interface, unless
// HostNetwork leaves the command in the host's network namespace, abstract sockets included.
//
// # Limits
//
// Memory, processes and CPU are held by cgroups (v1 or v2), file size, open files and core dumps by
// rlimits, disk by watching what grows, time by a timer. A process is inside its cgroup and its rlimits
// before the command's first instruction: bubblewrap waits for its arguments on a pipe until it has been put
// there. [Result].Struck names the limit that struck, with its value. Where there is no cgroup to
// write to, memory and processes are polled instead, CPU is not limited, and [Sandbox.Check] warns.
//
// With cgroups v2 under systemd the server needs a subtree of its own: run it as a unit with
// Delegate=yes, or by "systemd-run --scope -p Delegate=yes". With v1 the folder is made below each
// hierarchy's root.
//
// # Other processes
//
// A sandbox is found by its name from any process of the same user: [Sandbox.Usage], [Sandbox.KillAll] and
// [Sandbox.Names] read cgroups, or the process table where there are none. A sandbox ends with the process
// that started it; who wants it to outlive the server starts it from a process that does.
//
// # What it does not do
//
// It does not make images, does not chown (see [Sandbox.HostID]), and does not protect from a kernel
// bug. It knows nothing of who uses it. Linux only; it needs bubblewrap 0.8.
//
// Start reading at [Spec], then [Sandbox.Start] in process.go and bubblewrap.go.
package sandbox
