# Slipway's own tasks. `make` lists them.

SHELL     := /bin/bash
GO        ?= go
VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
TESTFLAGS ?=
FUZZTIME  ?= 10s
ARGS      ?=
N         ?= 1000
SEED      ?=
MINUTES   ?= 10

LINT_VERSION := v2.15.0
GOLANGCI     ?= .tools/golangci-lint-$(LINT_VERSION)

OAPI_VERSION := v2.8.2

# The version is stamped below; what git says of the checkout is not needed twice.
BUILD := CGO_ENABLED=0 $(GO) build -buildvcs=false -trimpath

.PHONY: help build generate test lint model fuzz crash soak screenshots bench demo check clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/slipway, one static binary
	$(BUILD) -ldflags '-s -w' -o cmd/slipway/libexec/slipway-hook ./cmd/slipway-hook
	$(BUILD) -ldflags '-s -w' -o cmd/slipway/libexec/slipway-aside ./cmd/slipway-aside
	@cp docs/manifest.md cmd/slipway/libexec/slipway-manifest.md
	$(BUILD) -ldflags '-s -w -X main.version=$(VERSION)' -o bin/slipway ./cmd/slipway

test: build ## install what the tests need, and run them with the race detector
	@.ci/need gcc=gcc,libc6-dev git=git bwrap=bubblewrap ssh=openssh-client curl=curl python3=python3 node=nodejs npm=npm chromium-headless-shell=chromium-headless-shell
	@.ci/need -stopped pg_ctlcluster=postgresql
	@PATH=$$PATH:/usr/sbin .ci/need mkfs.ext4=e2fsprogs losetup=mount
	CGO_ENABLED=1 $(GO) test -race -shuffle=on -timeout 25m $(TESTFLAGS) ./...
	cd examples/shop && $(GO) test $(TESTFLAGS) .
	cd examples/node && npm test --silent
	cd examples/python && PYTHONDONTWRITEBYTECODE=1 python3 -m unittest
	cd examples/procfile && $(MAKE) --no-print-directory test

generate: ## make the API's types and routes of api/openapi.yaml
	$(GO) run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@$(OAPI_VERSION) -config api/generate.yaml api/openapi.yaml

lint: $(GOLANGCI) ## run golangci-lint, the import rules included, and check the scripts' syntax
	$(GOLANGCI) run ./...
	@for f in .ci/run .ci/need .ci/model examples/demo.sh; do bash -n "$$f" || exit 1; done
	@if command -v shellcheck >/dev/null; then shellcheck .ci/run .ci/need .ci/model examples/demo.sh; fi

.tools/golangci-lint-$(LINT_VERSION):
	@echo "installing golangci-lint $(LINT_VERSION); this takes some minutes, once"
	GOBIN=$(CURDIR)/.tools $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)
	mv .tools/golangci-lint $@

model: ## check the model of the deployment protocol, deploy/pipeline/protocol.pml, in every order of its steps
	@.ci/need gcc=gcc,libc6-dev spin=spin
	@.ci/model

fuzz: build ## run each fuzz target for FUZZTIME (10s)
	@grep -rEl --include='*_test.go' --exclude-dir=.tools --exclude-dir=examples '^func Fuzz' . | sort | while read -r file; do \
		for name in $$(sed -nE 's/^func (Fuzz[A-Za-z0-9_]*).*/\1/p' "$$file"); do \
			echo "$$name in $$(dirname "$$file")"; \
			$(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) "$$(dirname "$$file")" || exit 1; \
		done; \
	done

crash: build ## kill the server, what it keeps and the power N (1000) times; SEED repeats a run
	@.ci/need git=git bwrap=bubblewrap ssh=openssh-client
	@PATH=$$PATH:/usr/sbin .ci/need mkfs.ext4=e2fsprogs losetup=mount
	CRASH_RUNS=$(N) CRASH_SEED=$(SEED) $(GO) test -count 1 -timeout 24h -v -run '^TestKilledAtEveryInstant$$' ./cmd/slipway

soak: build ## have four developers push to ten apps for MINUTES (10); SEED repeats a choice
	@.ci/need git=git bwrap=bubblewrap ssh=openssh-client
	SOAK_MINUTES=$(MINUTES) SOAK_SEED=$(SEED) $(GO) test -count 1 -timeout 24h -v -run '^TestSideBySide$$' ./cmd/slipway

screenshots: build ## write pictures of every page to DIR, for whoever changes them to look at
	@test -n "$(DIR)" || { echo "say where: make screenshots DIR=pictures"; exit 1; }
	@.ci/need git=git bwrap=bubblewrap ssh=openssh-client python3=python3 chromium-headless-shell=chromium-headless-shell
	$(GO) test -count 1 -run 'TestPagesInBrowser|TestPageMoves|TestPagesAtWork' ./webui ./cmd/slipway -args -screenshots $(abspath $(DIR))

bench: build ## measure beside OpenSSH, bubblewrap and other proxies; writes docs/benchmarks.md
	@.ci/need git=git bwrap=bubblewrap ssh=openssh-client
	@PATH=$$PATH:/usr/sbin .ci/need -stopped sshd=openssh-server nginx=nginx pg_ctlcluster=postgresql
	$(GO) test -tags bench -count 1 -timeout 30m -v -run TestBench ./cmd/slipway -args -out $(CURDIR)/docs/benchmarks.md $(ARGS)

demo: build ## play the story with real git and ssh; ARGS=-once ends by itself
	@examples/demo.sh $(ARGS)

check: ## what every commit passes: build, lint, tests, tidy modules, no files left behind
	@mkdir -p .tools && git status --porcelain >.tools/status.before
	$(MAKE) generate
	@git diff --exit-code -- api/generated.go || { echo "api/generated.go was not made of api/openapi.yaml: commit what make generate wrote"; exit 1; }
	$(MAKE) build lint model test
	$(GO) mod tidy -diff
	@git status --porcelain | diff .tools/status.before - || { echo "make check changed or left the files above"; exit 1; }

clean: ## remove what the targets above made
	rm -rf bin .tools cmd/slipway/libexec/slipway-* examples/shop/bin
