package variables

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/deploy"
)

func newStore(t *testing.T) (*Store, deploy.Layout) {
	t.Helper()
	l := deploy.Layout(filepath.Join(t.TempDir(), "data[1]"))
	for _, app := range []deploy.AppName{"shop", "blog"} {
		if err := os.MkdirAll(l.App(app), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return New(l), l
}

func nothing(context.Context) error { return nil }

// put sets variables of an app to what is given.
func put(t *testing.T, s *Store, app deploy.AppName, all ...deploy.Variable) {
	t.Helper()
	err := s.Change(t.Context(), app, func(deploy.Variables) (deploy.Variables, error) { return all, nil }, nothing)
	if err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, s *Store, app deploy.AppName) map[string]string {
	t.Helper()
	all, err := s.Read(t.Context(), app)
	if err != nil {
		t.Fatal(err)
	}
	return all.All()
}

// Variables are set, read by another process, and nowhere on disk to be seen.
func TestStory(t *testing.T) {
	s, l := newStore(t)
	if got := read(t, s, "shop"); len(got) != 0 {
		t.Errorf("at first %v", got)
	}
	if _, err := os.Lstat(l.SecretKey()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is a key before anything was encrypted: %v", err)
	}
	at := time.Date(2026, 11, 22, 10, 11, 12, 0, time.UTC)
	want := deploy.Variables{
		{Name: "API_KEY", Value: "k3y-of-the-shop", Deploy: true, SetAt: at, SetBy: "olga"},
		{Name: "DATABASE_URL", Value: "postgres://shop:hunter22@db/shop\nline two", Test: true, SetAt: at, SetBy: "alice"},
	}
	put(t, s, "shop", want[1], want[0])
	all, err := New(l).Read(t.Context(), "shop")
	if diff := cmp.Diff(want, all); diff != "" || err != nil || all[1].Value != want[1].Value {
		t.Errorf("(-want +got):\n%s%v", diff, err)
	}
	for _, path := range []string{l.SecretKey(), l.Env("shop")} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", path, info, err)
		}
		b, _ := os.ReadFile(path)
		for _, secret := range []string{"hunter22", "k3y", "API_KEY", "olga"} {
			if strings.Contains(string(b), secret) {
				t.Errorf("%s is in %s", secret, path)
			}
		}
		if _, err := os.Lstat(path + ".new"); err == nil {
			t.Errorf("%s.new was left", path)
		}
	}

	// What an instance was given is its own, whatever is set later.
	sealed, err := s.Seal("shop", all.All())
	if err != nil || strings.Contains(sealed, "hunter22") {
		t.Fatalf("%s, %v", sealed, err)
	}
	put(t, s, "shop")
	if got := read(t, s, "shop"); len(got) != 0 {
		t.Errorf("after unsetting all: %v", got)
	}
	if opened, err := New(l).Open("shop", sealed); err != nil || opened["API_KEY"] != "k3y-of-the-shop" || len(opened) != 2 {
		t.Errorf("%v, %v", opened, err)
	}
	if none, err := s.Seal("shop", nil); none != "" || err != nil {
		t.Errorf("no variables: %q, %v", none, err)
	}
	if values, err := s.Open("shop", ""); len(values) != 0 || err != nil {
		t.Errorf("no variables: %v, %v", values, err)
	}
}

