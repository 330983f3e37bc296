package manifest

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"slipway/deploy"
)

// Whatever is pushed, there is a manifest that survives being written and read again, or a rejection.
func FuzzParse(f *testing.F) {
	for _, s := range []string{whole, "[process.web]\nrun='x'", "[[test]]\n", "[test.a]\nneeds=['a','b']\nrun='x'", "a.b.c=1\n[a.b]\n", "[build]\nrun=[[1]]\nenv={A={b=1}}\n", "[build]\ncache=['\\'']", "\xff", "[build]\nrun = make"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := Parse("slipway.toml", text)
		if err != nil {
			r, ok := deploy.AsRejection(err)
			if !ok || r.Code != deploy.CodeManifest || r.Message == "" {
				t.Fatalf("not told as a rejection: %#v", err)
			}
			return
		}
		again, err := Parse("again.toml", Format(m))
		if err != nil {
			t.Fatalf("what was formatted is refused: %v\n%s", err, Format(m))
		}
		if d := cmp.Diff(m, again, cmpopts.EquateEmpty()); d != "" {
			t.Fatalf("changed by formatting:\n%s\n%s", d, Format(m))
		}
	})
}

func FuzzProcfile(f *testing.F) {
	for _, s := range []string{"web: ./app\n", "# c\n\nweb: a\nrelease: b\nworker_1: c d\r\n", "web", ":", "web:\nweb: x", "\xff: a"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := parseProcfile("Procfile", text)
		if err != nil {
			if _, ok := deploy.AsRejection(err); !ok {
				t.Fatalf("not told as a rejection: %#v", err)
			}
			return
		}
		m := defaults()
		p.apply(m, &project{path: []string{"bin"}})
		again, err := Parse("again.toml", Format(m))
		if err != nil {
			t.Fatalf("what was formatted is refused: %v\n%s", err, Format(m))
		}
		if d := cmp.Diff(m, again, cmpopts.EquateEmpty()); d != "" {
			t.Fatalf("changed by formatting:\n%s\n%s", d, Format(m))
		}
	})
}

// Whatever the files of a project hold, what is detected can be written as a manifest.
func FuzzDetect(f *testing.F) {
	f.Add("module example.com/x/v2\nrequire a v1\n", "package main\n", `{"scripts":{"start":"a","build":"b"},"main":"x.js"}`, "flask\npytest", "build:\ntest: a\n", "web: a 'b'")
	f.Add("module \"\"", "", "{", "", "", "")
	f.Fuzz(func(t *testing.T, mod, program, pkg, requirements, makefile, proc string) {
		files := map[string]string{"go.mod": mod, "main.go": program, "package.json": pkg, "requirements.txt": requirements, "Makefile": makefile, "Procfile": proc, "app.py": requirements, "pyproject.toml": mod}
		for name, text := range files {
			if text == "" {
				delete(files, name)
			}
		}
		m, err := Read(write(t, files))
		if err != nil {
			if _, ok := deploy.AsRejection(err); !ok {
				t.Fatalf("not told as a rejection: %#v", err)
			}
			return
		}
		again, err := Parse("again.toml", Format(m))
		if err != nil {
			t.Fatalf("what was formatted is refused: %v\n%s", err, Format(m))
		}
		again.Detected = true
		if d := cmp.Diff(m, again, cmpopts.EquateEmpty()); d != "" {
			t.Fatalf("changed by formatting:\n%s\n%s", d, Format(m))
		}
	})
}
