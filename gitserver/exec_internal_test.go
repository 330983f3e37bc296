package gitserver

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/deploy"
	"slipway/gitserver/pktline"
)

func TestParseExec(t *testing.T) {
	for line, want := range map[string]execLine{
		"git-upload-pack '/shop.git'":             {service: uploadPack, path: "/shop.git"},
		"git upload-pack '/shop'":                 {service: uploadPack, path: "/shop"},
		"git-receive-pack 'shop'":                 {service: receivePack, path: "shop"},
		"git-upload-archive shop":                 {service: uploadArchive, path: "shop"},
		`git-receive-pack 'it'\''s'`:              {service: receivePack, path: "it's"},
		`git-receive-pack 'wow'\!''`:              {service: receivePack, path: "wow!"},
		`git-upload-pack "/shop"`:                 {service: uploadPack, path: "/shop"},
		"git-upload-pack ''":                      {service: uploadPack, path: ""},
		"git-upload-pack '--exec=id'":             {service: uploadPack, path: "--exec=id"},
		"git-upload-pack 'a;b|c$(d)`e`'":          {service: uploadPack, path: "a;b|c$(d)`e`"},
		"":                                        {},
		"   ":                                     {},
		"status":                                  {argv: []string{"status"}},
		"  log  42\ttest.unit ":                   {argv: []string{"log", "42", "test.unit"}},
		`rollback shop -reason "it's \"bad\" \x"`: {argv: []string{"rollback", "shop", "-reason", `it's "bad" \x`}},
		`a\ b ''c ""`:                             {argv: []string{"a b", "c", ""}},
		"git":                                     {argv: []string{"git"}},
		"why? *~#=%{}[]!":                         {argv: []string{"why?", "*~#=%{}[]!"}},
	} {
		got, err := parseExec(line)
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(execLine{})); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got)\n%s", line, err, diff)
		}
	}
	for _, line := range []string{
		"git-upload-pack", "git-upload-pack 'a' 'b'", "git-shell", "git frotz", "git-upload-pack 'a", `a \`, `"a`, "a\nb", "a\x00b", "a\x1bb",
		"a; b", "a & b", "a | b", "a > b", "a < b", "$(a)", "`a`", "a $HOME", "(a)", "\xff", strings.Repeat("a", maxExec+1),
	} {
		if got, err := parseExec(line); err == nil {
			t.Errorf("%.40q: %+v", line, got)
		}
	}
}

func TestParsePath(t *testing.T) {
	for _, path := range []string{"shop", "/shop", "shop.git", "/shop.git"} {
		if app, err := parsePath(path); app != "shop" || err != nil {
			t.Errorf("%s: %s, %v", path, app, err)
		}
	}
	for _, path := range []string{"", "/", ".git", "/.git", "//shop", "shop/", "../shop", "shop/../x", "a/b", "Shop", "shop.git.git", "-x", "~/shop", "shop\x00", "shop\n", "./shop", strings.Repeat("a", 41)} {
		if app, err := parsePath(path); err == nil {
			t.Errorf("%q: %s", path, app)
		}
	}
}

// sqQuote is sq_quote_buf of git's quote.c.
func sqQuote(s string) string {
	return "'" + strings.NewReplacer("'", `'\''`, "!", `'\!'`).Replace(s) + "'"
}

// Whatever git quotes comes out as it was, and no line makes a path of what is no app's name.
func FuzzParseExec(f *testing.F) {
	f.Add("git-upload-pack '/shop.git'")
	f.Add("/shop's!.git")
	f.Add("../../etc/passwd")
	f.Fuzz(func(t *testing.T, s string) {
		if line, err := parseExec("git-receive-pack " + sqQuote(s)); err == nil && (line.path != s || line.service != receivePack || line.argv != nil) {
			t.Errorf("%q became %+v", s, line)
		}
		line, err := parseExec(s)
		if err != nil {
			return
		}
		if line.service != "" && len(line.argv) > 0 {
			t.Errorf("%q is both: %+v", s, line)
		}
		var quoted []string
		for _, word := range line.argv {
			quoted = append(quoted, sqQuote(word))
		}
		if again, err := splitWords(strings.Join(quoted, " ")); len(strings.Join(quoted, " ")) <= maxExec && (err != nil || !slices.Equal(again, line.argv)) {
			t.Errorf("%q: %q became %q, %v", s, line.argv, again, err)
		}
		if app, err := parsePath(line.path); err == nil && strings.Trim(string(app), "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			t.Errorf("%q is the app %q", line.path, app)
		}
	})
}

// packets writes lines as pkt-lines.
func packets(lines ...string) string {
	var b strings.Builder
	for _, line := range lines {
		if err := pktline.NewWriter(&b).String(line); err != nil {
			panic(err)
		}
	}
	return b.String()
}

