package manifest

import (
	"fmt"
	"strings"

	"slipway/deploy"
)

// examples are manifests for trees whose language is known by a file but not how it is served.
var examples = []struct {
	file, build, test, web string
}{
	{"Gemfile", "bundle install", "bundle exec rake test", "bundle exec rackup --host 127.0.0.1 --port $PORT"},
	{"composer.json", "composer install --no-interaction", "vendor/bin/phpunit", "php -S 127.0.0.1:$PORT -t public"},
	{"index.php", "", "", "php -S 127.0.0.1:$PORT"},
	{"Cargo.toml", "cargo build --release", "cargo test", "./target/release/app"},
	{"pom.xml", "mvn -q package -DskipTests", "mvn -q -o test", "java -jar target/app.jar --server.port=$PORT"},
	{"build.gradle", "./gradlew assemble", "./gradlew --offline test", "java -jar build/libs/app.jar --server.port=$PORT"},
	{"build.gradle.kts", "./gradlew assemble", "./gradlew --offline test", "java -jar build/libs/app.jar --server.port=$PORT"},
	{"mix.exs", "mix deps.get && mix compile", "mix test", "mix phx.server"},
	{"deno.json", "deno cache main.ts", "deno test", "deno run --allow-net --allow-env main.ts"},
	{"CMakeLists.txt", "cmake -S . -B build && cmake --build build", "ctest --test-dir build", "./build/app"},
	{"Dockerfile", "make build", "make test", "./bin/app"},
}

// nothingRunnable rejects a tree that shows nothing to run, with a manifest that would fit it.
func nothingRunnable(t *tree, g *guess) error {
	shows := "no file shows what to run"
	m := defaults()
	web := "./bin/app"
	if g != nil {
		shows, web = g.main.lacks, g.main.sample
		m.Build.Commands, m.Tests = g.build, g.tests
	} else if file, ok := t.example(m); ok {
		shows, web = file+" does not tell which command serves", m.Processes[0].Run
	} else {
		m.Build.Commands = []string{"make build"}
		example := &guess{}
		example.test("unit", []string{"make test"})
		m.Tests = example.tests
	}
	m.Processes = []deploy.Process{{Name: deploy.WebProcess, Run: web}}
	r := deploy.Reject(deploy.CodeManifest, "nothing to run: there is no %s and no %s, and %s", fileName, procfileName, shows)
	r.Line = fmt.Sprintf("nothing to run: no %s, no %s", fileName, procfileName)
	return r.WithHint("add a %s at the root of the repository, for this tree perhaps:\n\n%s", fileName, strings.TrimSuffix(sections(m), "\n"))
}

// example fills in what fits a language that is not detected.
func (t *tree) example(m *deploy.Manifest) (file string, ok bool) {
	for _, e := range examples {
		if !t.has(e.file) {
			continue
		}
		if e.build != "" {
			m.Build.Commands = []string{e.build}
		}
		g := &guess{}
		if e.test != "" {
			g.test("unit", []string{e.test})
		}
		m.Tests = g.tests
		m.Processes = []deploy.Process{{Name: deploy.WebProcess, Run: e.web}}
		return e.file, true
	}
	return "", false
}
