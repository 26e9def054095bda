# alys: build, test and run. `make help` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help

GO      ?= go
BIN     := bin
TOOLS   := $(CURDIR)/.tools/bin
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
# The linter's cache names files by the checkout that it saw first: each checkout has its own.
export GOLANGCI_LINT_CACHE := $(CURDIR)/.tools/cache
# Packages whose races matter most: run with -race in `make test`; everything in `make race`.
RACE    := ./core/host/... ./core/route/... ./core/swap/... ./core/migrate/... ./core/guard/... ./core/driver/... ./core/consensus/... ./sdk/...

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | column -t -s "$$(printf '\t')"

.PHONY: dev
dev: deps build ## start a whole chain on this machine and say what to try next
	@exec $(BIN)/alys dev

.PHONY: build
build: ## build the node and the built-in plugins into bin/ and bin/plugins/
	@mkdir -p $(BIN)/plugins
	@$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/ ./cmd/...
	@for d in plugins/*/*/; do \
	  case $$d in plugins/internal/*) continue;; esac; \
	  kind=$$(basename $$(dirname $$d)); name=$$(basename $$d); \
	  $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/plugins/alys-$$kind-$$name ./$$d || exit 1; \
	done
	@$(GO) test -c -trimpath -ldflags '-s -w' -o $(BIN)/alys-conformance ./sdk/blackboxtest/conformance # for alys plugin test

.PHONY: deps
deps: ## install what a fresh Debian machine with Go misses (C compiler for cgo)
	@command -v gcc >/dev/null || (apt-get update -qq && apt-get install -y -qq gcc libc6-dev)

# Tests alone need it: the example signer in JavaScript shows that a plugin can be written in any language.
JS := examples/signer-js
.PHONY: js
js: $(JS)/dist/alys-signer-js ## build the example signer in JavaScript (npm)
$(JS)/dist/alys-signer-js: $(JS)/package-lock.json $(JS)/build.mjs $(wildcard $(JS)/src/*) $(wildcard sdk/wire/proto/alys/*/v1/*.proto)
	@command -v npm >/dev/null || (apt-get update -qq && apt-get install -y -qq nodejs npm)
	cd $(JS) && npm ci --no-audit --no-fund --loglevel=error && npm run --silent build

.PHONY: test
test: deps build js geth ## everything that CI runs: all tests, and the races that matter
	$(GO) test -shuffle=on -timeout 60m ./...
	$(GO) test -race -short -shuffle=on -timeout 15m $(RACE)

.PHONY: unit
unit: ## the quick part: no processes, under two minutes
	$(GO) test -short -shuffle=on -timeout 10m ./...

.PHONY: race
race: js geth ## every test under the race detector (long)
	$(GO) test -race -shuffle=on -timeout 60m ./...

.PHONY: lint
lint: $(TOOLS)/golangci-lint $(TOOLS)/gofumpt $(TOOLS)/buf ## format, vet, linters, tidy and generate checks
	@test -z "$$($(TOOLS)/gofumpt -l cmd core plugins sdk examples | grep -v '\.pb\.go' | tee /dev/stderr)" || (echo 'run: make fmt'; exit 1)
	$(GO) vet ./...
	$(TOOLS)/golangci-lint run ./...
	$(GO) mod tidy -diff
	cd sdk/wire && $(TOOLS)/buf lint && $(TOOLS)/buf generate
	@git diff --exit-code --stat -- sdk/wire || (echo 'generated code differs: run make generate and commit'; exit 1)

.PHONY: fmt
fmt: $(TOOLS)/gofumpt ## format the code
	$(TOOLS)/gofumpt -w cmd core plugins sdk examples

.PHONY: generate
generate: $(TOOLS)/buf ## regenerate the gRPC stubs from the .proto files
	cd sdk/wire && $(TOOLS)/buf generate

# The tools have modules of their own, so that their dependencies are not the node's.
$(TOOLS)/golangci-lint $(TOOLS)/gofumpt: .tools/go.mod
	cd .tools && GOBIN=$(TOOLS) $(GO) install tool
	@touch $(TOOLS)/golangci-lint $(TOOLS)/gofumpt
$(TOOLS)/buf: .tools/buf/go.mod $(TOOLS)/gofumpt
	cd .tools/buf && GOBIN=$(TOOLS) $(GO) install tool
	@touch $(TOOLS)/buf

# A real execution client for the tests of external engines: the newest geth that has a module of its own with every
# dependency, and the one whose published engine calls the tests replay.
.PHONY: geth
geth: $(TOOLS)/geth ## build the geth that tests run engines on (two minutes)
$(TOOLS)/geth: .tools/geth/go.mod
	cd .tools/geth && GOBIN=$(TOOLS) $(GO) install tool
	@touch $(TOOLS)/geth

.PHONY: cover
cover: js geth ## lines covered by package, subprocesses included
	@bash .ci/cover

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (default 30s) each
	@bash .ci/fuzz

.PHONY: bench
bench: build ## measure what the README promises, beside its baseline
	@bash .ci/bench

.PHONY: soak
soak: build ## swaps and kills of whole nodes for an hour (SOAK_SECONDS)
	@bash .ci/soak

.PHONY: clean
clean: ## remove what was built
	rm -rf $(BIN) .tools/bin .tools/cache coverage
