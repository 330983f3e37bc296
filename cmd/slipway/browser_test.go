package main

import (
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"

	"slipway/webui/browsertest"
)

// visitor is somebody at a browser.
type visitor struct {
	*browsertest.Tab
	scene *scene
	web   string
}

// signIn signs in by the link that the key of somebody makes.
func (s *scene) signIn(browser *browsertest.Browser, who string) *visitor {
	s.Helper()
	v := &visitor{browser.Open(s.TB, browsertest.Desktop()), s, "http://127.0.0.1:" + s.env.Getenv("HTTP_PORT")}
	out, err := s.prepared(s.env.WorkDir, "ssh", who, "login").Output()
	must(s, err)
	v.Go(strings.TrimSpace(string(out)))
	v.Click("main form button")
	v.Until(`document.querySelector("h1").innerText === "Production now"`)
	return v
}

// at goes to a page of the site.
func (v *visitor) at(path string) { v.Go(v.web + path) }

// The pages at work: people sign in by their keys, follow a push from the queue to the verdict, read why
// another was refused, roll back, and sign out; nobody sees what is not theirs.
func TestPagesAtWork(t *testing.T) {
	t.Parallel()
	s := newScene(t, "domain = \"localhost\"\n", "blog")
	browser := browsertest.Start(t)
	repo := s.repository("alice", "shop")
	repo.accepted()
	alice := s.signIn(browser, "alice")

	followed(t, alice, repo)
	refused(t, alice, repo)
	rolledBack(t, alice)
	looked(alice)
	seenByOthers(t, s, browser)

	alice.Click(".bar .who button")
	alice.Until(`location.pathname === "/login"`)
	alice.at("/deployments/2")
	alice.Until(`location.pathname === "/login"`)
}

// followed follows a push while it happens, without loading the page again.
func followed(t *testing.T, alice *visitor, repo *clone) {
	alice.at("/")
	alice.Until(`document.getElementById("app-shop").innerText.includes("Open shop")`)
	alice.Text(`window.stayed = "yes"`)
	repo.commit("Sell stamps", map[string]string{"answer": "stamps\n", "slipway.toml": `
[build]
run = 'for i in $(seq 60); do echo "building $i"; sleep 0.05; done; printf "<script>document.title = 1</script>\n"'

[test.unit]
run = 'for i in $(seq 40); do printf "\033[32mok\033[0m %s\n" "$i"; sleep 0.05; done'

[process.web]
run = "exec python3 app.py"

[monitor]
bake_time = "3s"
interval = "100ms"
`})
	var pushing sync.WaitGroup
	pushing.Go(func() {
		if out, err := repo.run(repo.dir, "git", "push", "production", "main"); err != nil {
			t.Errorf("git push: %v\n%s", err, out)
		}
	})
	defer pushing.Wait()
	alice.Until(`document.querySelector("#app-shop .queue a") && window.stayed === "yes"`)
	alice.Picture("work-production")
	alice.Click("#app-shop .queue a")
	alice.Until(`location.pathname === "/deployments/2"`)
	alice.Text(`window.stayed = "yes"`)
	alice.Until(`document.getElementById("build:5")`)
	alice.Picture("work-building")
	alice.Until(`document.getElementById("test.unit:2")?.innerText.includes("ok 1")`)
	alice.Until(`document.querySelector("#watched svg.chart") && document.querySelector("#watched").innerText.includes("probe")`)
	alice.Picture("work-watched")
	alice.Until(`document.querySelector("h1").innerText.includes("accepted") && document.getElementById("state-monitor").innerText.includes("passed")`)
	lines := func(log string) string {
		return alice.Text(fmt.Sprintf(`[...document.querySelectorAll("[id='%s'] .lines li a")].map((a) => a.innerText).join(" ")`, log))
	}
	for log, most := range map[string]int{"build": 62, "test.unit": 41} { // with the line that says what is run
		var want []string
		for i := range most {
			want = append(want, fmt.Sprint(i+1))
		}
		if got := lines(log); got != strings.Join(want, " ") {
			t.Errorf("%s has the lines %s", log, got)
		}
	}
	if got := alice.Text(`window.stayed + " " + document.title`); got != "yes shop deployment 2 · Slipway" {
		t.Errorf("the page was loaded again, or a log line was run: %s", got)
	}
	alice.Sound("after a push")
	alice.Picture("work-accepted")
}

