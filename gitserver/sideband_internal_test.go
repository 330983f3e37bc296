package gitserver

import (
	"bytes"
	"fmt"
	"testing"

	"slipway/gitserver/pktline"
)

// A folder's name may come in parts, in packets of its own or of somebody else's making.
func TestSidebandHidesFolders(t *testing.T) {
	own := folders{"/data/repos/shop.git", "/shop.git", "/data/repos", ""}
	const said = "fatal: cannot write '/data/repos/shop.git/objects/x' /data/repo /data/repos/.tmp\n"
	const want = "fatal: cannot write '/shop.git/objects/x' /data/repo /.tmp\n"
	for first := range len(said) {
		for _, chunk := range []int{1, 7, 1000} {
			var git, got bytes.Buffer
			packets := pktline.NewWriter(&git)
			_ = packets.String("0123 refs/heads/main\x00report-status /data/repos/shop.git\n")
			_ = packets.Flush()
			_ = packets.Packet(append([]byte{2}, said[:first]...))
			_ = packets.Packet(append([]byte{2}, said[first:]...))
			_ = packets.Packet([]byte{1})
			_ = packets.Packet([]byte("\x02/data/"))
			_ = packets.Flush()
			s := newSideband(&got, own)
			for rest := git.Bytes(); len(rest) > 0; {
				n := min(len(rest), chunk)
				if _, err := s.Write(rest[:n]); err != nil {
					t.Fatal(err)
				}
				rest = rest[n:]
			}
			_ = s.flush()
			text, others := split(t, got.Bytes())
			if text != want+"/data/" {
				t.Fatalf("cut after %q: %q", said[:first], text)
			}
			if others != "0123 refs/heads/main\x00report-status /data/repos/shop.git\n|flush|\x01|flush|" {
				t.Fatalf("the rest is %q", others)
			}
		}
	}
}

func split(t *testing.T, b []byte) (text, others string) {
	packets := pktline.NewReader(bytes.NewReader(b))
	for {
		kind, payload, err := packets.Next()
		switch {
		case err != nil:
			return text, others
		case kind == pktline.Flush:
			others += "flush|"
		case len(payload) > 0 && payload[0] == 2:
			text += string(payload[1:])
		default:
			others += fmt.Sprintf("%s|", payload)
		}
	}
}

// What is no packet passes as it is.
func TestSidebandPassesWhatIsStrange(t *testing.T) {
	var got bytes.Buffer
	s := newSideband(&got, folders{"/data", ""})
	for _, part := range []string{"0006\x02a", "us", "age: git", " receive-pack\n"} {
		if _, err := s.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	if got.String() != "0006\x02ausage: git receive-pack\n" {
		t.Errorf("%q", got.String())
	}
}
