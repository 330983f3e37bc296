package variables

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"slipway/deploy"
	"slipway/deploy/durable"
)

// maxTotal is how much the variables of one app may be together, in bytes: a sandbox is told its
// environment at once.
const maxTotal = 256 << 10

// Store keeps the variables of every app of a data directory. It is safe for concurrent use within a
// process; between processes one at a time may change, and any may read.
type Store struct {
	layout   deploy.Layout
	changing sync.Mutex
}

// New returns the store of a data directory. It reads and makes nothing.
func New(l deploy.Layout) *Store { return &Store{layout: l} }

// stored is a variable as it is encrypted.
type stored struct {
	Name   string    `json:"name"`
	Value  string    `json:"value"`
	Test   bool      `json:"test,omitempty"`
	Deploy bool      `json:"deploy,omitempty"`
	SetAt  time.Time `json:"setAt"`
	SetBy  string    `json:"setBy"`
}

// Read returns the variables of an app by their names' order, none for an app that has none. It fails
// with [ErrNoKey] where the key is missing.
func (s *Store) Read(_ context.Context, app deploy.AppName) (deploy.Variables, error) {
	b, err := os.ReadFile(s.layout.Env(app))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the variables of %s: %w", app, err)
	}
	all, err := s.decrypt(app, b)
	if err != nil {
		return nil, fmt.Errorf("reading the variables of %s: %s: %w", app, s.layout.Env(app), err)
	}
	return all, nil
}

func (s *Store) decrypt(app deploy.AppName, b []byte) (deploy.Variables, error) {
	plain, err := s.unseal(forStore, app, b)
	if err != nil {
		return nil, err
	}
	var kept []stored
	if err := json.Unmarshal(plain, &kept); err != nil {
		return nil, errors.New("what was encrypted is no list of variables") // the error could hold a value
	}
	var all deploy.Variables
	for _, v := range kept {
		all = append(all, deploy.Variable(v))
	}
	return all, nil
}

// Change replaces the variables of an app by what edit makes of them. When all is ready to be written it
// calls record, whose error ends the change; only then the new variables take the place of the old. Any
// error but one of a disk that fails at the very end leaves them as they were.
func (s *Store) Change(ctx context.Context, app deploy.AppName, edit func(deploy.Variables) (deploy.Variables, error), record func(context.Context) error) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	old, err := s.Read(ctx, app)
	if err != nil {
		return err
	}
	all, err := edit(slices.Clone(old))
	if err != nil {
		return err
	}
	b, err := s.encrypt(app, all)
	if err != nil {
		return err
	}
	if err := durable.Write(s.next(app), b); err != nil {
		return fmt.Errorf("writing the variables of %s: %w", app, err)
	}
	if err := record(ctx); err != nil {
		return errors.Join(err, os.Remove(s.next(app)))
	}
	return s.replace(app)
}

// next is the file that is to take the place of an app's variables.
func (s *Store) next(app deploy.AppName) string { return s.layout.Env(app) + durable.NewSuffix }

// replace puts the next file in the place of an app's variables.
func (s *Store) replace(app deploy.AppName) error {
	path := s.layout.Env(app)
	err := os.Rename(s.next(app), path)
	if err == nil {
		err = durable.Sync(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("writing the variables of %s: %w", app, err)
	}
	return nil
}

// Finish ends a change in whose middle the server was killed, before another one begins. One that was ready to be
// written is made: whether it was recorded, the log tells, and record, which gets the variables before and after
// it, may record it again; its error leaves all as it is. Without the key the change stays for later.
func (s *Store) Finish(ctx context.Context, app deploy.AppName, record func(ctx context.Context, before, after deploy.Variables) error) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	b, err := os.ReadFile(s.next(app))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading a change of the variables of %s: %w", app, err)
	}
	before, err := s.Read(ctx, app)
	if err != nil {
		return err
	}
	after, err := s.decrypt(app, b)
	if errors.Is(err, ErrNoKey) {
		return err
	}
	if err != nil { // it was not ready
		return os.Remove(s.next(app))
	}
	if err := record(ctx, before, after); err != nil {
		return err
	}
	return s.replace(app)
}

