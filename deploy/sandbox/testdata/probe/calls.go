package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// makeCall makes a system call that the filter must refuse, with arguments that the kernel itself would
// refuse otherwise. It fails if the filter refused it.
func makeCall(a []string) error {
	call, found := forbiddenCalls()[a[0]]
	if !found {
		return fmt.Errorf("no such call: %s", a[0])
	}
	bad := ^uintptr(0)
	_, _, errno := unix.Syscall6(call, bad, bad, bad, bad, bad, bad)
	refusal := unix.EPERM
	if a[0] == "clone3" {
		refusal = unix.ENOSYS
	}
	if errno == refusal {
		return errno
	}
	return nil
}

func forbiddenCalls() map[string]uintptr {
	return map[string]uintptr{
		"add_key": unix.SYS_ADD_KEY, "request_key": unix.SYS_REQUEST_KEY, "keyctl": unix.SYS_KEYCTL, "bpf": unix.SYS_BPF,
		"io_uring_setup": unix.SYS_IO_URING_SETUP, "io_uring_enter": unix.SYS_IO_URING_ENTER,
		"io_uring_register": unix.SYS_IO_URING_REGISTER, "perf_event_open": unix.SYS_PERF_EVENT_OPEN,
		"userfaultfd": unix.SYS_USERFAULTFD, "mount": unix.SYS_MOUNT, "umount2": unix.SYS_UMOUNT2,
		"pivot_root": unix.SYS_PIVOT_ROOT, "chroot": unix.SYS_CHROOT, "setns": unix.SYS_SETNS, "unshare": unix.SYS_UNSHARE,
		"fsopen": unix.SYS_FSOPEN, "fsmount": unix.SYS_FSMOUNT, "open_tree": unix.SYS_OPEN_TREE, "move_mount": unix.SYS_MOVE_MOUNT,
		"open_by_handle_at": unix.SYS_OPEN_BY_HANDLE_AT, "init_module": unix.SYS_INIT_MODULE, "finit_module": unix.SYS_FINIT_MODULE,
		"delete_module": unix.SYS_DELETE_MODULE, "kexec_load": unix.SYS_KEXEC_LOAD, "swapon": unix.SYS_SWAPON, "acct": unix.SYS_ACCT,
		"quotactl": unix.SYS_QUOTACTL, "syslog": unix.SYS_SYSLOG, "kcmp": unix.SYS_KCMP, "memfd_secret": unix.SYS_MEMFD_SECRET,
		"pidfd_getfd": unix.SYS_PIDFD_GETFD, "process_madvise": unix.SYS_PROCESS_MADVISE, "clone3": unix.SYS_CLONE3,
		"settimeofday": unix.SYS_SETTIMEOFDAY, "vhangup": unix.SYS_VHANGUP,
	}
}
