package audit

import "os"

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
