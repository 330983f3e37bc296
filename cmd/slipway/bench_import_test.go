//go:build bench

package main

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"testing"
)

// fastImport makes a commit of many files on a branch; the same ones every time. Each has size bytes
// that do not compress, and beside them what extra says, by name.
func fastImport(t *testing.T, p *place, repo, branch string, files, size int, extra ...[2]string) {
	t.Helper()
	cmd := exec.Command("git", "fast-import", "--quiet")
	cmd.Dir, cmd.Env = repo, p.env
	pipe, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriterSize(pipe, 1<<20)
	fmt.Fprintf(w, "commit %s\ncommitter Ann <ann@example.org> 1700000000 +0000\ndata 9\nmany more\n", branch)
	for _, e := range extra {
		fmt.Fprintf(w, "M 644 inline %s\ndata %d\n%s\n", e[0], len(e[1]), e[1])
	}
	seed := rand.NewChaCha8([32]byte{7})
	content := make([]byte, size)
	for i := range files {
		_, _ = seed.Read(content)
		fmt.Fprintf(w, "M 644 inline dir%03d/sub%d/file%06d\ndata %d\n", i/1000, i/100%10, i, size)
		w.Write(content)
		w.WriteByte('\n')
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	pipe.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
}