// refused reads why a push was refused.
func refused(t *testing.T, alice *visitor, repo *clone) {
	repo.commit("Sell nothing", map[string]string{"slipway.toml": "[test.unit]\nrun = 'echo got 3, want 2; exit 1'\n" + smallManifest})
	repo.refused([]string{"production", "main"}, "/deployments/3")
	alice.at("/deployments?status=rejected")
	alice.Click(`tbody a[href="/deployments/3"]`)
	alice.Until(`document.querySelector(".sentence")?.innerText.startsWith('Rejected: test set "unit" failed (exit status 1). Production stayed at ')`)
	if !browsertest.Value[bool](alice.Tab, `document.getElementById("test.unit").open && document.getElementById("test.unit").innerText.includes("got 3, want 2")`) {
		t.Error("the log of what failed is not open")
	}
	alice.Sound("a rejected deployment")
	alice.Picture("work-rejected")
}

// rolledBack puts the first release into production again.
func rolledBack(t *testing.T, alice *visitor) {
	alice.at("/apps/shop")
	alice.Click(`details.confirm:has(input[name=to][value="1"]) summary`)
	alice.Type(`details.confirm:has(input[name=to][value="1"]) input[name=reason]`, "stamps were wrong")
	alice.Click(`details.confirm:has(input[name=to][value="1"]) button`)
	alice.Until(`location.pathname === "/deployments/4" && document.querySelector("h1").innerText.includes("accepted")`)
	if got := alice.Text(`document.getElementById("head").innerText`); !strings.Contains(got, "roll back to 1: stamps were wrong") {
		t.Errorf("the roll back's page says: %s", got)
	}
	alice.scene.serves("shop", "hello")
}

// looked looks at the pages that nothing happens on.
func looked(alice *visitor) {
	for name, path := range map[string]string{
		"app": "/apps/shop", "history": "/deployments", "stats": "/stats", "audit": "/audit", "people": "/users", "help": "/help", "manifest": "/help?topic=slipway.toml",
	} {
		alice.at(path)
		for _, v := range []browsertest.View{browsertest.Views()[0], browsertest.Desktop()} {
			alice.View(v)
			alice.Sound(name + " " + v.Name)
			alice.Picture("work-" + name + "-" + v.Name)
		}
	}
}

// seenByOthers is what a viewer sees, of what is hers and of what is not; and what anybody sees whose
// browser runs no scripts.
func seenByOthers(t *testing.T, s *scene, browser *browsertest.Browser) {
	vera := s.signIn(browser, "vera")
	vera.at("/deployments/2")
	vera.Until(`document.querySelector("h1").innerText.includes("accepted")`)
	if browsertest.Value[bool](vera.Tab, `document.querySelector("main form") !== null`) {
		t.Error("a viewer is offered to change something")
	}
	for _, path := range []string{"/apps/blog", "/deployments/99", "/deployments/99/log/build", "/nothing"} {
		vera.at(path)
		vera.Until(`document.querySelector("h1") && !document.body.innerText.includes("Internal error")`)
		if problems := strings.Join(vera.Problems(), "\n"); !strings.Contains(problems, "404") {
			t.Errorf("%s is not missing: %q", path, problems)
		}
		vera.Sound(path)
	}
	bob := s.signIn(browser, "bob")
	bob.WithoutScripts()
	bob.at("/deployments/2")
	bob.Sound("without scripts")
	if got := bob.Text(`document.querySelector("h1").innerText + document.getElementById("build").textContent`); !strings.Contains(got, "accepted") || !strings.Contains(got, "building 60") {
		t.Errorf("without scripts: %s", got)
	}
	if u, err := url.Parse(bob.Address()); err != nil || u.Path != "/deployments/2" {
		t.Errorf("bob is at %s", u)
	}
}
