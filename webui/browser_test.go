package webui

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/deploy"
	"slipway/webui/browsertest"
)

// cannedSite serves every page with canned data below /canned/, with the headers of real ones.
func cannedSite(t *testing.T) *httptest.Server {
	t.Helper()
	pages, err := NewPages()
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /static/", pages.assets)
	mux.HandleFunc("GET /canned/{name}", func(w http.ResponseWriter, r *http.Request) {
		c := canned()[r.PathValue("name")]
		var b bytes.Buffer
		if err := pages.Render(&b, c.page, c.view); err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(b.Bytes())
	})
	mux.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) { // live events: there are none
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "event: end\ndata: {}\n\n")
	})
	server := httptest.NewServer(strict(mux))
	t.Cleanup(server.Close)
	return server
}

// Every page is sound at phone and desktop width, in light and in dark. With -screenshots there are pictures
// of all of them.
func TestPagesInBrowser(t *testing.T) {
	server := cannedSite(t)
	browser := browsertest.Start(t)
	var names []string
	for name := range canned() {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			tab := browser.Open(t, browsertest.Desktop())
			tab.Go(server.URL + "/canned/" + name)
			for _, v := range browsertest.Views() {
				tab.View(v)
				tab.Sound(name + " " + v.Name)
				tab.Picture(name + "-" + v.Name)
			}
		})
	}
}

// Where a chart of days is wider than the screen, its newest days are seen first, with the numbers beside them,
// without any script.
func TestNewestDaysAreSeen(t *testing.T) {
	server := cannedSite(t)
	tab := browsertest.Start(t).Open(t, browsertest.Views()[0])
	tab.WithoutScripts()
	tab.Go(server.URL + "/canned/stats")
	if unseen := tab.Text(`[...document.querySelectorAll(".days")].filter((chart) => {
		const box = chart.parentElement.getBoundingClientRect();
		const seen = (shape) => { const r = shape.getBoundingClientRect(); return r.left >= box.left && r.right <= box.right + 1; };
		const bars = chart.querySelectorAll("g"), number = chart.querySelector("text");
		return chart.parentElement.scrollWidth <= box.width || !seen(number) || !seen([...bars].at(-1));
	}).map((chart) => chart.getAttribute("aria-label")).join(", ")`); unseen != "" {
		t.Errorf("on a phone the end is not seen of: %s", unseen)
	}
	if n := browsertest.Value[int](tab, `document.querySelectorAll(".days").length`); n != 3 {
		t.Errorf("there are %d charts of days and weeks, want 3", n)
	}
}

// All that can be done by a pointer can be done by the keyboard, and where one is can be seen.
func TestKeyboard(t *testing.T) {
	server := cannedSite(t)
	tab := browsertest.Start(t).Open(t, browsertest.Desktop())
	tab.Go(server.URL + "/canned/deployment")
	want := browsertest.Value[int](tab, `[...document.querySelectorAll("a[href], button, input, select, summary, [tabindex]")].filter((e) => e.checkVisibility()).length`)
	seen := map[string]bool{}
	for range want {
		tab.Press("\t")
		at := tab.Text(`(() => {
			const e = document.activeElement, s = getComputedStyle(e);
			const outlined = s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2;
			return [...document.querySelectorAll("*")].indexOf(e) + " " + (outlined ? "" : "cannot be seen: " + e.outerHTML.slice(0, 80));
		})()`)
		if _, fault, _ := strings.Cut(at, " "); fault != "" {
			t.Error("the focus " + fault)
		}
		seen[at] = true
	}
	if len(seen) != want {
		t.Errorf("%d of %d elements can be reached", len(seen), want)
	}
	tab.Go(server.URL + "/canned/deployment")
	tab.Press("\t")
	tab.Press("\r") // the link to the content
	tab.Until(`location.hash === "#main"`)
}

