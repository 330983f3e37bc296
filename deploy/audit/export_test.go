package audit

import (
	"os"
	"syscall"
)

// OpenUnsynced opens a log that does not wait for the disk, to fill it quickly.
func OpenUnsynced(dir string, config Config) (*Log, error) {
	l, err := Open(dir, config)
	if err != nil {
		return nil, err
	}
	l.openFile = func(path string) (file, error) {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		return unsynced{f}, err
	}
	return l, nil
}

type unsynced struct{ *os.File }

func (unsynced) Sync() error { return nil }

// The moments of writing one event at which a process can be killed.
const (
	BeforeWrite = "before the write"
	InWrite     = "in the middle of the write"
	BeforeSync  = "written, not synced"
	AfterSync   = "synced"
)

// OpenToBeKilled opens a log that kills this process at a moment of its next event.
func OpenToBeKilled(dir, moment string, config Config) (*Log, error) {
	l, err := Open(dir, config)
	if err != nil {
		return nil, err
	}
	l.openFile = func(path string) (file, error) {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		return mortal{f, moment}, err
	}
	return l, nil
}

type mortal struct {
	*os.File
	moment string
}

func (f mortal) at(moment string) {
	if f.moment == moment {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

func (f mortal) Write(b []byte) (int, error) {
	f.at(BeforeWrite)
	if f.moment == InWrite {
		if _, err := f.File.Write(b[:len(b)/2]); err != nil {
			return 0, err
		}
	}
	f.at(InWrite)
	return f.File.Write(b)
}

func (f mortal) Sync() error {
	f.at(BeforeSync)
	err := f.File.Sync()
	f.at(AfterSync)
	return err
}
