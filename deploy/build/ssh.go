package build

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"slipway/deploy/build/inner"
)

// wrapSSH puts an ssh before the host's that goes through the egress proxy: HTTP_PROXY says nothing to
// ssh, and rsync, ansible and git with it, while it has no variable for a proxy. scp and sftp do not look
// for ssh in PATH, so they are told of it.
func (a *attempt) wrapSSH() error {
	if !a.config.Sandbox.Inside() { // there ssh has the host's network
		return nil
	}
	bin := filepath.Join(a.private, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		return fmt.Errorf("wrapping ssh: %w", err)
	}
	proxy := strings.Join(append(a.innerArgv(), inner.ConnectArgs(insideEgress, "%h", "%p")...), " ")
	through := "-S " + insideBin + "/ssh"
	for name, option := range map[string]string{"ssh": "-o " + quote("ProxyCommand="+proxy), "scp": through, "sftp": through} {
		real, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		text := "#!/bin/sh\nexec " + quote(real) + " " + option + " \"$@\"\n"
		if err := os.WriteFile(filepath.Join(bin, name), []byte(text), 0o755); err != nil {
			return fmt.Errorf("wrapping %s: %w", name, err)
		}
	}
	a.mount(bin, insideBin, false)
	a.bin = insideBin
	return nil
}
