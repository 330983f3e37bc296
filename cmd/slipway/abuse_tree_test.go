package main

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// A refused push of main.
func (c *clone) refusal() string {
	c.Helper()
	return c.refused([]string{"production", "main"}, "! [remote rejected] main -> main")
}

// input runs git with something to read.
func (c *clone) input(text string, args ...string) string {
	c.Helper()
	cmd := c.prepared(c.dir, "git", args...)
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.Output()
	must(c, err)
	return strings.TrimSpace(string(out))
}

// commitTree makes a tree what main is next.
func (c *clone) commitTree(tree string) {
	c.Helper()
	c.git("update-ref", "refs/heads/main", strings.TrimSpace(c.git("commit-tree", "-p", "HEAD", "-m", "Be another tree", tree)))
}

func pushZeros(c *clone) string {
	c.commit("Make room", map[string]string{"zeros": ""})
	must(c, os.Truncate(filepath.Join(c.dir, "zeros"), 100<<20))
	c.commit("Be large", nil)
	return c.refusal()
}

func pushManyFiles(c *clone) string {
	entry := "100644 blob " + c.input("x", "hash-object", "-w", "--stdin")
	for range 10 {
		var list strings.Builder
		for i := range 10 {
			fmt.Fprintf(&list, "%s\tf%d\n", entry, i)
		}
		entry = "040000 tree " + c.input(list.String(), "mktree")
	}
	c.commitTree(strings.Fields(entry)[2])
	return c.refusal()
}

// pushDeep makes the trees by itself: git would need its time.
func pushDeep(c *clone) string {
	const packedTree, packedCommit = 2, 1
	var p packWriter
	put := func(kind byte, name string, content []byte) []byte {
		p.object(kind, uint64(len(content)))
		p.deflate(bytes.NewReader(content))
		sum := sha1.Sum(fmt.Appendf(nil, "%s %d\x00%s", name, len(content), content))
		return sum[:]
	}
	id := put(packedBlob, "blob", []byte("x"))
	for mode, left := "100644", 3000; left > 0; mode, left = "40000", left-1 {
		id = put(packedTree, "tree", append([]byte(mode+" d\x00"), id...))
	}
	parent := strings.TrimSpace(c.git("rev-parse", "HEAD"))
	id = put(packedCommit, "commit", fmt.Appendf(nil, "tree %x\nparent %s\nauthor A <a@example.org> 0 +0000\ncommitter A <a@example.org> 0 +0000\n\nBe deep\n", id, parent))
	push := c.receivePack()
	push.list(parent + " " + hex.EncodeToString(id) + " refs/heads/main\x00" + caps)
	push.send(p.pack(nil))
	return push.answer()
}

func pushManifest(c *clone) string {
	c.commit("Say much", map[string]string{"slipway.toml": strings.Repeat("# nothing\n", 1<<20)})
	return c.refusal()
}

func pushLinkedManifest(c *clone) string {
	c.link("slipway.toml", "/etc/passwd")
	return c.refusal()
}

func pushLinks(c *clone) string {
	data := c.env.Getenv("DATA")
	c.link("answer", filepath.Join(data, "server.toml"))
	c.link("out", "../../../../repos")
	c.commit("Read what is linked", map[string]string{"slipway.toml": "[test.unit]\nrun = \"ls out/; cat answer\"\n" + smallManifest})
	return c.refused([]string{"production", "main"}, "ls: cannot access 'out/'")
}

// link commits a symbolic link in place of a file.
func (c *clone) link(name, to string) {
	c.Helper()
	path := filepath.Join(c.dir, name)
	_ = os.Remove(path) // it may not be there
	must(c, os.Symlink(to, path))
	c.commit("Link "+name, nil)
}

// pushTree pushes a file that has these names, the last one within the others; git would not make them.
func pushTree(names ...string) func(*clone) string {
	return func(c *clone) string {
		mode, id := "100644", c.input("x", "hash-object", "-w", "--stdin")
		for i := len(names) - 1; i >= 0; i-- {
			raw, err := hex.DecodeString(id)
			must(c, err)
			id = c.input(mode+" "+names[i]+"\x00"+string(raw), "hash-object", "-w", "-t", "tree", "--literally", "--stdin")
			mode = "40000"
		}
		c.commitTree(id)
		return c.refusal()
	}
}

func pushSubmodule(c *clone) string {
	lib := c.input("160000 commit "+strings.TrimSpace(c.git("rev-parse", "HEAD"))+"\tlib\n", "mktree", "--missing")
	vendor := c.input("040000 tree "+lib+"\tvendor\n", "mktree")
	c.commitTree(vendor)
	return c.refusal()
}

func pushPointer(c *clone) string {
	c.commit("Track a picture", map[string]string{
		".gitattributes": "*.png filter=lfs diff=lfs merge=lfs -text\n",
		"picture.png":    "version https://git-lfs.github.com/spec/v1\noid sha256:" + strings.Repeat("0", 64) + "\nsize 12345\n",
	})
	return c.git("push", "production", "main")
}
