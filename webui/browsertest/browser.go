// Package browsertest looks at pages with a real browser, Debian's chromium-headless-shell, for the tests of
// webui and of the whole program. It knows pages and no product.
//
// A [Browser] is one process; each [Tab] of it has cookies of its own, and fails its test when the page's
// console or the content security policy complains. [Tab.Sound] holds a page against the rules that hold for
// every page. Pictures are written where the flag -screenshots says. Start reading at [Start].
package browsertest

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

var screenshots = flag.String("screenshots", "", "the folder that pictures of the pages are written to; none if empty")

// program is Debian's name for it.
const program = "chromium-headless-shell"

// patience is how long a page may take for anything, on a machine that is busy.
const patience = 30 * time.Second

// Browser is a browser without windows.
type Browser struct {
	t   testing.TB
	ctx context.Context
}

// Start starts a browser that ends with the test. It never reaches beyond this machine.
func Start(t testing.TB) *Browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-domain-reliability", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1"), chromedp.Flag("font-render-hinting", "none"),
		chromedp.UserDataDir(t.TempDir()),
	)
	if os.Getuid() == 0 { // its own sandbox does not work for root
		options = append(options, chromedp.NoSandbox)
	}
	ctx, end := chromedp.NewExecAllocator(t.Context(), options...)
	ctx, cancel := chromedp.NewContext(ctx)
	t.Cleanup(func() {
		cancel()
		end()
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("starting %s: %v", program, err)
	}
	return &Browser{t, ctx}
}

// View is how a page is looked at.
type View struct {
	Name   string
	Width  int
	Height int
	Dark   bool
}

// Views are a phone and a desktop, in light and in dark, and a wide screen.
func Views() []View {
	var all []View
	for _, size := range []View{{Name: "phone", Width: 360, Height: 740}, {Name: "desktop", Width: 1280, Height: 900}} {
		for _, dark := range []bool{false, true} {
			v := size
			if v.Dark = dark; dark {
				v.Name += "-dark"
			}
			all = append(all, v)
		}
	}
	return append(all, View{Name: "wide", Width: 1600, Height: 1000})
}

// Desktop is a desktop in light.
func Desktop() View { return Views()[2] }

// Tab is a page with cookies of its own.
type Tab struct {
	t   testing.TB
	ctx context.Context

	mu       sync.Mutex
	problems []string
}

// Open opens a tab that is closed with the test. What its console has said fails the test then.
func (b *Browser) Open(t testing.TB, v View) *Tab {
	t.Helper()
	tab := &Tab{t: t}
	ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext(), chromedp.WithListener(tab.hear))
	tab.ctx = ctx
	t.Cleanup(func() {
		for _, p := range tab.Problems() {
			t.Errorf("the page says: %s", p)
		}
		cancel()
	})
	if err := chromedp.Do(ctx); err != nil { // the tab lives as long as the context of what is done first
		t.Fatalf("opening a tab: %v", err)
	}
	tab.View(v)
	return tab
}

// hear keeps what a page complains of.
func (b *Tab) hear(event any) {
	problem := ""
	switch e := event.(type) {
	case *cdplog.EventEntryAdded:
		if e.Entry.Level == cdplog.EntryLevelError || e.Entry.Level == cdplog.EntryLevelWarning {
			problem = fmt.Sprintf("%s: %s (%s)", e.Entry.Source, e.Entry.Text, e.Entry.URL)
		}
	case *runtime.EventExceptionThrown:
		problem = "exception: " + e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			problem += " " + e.ExceptionDetails.Exception.Description
		}
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			problem = "console: " + string(e.Type)
			for _, a := range e.Args {
				problem += " " + string(a.Value)
			}
		}
	}
	if problem != "" {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.problems = append(b.problems, problem)
	}
}

// Problems returns what the page has complained of since it was asked last.
func (b *Tab) Problems() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.problems
	b.problems = nil
	return all
}

// do does something and fails the test if that fails.
func (b *Tab) do(what string, actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
}

// View changes how the page is looked at.
func (b *Tab) View(v View) {
	b.t.Helper()
	scheme := "light"
	if v.Dark {
		scheme = "dark"
	}
	b.do("viewport", chromedp.EmulateViewport(int64(v.Width), int64(v.Height)))
	b.call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}})
}

func (b *Tab) call(command cdp.Command[emulation.SetEmulatedMediaParams, cdp.Empty], params emulation.SetEmulatedMediaParams) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, command, params); err != nil {
		b.t.Fatal(err)
	}
}

// WithoutScripts switches scripts off for what is opened from now on.
func (b *Tab) WithoutScripts() {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		b.t.Fatal(err)
	}
}

// Cookie gives the tab a cookie for an address.
func (b *Tab) Cookie(address, name, value string) {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, network.SetCookie, network.SetCookieParams{Name: name, Value: value, URL: address})
	if err != nil {
		b.t.Fatalf("setting a cookie: %v", err)
	}
}

// Go opens an address and waits until it is loaded.
func (b *Tab) Go(address string) {
	b.t.Helper()
	b.do("opening "+address, chromedp.Navigate(address))
}

// Click clicks what a CSS selector finds.
func (b *Tab) Click(selector string) {
	b.t.Helper()
	b.do("clicking "+selector, chromedp.Click(chromedp.CSS(selector)))
}

// Type types into what a CSS selector finds.
func (b *Tab) Type(selector, text string) {
	b.t.Helper()
	b.do("typing into "+selector, chromedp.SendKeys(chromedp.CSS(selector), text))
}

// Press presses keys.
func (b *Tab) Press(keys string) {
	b.t.Helper()
	b.do("pressing keys", chromedp.KeyEvent(keys))
}

// Address is where the tab is.
func (b *Tab) Address() string {
	b.t.Helper()
	address, err := chromedp.Run(b.ctx, chromedp.Location())
	if err != nil {
		b.t.Fatal(err)
	}
	return address
}

// Text is what an expression in the page gives.
func (b *Tab) Text(expression string) string {
	b.t.Helper()
	return Value[string](b, expression)
}

// Value is what an expression in the page gives.
func Value[T any](b *Tab, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("%.200s: %v", expression, err)
	}
	return v
}

// Until waits until an expression in the page is true. While a page is being replaced, or comes in, it is not.
func (b *Tab) Until(expression string) {
	b.t.Helper()
	limit := time.Now().Add(patience)
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		ok, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](`document.readyState !== "loading" && !!(`+expression+")"))
		if err == nil && ok {
			return
		}
		if time.Now().After(limit) {
			b.Picture("failed")
			b.t.Fatalf("not within %s: %s (%v)\nat %s:\n%s", patience, expression, err, b.Address(), b.Text("document.body.innerText.slice(0, 4000)"))
		}
		<-look.C
	}
}

// Picture writes a picture of the whole page, where pictures are wanted.
func (b *Tab) Picture(name string) {
	b.t.Helper()
	if *screenshots == "" {
		return
	}
	size := Value[[]int](b, "[document.documentElement.clientWidth, Math.min(6000, document.documentElement.scrollHeight)]")
	whole := true
	r, err := chromedp.Call(b.ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{
		CaptureBeyondViewport: &whole, Clip: &page.Viewport{Width: float64(size[0]), Height: float64(size[1]), Scale: 1},
	})
	if err == nil {
		err = os.MkdirAll(*screenshots, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(*screenshots, name+".png"), r.Data, 0o644)
	}
	if err != nil {
		b.t.Error(err)
	}
}
