package sandbox

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	profile "github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// socketFamilies are those a command may open. Moby's profile leaves all but two of them open,
// because a container's network namespace bounds most; here it is an allow-list, since builds and tests have
// no use for the rest and each is kernel code to attack.
func socketFamilies() []uint64 {
	return []uint64{unix.AF_UNIX, unix.AF_INET, unix.AF_INET6, unix.AF_NETLINK}
}

// alsoDenied are system calls that Moby's profile allows and that no build or test needs:
// memory that nobody else can look into, and views of the mount table by other doors than /proc.
func alsoDenied() []string {
	return []string{"fanotify_mark", "listmount", "memfd_secret", "statmount"}
}

// makeFilter compiles the profile of a container without capabilities to the program that bubblewrap's
// --seccomp reads: an array of struct sock_filter for the native architecture. Other
// architectures' system calls (32-bit programs, x32) fail.
func makeFilter() ([]byte, error) {
	spec := &specs.Spec{Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{}}}
	rules, err := profile.GetDefaultProfile(spec)
	if err != nil {
		return nil, fmt.Errorf("reading the seccomp profile: %w", err)
	}
	native, err := arch.GetInfo("")
	if err != nil {
		return nil, fmt.Errorf("seccomp filter: %w", err)
	}
	policy := seccomp.Policy{DefaultAction: seccomp.ActionErrno}
	for _, rule := range rules.Syscalls {
		group, err := translate(rule, native)
		if err != nil {
			return nil, err
		}
		policy.Syscalls = append(policy.Syscalls, group)
	}
	policy.Syscalls = append(policy.Syscalls, socketRule())
	program, err := policy.Assemble()
	if err != nil {
		return nil, fmt.Errorf("assembling the seccomp filter: %w", err)
	}
	return encode(program)
}

func socketRule() seccomp.SyscallGroup {
	group := seccomp.SyscallGroup{Action: seccomp.ActionAllow}
	for _, family := range socketFamilies() {
		group.NamesWithCondtions = append(group.NamesWithCondtions, seccomp.NameWithConditions{
			Name:       "socket",
			Conditions: seccomp.ArgumentConditions{{Argument: 0, Operation: seccomp.Equal, Value: family}},
		})
	}
	return group
}

// translate turns a rule of the profile into a group of the assembler's, leaving out system calls that
// the architecture does not have, the socket rules, and what is denied in addition.
func translate(rule specs.LinuxSyscall, native *arch.Info) (seccomp.SyscallGroup, error) {
	group := seccomp.SyscallGroup{}
	switch rule.Action {
	case specs.ActAllow:
		group.Action = seccomp.ActionAllow
	case specs.ActErrno:
		group.Action = seccomp.ActionErrno
		if rule.ErrnoRet != nil {
			group.Action = group.Action&^0xffff | seccomp.Action(*rule.ErrnoRet)
		}
	default:
		return group, fmt.Errorf("seccomp profile has the unknown action %q", rule.Action)
	}
	conditions, err := translateArguments(rule.Args)
	if err != nil {
		return group, err
	}
	for _, name := range rule.Names {
		if _, known := native.SyscallNames[name]; !known || name == "socket" || slices.Contains(alsoDenied(), name) {
			continue
		}
		if len(conditions) == 0 {
			group.Names = append(group.Names, name)
			continue
		}
		group.NamesWithCondtions = append(group.NamesWithCondtions, seccomp.NameWithConditions{Name: name, Conditions: conditions})
	}
	return group, nil
}

func translateArguments(args []specs.LinuxSeccompArg) (seccomp.ArgumentConditions, error) {
	var conditions seccomp.ArgumentConditions
	for _, a := range args {
		c := seccomp.Condition{Argument: uint32(a.Index), Value: a.Value}
		switch {
		case a.Op == specs.OpEqualTo:
			c.Operation = seccomp.Equal
		case a.Op == specs.OpNotEqual:
			c.Operation = seccomp.NotEqual
		case a.Op == specs.OpLessThan:
			c.Operation = seccomp.LessThan
		case a.Op == specs.OpMaskedEqual && a.ValueTwo == 0:
			c.Operation = seccomp.BitsNotSet
		default:
			return nil, fmt.Errorf("seccomp profile has the unknown comparison %s", a.Op)
		}
		conditions = append(conditions, c)
	}
	return conditions, nil
}

func encode(program []bpf.Instruction) ([]byte, error) {
	raw, err := bpf.Assemble(program)
	if err != nil {
		return nil, fmt.Errorf("assembling the seccomp filter: %w", err)
	}
	var b bytes.Buffer
	for _, i := range raw {
		filter := unix.SockFilter{Code: i.Op, Jt: i.Jt, Jf: i.Jf, K: i.K}
		if err := binary.Write(&b, binary.NativeEndian, filter); err != nil {
			return nil, fmt.Errorf("encoding the seccomp filter: %w", err)
		}
	}
	return b.Bytes(), nil
}