// A line of a log has an address, also a range of lines, and one that is not on the page.
func TestLineAddresses(t *testing.T) {
	w := rejected(t)
	var b strings.Builder
	for i := range 9_000 {
		fmt.Fprintf(&b, "line %d\n", i+4)
	}
	w.write(t, "test.unit.log", b.String())
	w.write(t, "build.log", strings.Repeat("compiling\n", 900))
	server := w.serve(t)
	tab := signedIn(t, browsertest.Start(t), server.URL)
	marked := `[...document.querySelectorAll(".marked")].map((l) => l.id).join(" ")`
	inSight := `(() => { const r = document.querySelector(".marked").getBoundingClientRect(); return r.top > 0 && r.bottom < innerHeight; })()`

	tab.Go(server.URL + "/deployments/43#test.unit:8500-8502")
	tab.Until(marked + ` === "test.unit:8500 test.unit:8501 test.unit:8502" && ` + inSight)
	tab.Go(server.URL + "/deployments/43#build:450") // in a log that is closed
	tab.Until(marked + ` === "build:450" && ` + inSight)
	tab.Go(server.URL + "/deployments/43#test.unit:120-121") // above the lines that are on the page at first
	tab.Until(`location.pathname === "/deployments/43" && ` + marked + ` === "test.unit:120 test.unit:121" && ` + inSight)
	tab.Go(server.URL + "/deployments/43/log/test.unit?from=8001#test.unit:120") // above those of the log's own page
	tab.Until(`location.search === "?from=100" && ` + marked + ` === "test.unit:120" && ` + inSight)
	tab.Go(server.URL + "/deployments/43/log/test.unit#test.unit:9002")
	tab.Until(marked + ` === "test.unit:9002" && ` + inSight)
	tab.Go(server.URL + "/deployments/43/log/test.unit#test.unit:99999") // there is none: nothing happens
	tab.Until(`location.search === "?from=99979" && ` + marked + ` === ""`)

	tab.Go(server.URL + "/deployments/43")
	tab.Click(`[href="#test.unit:9001"]`)
	tab.Until(`location.hash === "#test.unit:9001"`)
	tab.Text(`document.querySelector('[href="#test.unit:8999"]').dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true, shiftKey: true })) + ""`)
	tab.Until(`location.hash === "#test.unit:8999-9001"`)
}

// signedIn opens a tab that is signed in.
func signedIn(t *testing.T, browser *browsertest.Browser, server string) *browsertest.Tab {
	t.Helper()
	tab := browser.Open(t, browsertest.Desktop())
	tab.Cookie(server, cookieName, "any")
	return tab
}

// A log of 200,000 lines is read within a second, at its beginning and wherever a line is named, also one that
// still grows.
func TestLongLogOpens(t *testing.T) {
	const limit = 5 * time.Second // a second without the race detector, on a machine that is not busy
	w := rejected(t)
	var b strings.Builder
	for i := range 200_000 {
		fmt.Fprintf(&b, "\x1b[32mok\x1b[0m  \tslipway/deploy/something\t0.%03ds with a line of common length, %d\n", i%1000, i+4)
	}
	w.write(t, "test.unit.log", b.String())
	server := w.serve(t)
	going := newWorld(t)
	going.begin("build")
	going.write(t, "build.log", b.String())
	live := going.serve(t)
	browser := browsertest.Start(t)
	ended, grows := signedIn(t, browser, server.URL), signedIn(t, browser, live.URL)
	ended.Go(server.URL + "/deployments/43/log/build")
	for _, c := range []struct{ address, until string }{
		{"/deployments/43/log/test.unit", `document.getElementById("test.unit:5000")`},
		{"/deployments/43/log/test.unit#test.unit:100000", `document.querySelector(".marked")?.id === "test.unit:100000"`},
		{"/deployments/43/log/test.unit?from=195001#test.unit:200000", `document.querySelector(".marked")?.id === "test.unit:200000"`},
		{"/deployments/43", `document.getElementById("test.unit:200003")`},
		{"/deployments/43#test.unit:100000", `document.querySelector(".marked")?.id === "test.unit:100000"`},
		{"live", `document.getElementById("build:200000") && document.querySelector(".lines").scrollHeight > 3_000_000`},
		{"live#build:100000", `document.querySelector(".marked")?.id === "build:100000"`},
	} {
		tab, address := ended, server.URL+c.address
		if line, ok := strings.CutPrefix(c.address, "live"); ok {
			tab, address = grows, live.URL+"/deployments/43"+line
		}
		best := time.Hour // of five
		for range 5 {
			tab.Go("about:blank")
			start := time.Now()
			tab.Go(address)
			tab.Until(c.until)
			best = min(best, time.Since(start))
			if best < limit {
				break
			}
		}
		t.Logf("%s: %s", c.address, best.Round(time.Millisecond))
		if best > limit {
			t.Errorf("%s opens in %s", c.address, best)
		}
	}
}