// Push options are asked of git only where it has them: it would write a list that nobody reads, maybe to
// a hook that has ended.
func TestOptionsAreAskedFor(t *testing.T) {
	one := packets(strings.Repeat("0", 40)+" "+strings.Repeat("1", 40)+" refs/heads/main") + "0000"
	for _, test := range []struct{ git, want, rest string }{
		{packets("version=1\n") + "0000" + one, packets("version=1") + "0000", ""},
		{packets("version=1\x00atomic\n") + "0000" + one, packets("version=1") + "0000", ""},
		{packets("version=1\x00atomic push-options\n") + "0000" + one + packets("bypass") + "0000", packets("version=1\x00push-options") + "0000", "bypass"},
	} {
		var answer strings.Builder
		r := strings.NewReader(test.git)
		q, err := readRequest(r, &answer, 100)
		if err != nil || answer.String() != test.want || strings.Join(q.options, " ") != test.rest || len(q.updates) != 1 || r.Len() > 0 {
			t.Errorf("%q: %+v, %v, %d bytes left; answered %q, want %q", test.git, q, err, r.Len(), answer.String(), test.want)
		}
	}
}

// What git says to the hook comes from the network in part, and the hook's socket is a wire like
// another: garbage is an error, and what is answered to what was understood is in order.
func FuzzReadRequest(f *testing.F) {
	zero, one := strings.Repeat("0", 40), strings.Repeat("1", 40)
	f.Add([]byte(packets("version=1\x00push-options atomic") + "0000" + packets(zero+" "+one+" refs/heads/main") + "0000" + packets("bypass") + "0000"))
	f.Add([]byte(packets("version=1\n") + "00000000"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var answer strings.Builder
		q, err := readRequest(strings.NewReader(string(b)), &answer, 100)
		if err != nil {
			return
		}
		if without := packets("version=1") + "0000"; answer.String() != packets("version=1\x00push-options")+"0000" && (answer.String() != without || len(q.options) > 0) {
			t.Errorf("answered %q", answer.String())
		}
		for _, u := range q.updates {
			if u.Ref == "" || len(u.Old) != len(u.New) {
				t.Errorf("update %+v", u)
			}
		}
		results := make([]result, len(q.updates))
		for i, u := range q.updates {
			results[i] = result{update: u, refused: deploy.Reject(deploy.CodeUsage, "no\nok %s", u.Ref)}
		}
		var out strings.Builder
		if err := writeResults(&out, results); err == nil && strings.Contains(out.String(), "\nok ") {
			for _, u := range q.updates {
				if strings.Contains(string(u.Ref), "\n") {
					return
				}
			}
			t.Errorf("wrote %q", out.String())
		}
	})
}

// However the list is cut into reads, it is read the same; nothing is held for ever.
func FuzzCommandList(f *testing.F) {
	zero, one := strings.Repeat("0", 40), strings.Repeat("1", 40)
	f.Add([]byte(packets(zero+" "+one+" refs/heads/main\x00 report-status-v2")+"0000PACK"), uint8(3))
	f.Add([]byte(packets("shallow "+one+"\n")+"0000"), uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, step uint8) {
		whole, parts := commandList{limit: 10}, commandList{limit: 10}
		wholeErr := whole.feed(b)
		var partsErr error
		for rest := b; len(rest) > 0 && partsErr == nil; {
			n := min(int(step)+1, len(rest))
			partsErr = parts.feed(rest[:n])
			rest = rest[n:]
		}
		if (wholeErr == nil) != (partsErr == nil) || whole.count() != parts.count() || whole.wantsReport() != parts.wantsReport() || whole.complete != parts.complete {
			t.Errorf("whole %+v %v, in parts %+v %v", &whole, wholeErr, &parts, partsErr)
		}
		if len(whole.held) > 65520 {
			t.Errorf("holds %d bytes", len(whole.held))
		}
	})
}

func TestCommandList(t *testing.T) {
	one := strings.Repeat("1", 40)
	l := commandList{limit: 2}
	update := one + " " + one + " refs/heads/main"
	if err := l.feed([]byte(packets("shallow "+one+"\n", update+"\x00 report-status agent=git/2.39", update) + "0000PACK0065")); err != nil {
		t.Fatal(err)
	}
	if l.count() != 2 || !l.wantsReport() || !l.complete {
		t.Errorf("%+v", &l)
	}
	for _, bad := range []string{"0003", "PACK", packets("push-cert\x00report-status"), strings.Repeat(packets(update), 3)} {
		l := commandList{limit: 2}
		if err := l.feed([]byte(bad)); err == nil {
			t.Errorf("%.20q: %+v", bad, &l)
		}
	}
}

func TestParseUpdate(t *testing.T) {
	sha1, sha256 := strings.Repeat("1", 40), strings.Repeat("2", 64)
	if u, err := parseUpdate(sha1 + " " + sha1 + " refs/heads/a b"); err != nil || u != (deploy.RefUpdate{Ref: "refs/heads/a b", Old: deploy.OID(sha1), New: deploy.OID(sha1)}) {
		t.Errorf("%+v, %v", u, err)
	}
	for _, line := range []string{"", sha1, sha1 + " " + sha1, sha1 + " " + sha1 + " ", sha1 + " " + sha256 + " refs/x/y", "HEAD " + sha1 + " refs/x/y"} {
		if u, err := parseUpdate(line); err == nil {
			t.Errorf("%q: %+v", line, u)
		}
	}
}
