package main

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// packWriter makes packs that git would not (gitformat-pack(5)).
type packWriter struct {
	bytes.Buffer
	objects uint32
	z       *zlib.Writer
}

const (
	packedBlob  = 3
	packedDelta = 7 // against the object whose id comes first
)

// object begins an object of this kind and size; its data is zlib's.
func (p *packWriter) object(kind byte, size uint64) {
	p.objects++
	c := kind<<4 | byte(size&15)
	for size >>= 4; size > 0; size >>= 7 {
		p.WriteByte(c | 0x80)
		c = byte(size & 0x7f)
	}
	p.WriteByte(c)
}

// deflate adds data.
func (p *packWriter) deflate(data io.Reader) {
	if p.z == nil {
		p.z, _ = zlib.NewWriterLevel(p, zlib.BestSpeed)
	}
	p.z.Reset(p)
	_, _ = io.Copy(p.z, data)
	p.z.Close()
}

// pack is the whole of it, with more objects from another pack before it.
func (p *packWriter) pack(before []byte) []byte {
	all := []byte("PACK\x00\x00\x00\x02")
	objects := p.objects
	var body []byte
	if before != nil {
		objects += binary.BigEndian.Uint32(before[8:])
		body = before[12 : len(before)-sha1.Size]
	}
	all = binary.BigEndian.AppendUint32(all, objects)
	all = append(append(all, body...), p.Bytes()...)
	sum := sha1.Sum(all)
	return append(all, sum[:]...)
}

// varint writes a size as deltas have it.
func varint(n uint64) []byte {
	var b []byte
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// answer reads what the server answers to the end.
func (p *rawPush) answer() string {
	p.Helper()
	out, _ := io.ReadAll(p.stdout)
	_ = p.session.Wait()
	return string(out) + p.stderr.String()
}

const caps = "report-status object-format=sha1"

// goodPack is the pack of something new, and the push that it is for.
func goodPack(c *clone) ([]byte, *rawPush) {
	c.commit("Be pushed", map[string]string{"answer": "pushed\n"})
	return c.packOf("HEAD"), c.rawPush(caps)
}

func pushHalf(c *clone) string {
	good, push := goodPack(c)
	push.send(good[:len(good)/2])
	must(c, push.stdin.Close())
	return push.answer()
}

func pushHalfAndLeave(c *clone) string {
	good, push := goodPack(c)
	push.send(good[:len(good)/2])
	push.client.Close()
	return push.answer()
}

func pushBroken(c *clone) string {
	bad, push := goodPack(c)
	bad[len(bad)/2] ^= 0xff
	push.send(bad)
	return push.answer()
}

func pushTooLarge(c *clone) string {
	f, err := os.Create(filepath.Join(c.dir, "random"))
	must(c, err)
	_, err = io.CopyN(f, rand.NewChaCha8([32]byte{1}), 24<<20)
	must(c, errors.Join(err, f.Close()))
	c.commit("Be too large", nil)
	return c.refused([]string{"production", "main"}, "fatal: pack exceeds maximum allowed size (10.00 MiB)")
}

func pushFarTooLarge(c *clone) string {
	push := c.rawPush(caps)
	var p packWriter
	p.object(packedBlob, 2<<30)
	push.send(append([]byte("PACK\x00\x00\x00\x02\x00\x00\x00\x01"), p.Bytes()...))
	z, err := zlib.NewWriterLevel(push.stdin, zlib.NoCompression)
	must(c, err)
	sent, err := io.CopyN(z, rand.NewChaCha8([32]byte{2}), 2<<30)
	if err == nil || sent > 32<<20 {
		c.Errorf("the server took %d MiB, %v", sent>>20, err)
	}
	c.Logf("%d MiB were sent", sent>>20)
	return push.answer()
}

func pushDelta(c *clone) string {
	good, push := goodPack(c)
	const base = 16<<20 - 1
	var p packWriter
	p.object(packedBlob, base)
	p.deflate(io.LimitReader(zeros{}, base))
	h := sha1.New()
	fmt.Fprintf(h, "blob %d\x00", base)
	_, _ = io.Copy(h, io.LimitReader(zeros{}, base))
	delta := append(varint(base), varint(256*base)...)
	for range 256 {
		delta = append(delta, 0x80|0x70, 0xff, 0xff, 0xff) // copy 0xffffff bytes from 0
	}
	p.object(packedDelta, uint64(len(delta)))
	p.Write(h.Sum(nil))
	p.deflate(bytes.NewReader(delta))
	push.send(p.pack(good))
	return push.answer()
}

func pushRefs(c *clone) string {
	push := c.receivePack()
	oid := strings.TrimSpace(c.git("rev-parse", "HEAD"))
	sent := 0
	for ; sent < 1_000_000; sent++ {
		line := strings.Repeat("0", 40) + " " + oid + fmt.Sprintf(" refs/heads/b%d\x00", sent) + caps
		if _, err := fmt.Fprintf(push.stdin, "%04x%s", len(line)+4, line); err != nil {
			break
		}
	}
	if sent > 60_000 {
		c.Errorf("%d updates were taken", sent)
	}
	c.Logf("%d updates were sent", sent)
	return push.answer()
}