// A page that is opened while a long log grows has all its lines so far: those that are not on it come when one
// scrolls to them, and do not move what is read.
func TestAllLinesSoFar(t *testing.T) {
	w := newWorld(t)
	w.begin("build")
	add := func(from, to int) {
		var b strings.Builder
		for i := from; i <= to; i++ {
			fmt.Fprintf(&b, "line number %d\n", i)
		}
		w.write(t, "build.log", b.String())
	}
	add(1, 20_150)
	server := w.serve(t)
	tab := signedIn(t, browsertest.Start(t), server.URL)
	tab.Go(server.URL + "/deployments/43")
	tab.Until(`document.getElementById("build:20150") && document.getElementById("connection").textContent === "Live."`)
	if tall := browsertest.Value[float64](tab, `document.querySelector("[id='build'] .lines").scrollHeight / 20150`); tall < 19 || tall > 20 {
		t.Errorf("a line has %.1f pixels", tall)
	}
	inSight := func(n int) string {
		return fmt.Sprintf(`(() => { const b = document.querySelector("[id='build'] .lines").getBoundingClientRect(), l = document.getElementById("build:%d")?.getBoundingClientRect(); return l && l.top >= b.top - 20 && l.bottom <= b.bottom + 20 && document.getElementById("build:%[1]d").innerText.endsWith("number %[1]d"); })()`, n)
	}
	tab.Until(inSight(20_150))
	tab.Text(`(document.querySelector("[id='build'] .lines").scrollTop = 0) + ""`)
	tab.Until(inSight(1))
	tab.Text(`document.getElementById("build/10001").scrollIntoView() + ""`)
	tab.Until(inSight(10_001))
	add(20_151, 56_000) // more than a page holds at once
	tab.Until(`document.getElementById("build:56000") && ` + inSight(10_001))
	tab.Until(`document.querySelectorAll("[id='build'] li").length < 40000`)
	if got := browsertest.Value[bool](tab, `[...document.querySelectorAll("[id='build'] .lines ol")].every((b, i) => b.id === "build/" + (200 * i + 1) && (b.childElementCount === 0 || b.childElementCount === 200))`); !got {
		t.Error("blocks are missing, twice, or not whole")
	}
	tab.Go(server.URL + "/deployments/43#build:777-778")
	tab.Until(`[...document.querySelectorAll(".marked")].map((l) => l.id).join(" ") === "build:777 build:778" && ` + inSight(777))
}