func (s *Store) encrypt(app deploy.AppName, all deploy.Variables) ([]byte, error) {
	slices.SortFunc(all, func(a, b deploy.Variable) int { return strings.Compare(a.Name, b.Name) })
	kept := make([]stored, 0, len(all))
	total := 0
	for i, v := range all {
		if err := errors.Join(deploy.CheckVariableName(v.Name), deploy.CheckVariableValue(v.Value)); err != nil {
			return nil, deploy.Reject(deploy.CodeUsage, "%s: %v", v.Name, err)
		}
		if i > 0 && all[i-1].Name == v.Name {
			return nil, fmt.Errorf("variable %s is there twice", v.Name)
		}
		total += len(v.Name) + len(v.Value)
		kept = append(kept, stored(v))
	}
	if total > maxTotal {
		return nil, deploy.Reject(deploy.CodeSize, "the variables of %s would be %d KiB together: at most %d KiB are kept", app, total>>10, maxTotal>>10).
			WithHint("put what is large into a file of the app's storage")
	}
	plain, err := json.Marshal(kept)
	if err != nil {
		return nil, fmt.Errorf("encoding the variables of %s: %w", app, err)
	}
	b, err := s.sealed(forStore, app, plain)
	if err != nil {
		return nil, fmt.Errorf("encrypting the variables of %s: %w", app, err)
	}
	return append(b, '\n'), nil
}

// Seal encrypts values that an instance of app was given. No values are "".
func (s *Store) Seal(app deploy.AppName, values map[string]string) (string, error) {
	if len(values) == 0 {
		return "", nil
	}
	plain, err := json.Marshal(values)
	if err != nil {
		return "", fmt.Errorf("encoding variables of %s: %w", app, err)
	}
	b, err := s.sealed(forInstance, app, plain)
	if err != nil {
		return "", fmt.Errorf("encrypting variables of %s: %w", app, err)
	}
	return string(b), nil
}

// Open returns what Seal was given. It fails with [ErrNoKey] where the key is missing.
func (s *Store) Open(app deploy.AppName, sealed string) (map[string]string, error) {
	if sealed == "" {
		return nil, nil
	}
	plain, err := s.unseal(forInstance, app, []byte(sealed))
	if err != nil {
		return nil, fmt.Errorf("decrypting variables of %s: %w", app, err)
	}
	var values map[string]string
	if err := json.Unmarshal(plain, &values); err != nil {
		return nil, fmt.Errorf("decrypting variables of %s: what was encrypted is no set of variables", app)
	}
	return values, nil
}

func (s *Store) sealed(purpose string, app deploy.AppName, plain []byte) ([]byte, error) {
	k, err := s.anyKey()
	if err != nil {
		return nil, err
	}
	return k.seal(purpose, app, plain)
}

func (s *Store) unseal(purpose string, app deploy.AppName, b []byte) ([]byte, error) {
	e, err := parseEnvelope(b)
	if err != nil {
		return nil, err
	}
	k, err := s.needKey(e.Key)
	if err != nil {
		return nil, err
	}
	return k.open(purpose, app, e)
}

// Check says which apps' variables cannot be read, and why; nil if all can be.
func (s *Store) Check(ctx context.Context) error {
	files, err := s.files()
	if err != nil {
		return err
	}
	var unreadable []error
	for _, path := range files {
		_, err := s.Read(ctx, deploy.AppName(filepath.Base(filepath.Dir(path))))
		unreadable = append(unreadable, err)
	}
	return errors.Join(unreadable...)
}

// files lists the files of all apps' variables.
func (s *Store) files() ([]string, error) {
	// Not by filepath.Glob, to which a data directory's name could be a pattern.
	entries, err := os.ReadDir(filepath.Dir(s.layout.App("x")))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("listing apps: %w", err)
	}
	var found []string
	for _, e := range entries {
		path := s.layout.Env(deploy.AppName(e.Name()))
		if _, err := os.Lstat(path); err == nil {
			found = append(found, path)
		}
	}
	return found, nil
}
