package sandbox

import "os/exec"

// plainScript waits on descriptor 3 until the process has been put under its limits, then becomes the
// command.
const plainScript = `read -r go <&3; [ "$go" = go ] || exit 1; exec 3<&-; exec "$@"`

// plainCommand prepares spec for ModeNone: the host's paths, no mounts. The tag is how its processes are
// found where there is no cgroup.
func plainCommand(spec *Spec, tag string) *exec.Cmd {
	cmd := exec.Command("/bin/sh", append([]string{"-c", plainScript, "sh"}, spec.Argv...)...)
	cmd.Dir = spec.Dir
	cmd.Env = append(append([]string{}, spec.Env...), tagVariable+tag)
	return cmd
}