// A page moves with its deployment, from the queue to the verdict; the end of a log is followed until one
// scrolls up; what is open stays open, and times go on.
func TestPageMoves(t *testing.T) {
	w := newWorld(t)
	w.deployment.Status = deploy.StatusQueued
	w.deployment.QueuedAt = time.Now()
	server := w.serve(t)
	tab := signedIn(t, browsertest.Start(t), server.URL)
	tab.Go(server.URL + "/deployments/43")
	tab.Until(`document.querySelector("h1").innerText.includes("waiting")`)
	first := tab.Text(`document.querySelector("#head [data-elapsed]").textContent`)
	tab.Until(`document.querySelector("#head [data-elapsed]").textContent !== "` + first + `"`)
	tab.Text(`window.stayed = "yes"`)

	w.change(func() { w.deployment.Status = deploy.StatusRunning })
	w.begin("build")
	w.write(t, "build.log", strings.Repeat("compiling\n", 500))
	tab.Until(`document.getElementById("build:500") && document.querySelector("h1").innerText.includes("running")`)
	bottom := `(() => { const b = document.querySelector("[id='build'] .lines"); return b.scrollHeight - b.scrollTop - b.clientHeight; })()`
	tab.Until(bottom + " < 5")
	w.write(t, "build.log", "more\n")
	tab.Until(`document.getElementById("build:501") && ` + bottom + " < 5")
	tab.Text(`(document.querySelector("[id='build'] .lines").scrollTop = 0) + ""`)
	tab.Until(`document.querySelector("[id='build'] .lines").scrollTop === 0`)
	w.write(t, "build.log", strings.Repeat("more\n", 300))
	tab.Until(`document.getElementById("build:801") && document.getElementById("total-build").textContent === "801 lines"`)
	if top := browsertest.Value[float64](tab, `document.querySelector("[id='build'] .lines").scrollTop`); top != 0 {
		t.Errorf("the log moved under its reader, to %v", top)
	}

	happened := func(sequence uint64) {
		w.change(func() {
			e := deploy.Event{Sequence: sequence, Type: deploy.EventStageFinished, At: time.Now(), Actor: deploy.ServerActor("pipeline"), App: "shop", Deployment: 43}
			w.events = slices.Insert(w.events, 0, e.WithData(deploy.VerifiedData{}))
		})
		tab.Until(fmt.Sprintf(`document.getElementById("event-%d")`, sequence))
	}
	happened(5)
	tab.Click("#data-5 summary")
	tab.Until(`document.getElementById("data-5").open && document.activeElement.parentElement.id === "data-5"`)
	happened(6)
	if !browsertest.Value[bool](tab, `document.getElementById("data-5").open && !document.getElementById("data-6").open`) {
		t.Error("an event that was opened is closed by the next")
	}
	if got := tab.Text(`document.activeElement.parentElement.id`); got != "data-5" {
		t.Errorf("the focus went to %q", got)
	}

	tab.Click("#actions details.confirm summary")
	w.end("build", deploy.OutcomePass)
	w.begin("test.unit")
	w.write(t, "test.unit.log", "--- FAIL\n<script>window.harmed = 1</script>\n"+strings.Repeat("\x1b[31mx", 20_000)+"\n")
	tab.Until(`document.getElementById("test.unit:3") && document.getElementById("state-build").innerText.includes("passed")`)
	w.end("test.unit", deploy.OutcomeFail)
	w.reject(&deploy.Rejection{Code: deploy.CodeTest, Message: `test set "unit" failed`}, "test.unit")
	tab.Until(`document.querySelector("h1").innerText.includes("rejected") && document.querySelector(".sentence").innerText.startsWith("Rejected: test set")`)
	tab.Until(`document.getElementById("connection").textContent === ""`)
	if got := tab.Text(`document.querySelector("#actions details[open]")?.innerText`); !strings.Contains(got, "Cancel") {
		t.Errorf("the form that was open was closed or replaced: %q", got)
	}
	tab.Click("#actions details.confirm summary")
	tab.Until(`document.getElementById("actions").innerText === "Redeploy"`)
	if got := browsertest.Value[bool](tab, `window.stayed === "yes" && !window.harmed && document.getElementById("test.unit").open`); !got {
		t.Error("the page was loaded again, was harmed, or hides what failed")
	}
	tab.Sound("after it has moved")
	tab.Picture("moved")
}

// Without scripts a page shows the same, once.
func TestWithoutScripts(t *testing.T) {
	w := rejected(t)
	w.write(t, "build.log", strings.Repeat("compiling\n", 3000))
	server := w.serve(t)
	tab := signedIn(t, browsertest.Start(t), server.URL)
	tab.WithoutScripts()
	tab.Go(server.URL + "/deployments/43#test.unit:2")
	tab.Sound("without scripts")
	if got := tab.Text(`document.querySelector("li:target")?.innerText ?? ""`); !strings.Contains(got, "--- FAIL: TestTotal") {
		t.Errorf("the line that is named: %q", got)
	}
	tab.Click("#build summary")
	if got := tab.Text(`document.querySelector("#build .lines").innerText`); !strings.HasPrefix(got, "2,000 lines above. Page through all") {
		t.Errorf("a long log begins with %.100q", got)
	}
	if browsertest.Value[bool](tab, `[...document.querySelectorAll("#build ol:empty")].some((block) => block.checkVisibility())`) {
		t.Error("places are kept for lines that nobody can bring")
	}
	tab.Click("details.confirm:last-of-type summary")
	tab.Type("[name=reason]", "flaky")
	tab.Click("details.confirm button")
	tab.Until(`location.pathname === "/deployments/77"`)
	tab.Problems() // there is no 77
	if d := strings.Join(w.done, ";"); d != "shop redeploy of 43 flaky" {
		t.Errorf("done: %s", d)
	}
}
