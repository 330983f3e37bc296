package gitserver

import (
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"syscall"

	"slipway/deploy"
)

// uploadSettings: whoever may read a repository may read all of it, so parts of it by id as well,
// which partial clones ask for.
var uploadSettings = []string{
	"-c", "uploadpack.allowFilter=true",
	"-c", "uploadpack.allowAnySHA1InWant=true",
	"-c", "uploadarchive.allowUnreachable=true",
}

// hideDeployments keeps the revisions of deployments out of what old protocols list. Version 2 lists
// what is asked for, so there they can be fetched by name, and a plain fetch does not see them.
var hideDeployments = []string{"-c", "uploadpack.hideRefs=refs/slipway"}

// upload serves a fetch or an archive. When the client goes away git is killed: it only reads.
func (s *session) upload(what service, app deploy.App) int {
	version := s.protocol()
	args := slices.Clone(uploadSettings)
	if version != protocolVariable+"=version=2" {
		args = append(args, hideDeployments...)
	}
	dir := s.server.config.Repos.Dir(app.Name)
	if what == uploadPack {
		args = append(args, string(what), "--strict", dir)
	} else {
		args = append(args, string(what), dir)
	}
	cmd := s.server.config.Repos.Command(s.ctx, args...)
	if version != "" && what == uploadPack {
		cmd.Env = append(cmd.Env, version)
	}
	cmd.Stdout = s.channel
	cmd.Stderr = s.errOut
	stdin, err := cmd.StdinPipe()
	if err != nil {
		s.fault("starting git "+string(what), err)
		return 1
	}
	if err := cmd.Start(); err != nil {
		s.fault("starting git "+string(what), err)
		return 1
	}
	go func() {
		_, _ = io.Copy(stdin, s.channel) // ends with the channel
		stdin.Close()
	}()
	return exitStatus(cmd.Wait())
}

// protocol returns the client's wish for a protocol version as an environment variable, or "".
func (s *session) protocol() string {
	for _, variable := range s.channel.Environ() {
		if strings.HasPrefix(variable, protocolVariable+"=") {
			return variable
		}
	}
	return ""
}

// exitStatus turns what Wait says into an exit status, as a shell does.
func exitStatus(err error) int {
	if err == nil {
		return 0
	}
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return 1
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return exit.ExitCode()
}