// A missing key is told as that. Nothing is lost, and no new one hides it.
func TestMissingKey(t *testing.T) {
	s, l := newStore(t)
	put(t, s, "shop", deploy.Variable{Name: "A", Value: "secret"})
	sealed, err := s.Seal("shop", map[string]string{"A": "secret"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("with its key: %v", err)
	}
	away := l.SecretKey() + ".away"
	if err := os.Rename(l.SecretKey(), away); err != nil {
		t.Fatal(err)
	}
	missing := func(doing string, err error) {
		t.Helper()
		if !errors.Is(err, ErrNoKey) || !strings.Contains(err.Error(), l.SecretKey()) {
			t.Errorf("%s: %v", doing, err)
		}
	}
	_, err = s.Read(t.Context(), "shop")
	missing("reading", err)
	_, err = s.Open("shop", sealed)
	missing("opening", err)
	edit := func(deploy.Variables) (deploy.Variables, error) {
		return deploy.Variables{{Name: "B", Value: "b"}}, nil
	}
	missing("changing", s.Change(t.Context(), "shop", edit, nothing))
	missing("changing another app", s.Change(t.Context(), "blog", edit, nothing))
	_, err = s.Seal("blog", map[string]string{"A": "a"})
	missing("sealing", err)
	missing("checking", s.Check(t.Context()))
	if _, err := os.Lstat(l.SecretKey()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a key was made: %v", err)
	}

	// Another key is no help either, nor is half of one.
	other, otherLayout := newStore(t)
	put(t, other, "shop", deploy.Variable{Name: "A", Value: "other"})
	wrong, err := os.ReadFile(otherLayout.SecretKey())
	if err != nil {
		t.Fatal(err)
	}
	for _, content := range []string{string(wrong), string(wrong[:len(wrong)/2]), ""} {
		if err := os.WriteFile(l.SecretKey(), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err = s.Read(t.Context(), "shop")
		missing("reading by another key", err)
	}

	// Put back, also by a link, all is as it was.
	if err := os.Remove(l.SecretKey()); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(away, l.SecretKey()); err != nil {
		t.Fatal(err)
	}
	if got := read(t, s, "shop"); got["A"] != "secret" {
		t.Errorf("%v", got)
	}
}

func TestLinkToNoKey(t *testing.T) {
	s, l := newStore(t)
	if err := os.Symlink(filepath.Join(t.TempDir(), "unmounted"), l.SecretKey()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Seal("shop", map[string]string{"A": "a"}); !errors.Is(err, ErrNoKey) {
		t.Errorf("got %v", err)
	}
}

// What was changed on disk, or belongs elsewhere, is not taken.
func TestBroken(t *testing.T) {
	s, l := newStore(t)
	put(t, s, "shop", deploy.Variable{Name: "A", Value: "secret"})
	whole, err := os.ReadFile(l.Env("shop"))
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := s.Seal("shop", map[string]string{"A": "secret"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open("blog", sealed); !errors.Is(err, errBroken) {
		t.Errorf("opened for another app: %v", err)
	}
	if _, err := s.Open("shop", string(whole)); !errors.Is(err, errBroken) {
		t.Errorf("opened for another purpose: %v", err)
	}
	e, err := parseEnvelope(whole)
	if err != nil {
		t.Fatal(err)
	}
	e.Sealed[len(e.Sealed)-1] ^= 1
	for name, content := range map[string]string{
		"changed":       fmt.Sprintf(`{"format":%q,"key":%q,"sealed":"AAAA%s"}`, e.Format, e.Key, "AAAA"),
		"cut":           string(whole[:len(whole)/2]),
		"empty":         "",
		"plain":         "A=secret\n",
		"other version": strings.Replace(string(whole), "sealed 1", "sealed 2", 1),
	} {
		if err := os.WriteFile(l.Env("shop"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := s.Read(t.Context(), "shop")
		if err == nil || strings.Contains(err.Error(), "secret\n") {
			t.Errorf("%s: %v", name, err)
		}
		if s.Check(t.Context()) == nil {
			t.Errorf("%s: nothing is said at start", name)
		}
		if err := s.Change(t.Context(), "shop", func(v deploy.Variables) (deploy.Variables, error) { return v, nil }, nothing); err == nil {
			t.Errorf("%s: it was replaced", name)
		}
		if now, _ := os.ReadFile(l.Env("shop")); string(now) != content {
			t.Errorf("%s: it was touched", name)
		}
	}
	k, err := s.readKey()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.open(forStore, "shop", e); !errors.Is(err, errBroken) {
		t.Errorf("one bit changed: %v", err)
	}
	if said := fmt.Sprintf("%v %s", k, k); strings.Contains(said, string(k.secret[:])) || !strings.Contains(said, k.fingerprint()) {
		t.Errorf("a key prints as %s", said)
	}
}

// What cannot be recorded is not done, and what is refused is not recorded.
func TestChange(t *testing.T) {
	s, l := newStore(t)
	put(t, s, "shop", deploy.Variable{Name: "A", Value: "one"})
	add := func(v deploy.Variable) func(deploy.Variables) (deploy.Variables, error) {
		return func(all deploy.Variables) (deploy.Variables, error) { return append(all, v), nil }
	}
	unrecorded := errors.New("no room for records")
	if err := s.Change(t.Context(), "shop", add(deploy.Variable{Name: "B", Value: "b"}), func(context.Context) error { return unrecorded }); !errors.Is(err, unrecorded) {
		t.Errorf("got %v", err)
	}
	never := func(context.Context) error { t.Error("it was recorded"); return nil }
	for name, v := range map[string]deploy.Variable{
		"reserved": {Name: "PORT", Value: "1"},
		"long":     {Name: "LONG", Value: strings.Repeat("x", deploy.MaxVariableValue+1)},
		"twice":    {Name: "A", Value: "two"},
	} {
		if err := s.Change(t.Context(), "shop", add(v), never); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if got := read(t, s, "shop"); len(got) != 1 || got["A"] != "one" {
		t.Errorf("now %v", got)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(l.App("shop")), "shop", "env.new")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	var large deploy.Variables
	for i := range 9 {
		large = append(large, deploy.Variable{Name: fmt.Sprintf("LARGE_%d", i), Value: strings.Repeat("x", deploy.MaxVariableValue)})
	}
	err := s.Change(t.Context(), "shop", func(deploy.Variables) (deploy.Variables, error) { return large, nil }, never)
	if r, ok := deploy.AsRejection(err); !ok || r.Code != deploy.CodeSize {
		t.Errorf("too much together: %v", err)
	}

	// A crash left a file on the way; the next change replaces it.
	if err := os.WriteFile(l.Env("shop")+".new", []byte("half"), 0o644); err != nil {
		t.Fatal(err)
	}
	put(t, s, "shop", deploy.Variable{Name: "A", Value: "three"})
	if info, err := os.Stat(l.Env("shop")); err != nil || info.Mode().Perm() != 0o600 || read(t, s, "shop")["A"] != "three" {
		t.Errorf("%v, %v", info, err)
	}
}

// A server was killed in the middle of a change.
func TestFinish(t *testing.T) {
	s, l := newStore(t)
	next := l.Env("shop") + ".new"
	var told []string
	finish := func() error {
		return s.Finish(t.Context(), "shop", func(_ context.Context, before, after deploy.Variables) error {
			told = append(told, fmt.Sprintf("%d %d %s", len(before), len(after), after[0].Value))
			return nil
		})
	}
	if err := finish(); err != nil {
		t.Errorf("where nothing is: %v", err)
	}
	put(t, s, "shop", deploy.Variable{Name: "A", Value: "one"})
	for content, want := range map[string]string{"half": "one", "whole": "two"} {
		if content == "whole" { // when it has been recorded
			killed := func(context.Context) error {
				b, err := os.ReadFile(next)
				content = string(b)
				return errors.Join(err, errors.New("killed"))
			}
			edit := func(deploy.Variables) (deploy.Variables, error) {
				return deploy.Variables{{Name: "A", Value: "two"}}, nil
			}
			if err := s.Change(t.Context(), "shop", edit, killed); err == nil {
				t.Fatal("changed")
			}
		}
		if err := os.WriteFile(next, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		key, err := os.ReadFile(l.SecretKey())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(l.SecretKey()); err != nil {
			t.Fatal(err)
		}
		if err := finish(); !errors.Is(err, ErrNoKey) {
			t.Errorf("without the key: %v", err)
		}
		if err := os.WriteFile(l.SecretKey(), key, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := finish(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Lstat(next); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", next, err)
		}
		if got := read(t, s, "shop"); got["A"] != want {
			t.Errorf("now %v, want %s", got, want)
		}
		put(t, s, "shop", deploy.Variable{Name: "A", Value: "one"})
	}
	if len(told) != 1 || told[0] != "1 1 two" {
		t.Errorf("told %q", told)
	}
}

// A server was killed while it made the key.
func TestSweepKey(t *testing.T) {
	s, l := newStore(t)
	put(t, s, "shop", deploy.Variable{Name: "A", Value: "one"})
	left := l.SecretKey() + ".new"
	if err := os.Link(l.SecretKey(), left); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.SweepKey(); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Lstat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s: %v", left, err)
	}
	if got := read(t, s, "shop"); got["A"] != "one" {
		t.Errorf("now %v", got)
	}
}

// Changes at the same time lose nothing, and the first ones agree on one key.
func TestAtTheSameTime(t *testing.T) {
	s, l := newStore(t)
	var wg sync.WaitGroup
	for i := range 20 {
		app := deploy.AppName([]string{"shop", "blog"}[i%2])
		wg.Go(func() {
			err := s.Change(t.Context(), app, func(all deploy.Variables) (deploy.Variables, error) {
				return append(all, deploy.Variable{Name: fmt.Sprintf("V_%d", i), Value: "v"}), nil
			}, nothing)
			if err != nil {
				t.Error(err)
			}
			if _, err := New(l).Read(t.Context(), app); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if a, b := len(read(t, s, "shop")), len(read(t, s, "blog")); a != 10 || b != 10 {
		t.Errorf("%d and %d are left", a, b)
	}
}
