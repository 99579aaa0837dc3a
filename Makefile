# topicwire: build, run, test. `make help` lists the targets.
GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
BIN     := bin/topicwire
# The linter is built once, at this version, with the Go that builds topicwire.
LINTER  := bin/golangci-lint-v2.15.0

export CGO_ENABLED ?= 0

.DEFAULT_GOAL := build

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-8s %s\n", $$1, $$2}'

.PHONY: build
build: ## Build bin/topicwire
	$(GO) build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o $(BIN) ./cmd/topicwire

.PHONY: run
run: build ## Build and serve config.yaml
	$(BIN) serve

.PHONY: deps
deps: ## Install what the tests need, or say what to install
	@.ci/deps

.PHONY: test
test: deps ## Run every test
	$(GO) test -timeout 15m ./...

.PHONY: foreign
foreign: ## Test against other Lambda endpoints (installs 280 MB of npm modules)
	npm ci --prefix internal/e2e/foreign --no-audit --no-fund --silent
	TOPICWIRE_FOREIGN=$(CURDIR)/internal/e2e/foreign/node_modules $(GO) test -count=1 -timeout 5m -v -run TestServerlessOffline ./internal/e2e

.PHONY: race
race: deps ## Run every test with the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race -timeout 30m ./...

.PHONY: soak
soak: deps ## 300 kills under load, 20,000 clients that come back at once, 100,000 invocations
	TOPICWIRE_KILLS=150 $(GO) test -count=1 -timeout 60m -v -run TestKill ./internal/crashtest
	TOPICWIRE_SOAK=1 $(GO) test -count=1 -timeout 10m -v -run 'EverybodyComesBackAtOnce' ./internal/e2e
	TOPICWIRE_SOAK=100000 $(GO) test -count=1 -timeout 30m -v -run TestNothingIsLeftBehind ./bridge/emulator

.PHONY: powercut
powercut: deps ## 40 power cuts under load, and 20,000 clients, in a virtual machine (QEMU)
	TOPICWIRE_CUTS=10 $(GO) test -count=1 -timeout 60m -v -run TestPowerCut ./internal/crashtest
	TOPICWIRE_MACHINE=1 $(GO) test -count=1 -timeout 20m -v -run TestCrowdInAMachine ./internal/e2e

.PHONY: lint
lint: $(LINTER) ## Run the linter
	$(LINTER) run ./...

.PHONY: fmt
fmt: $(LINTER) ## Format the code
	$(LINTER) fmt ./...

$(LINTER):
	GOBIN=$(CURDIR)/bin $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
	mv bin/golangci-lint $@

.PHONY: schema
schema: build ## Write what is made of the program: the JSON Schemas, CONFIGURATION.md, the metrics in OPERATING.md
	$(BIN) schema > internal/config/schema/topicwire.schema.json
	$(BIN) schema --rules > internal/config/schema/rules.schema.json
	$(BIN) settings --markdown > CONFIGURATION.md
	$(GO) test -count=1 ./internal/app -run TestMetrics -update

.PHONY: bench
bench: build ## Measure topicwire and mosquitto side by side, and pushpin
	$(BIN) bench compare
	$(BIN) bench push --optional

.PHONY: clean
clean: ## Remove what was built
	rm -rf bin
