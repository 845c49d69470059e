# SPDX-License-Identifier: Apache-2.0

GO    ?= go
BIN   := bin/oci-secrets
VAULT ?= yes

.PHONY: build man install uninstall package demo test test-engines conformance bench faults fuzz lint setup setup-engines setup-conformance setup-lint clean
.DELETE_ON_ERROR:

# One static binary. The tag leaves the Markdown parser out of urfave/cli, whose
# initialisation every container would wait for.
build:
	CGO_ENABLED=0 $(GO) build -trimpath -tags urfave_cli_no_docs -ldflags '-s -w' -o $(BIN) ./hook

# The manual pages.
MAN := $(patsubst docs/man/%.md,bin/man/%,$(wildcard docs/man/*.md))
man: $(MAN)
bin/man/%: docs/man/%.md go.mod
	@mkdir -p $(@D)
	$(GO) tool go-md2man -in $< -out $@

# The shells' completion, of which this machine's binary knows.
COMPLETION := $(addprefix bin/completion/,bash zsh fish)
bin/completion/%: hook/completion.go
	@mkdir -p $(@D)
	GOARCH= CGO_ENABLED=0 $(GO) run -tags urfave_cli_no_docs ./hook completion $* >$@

bin/NOTICE: go.mod go.sum install/notice.sh
	@mkdir -p $(@D)
	install/notice.sh >$@

# Builds only what is older than its source: root may have no Go.
$(BIN): $(shell find hook install resolver spec -name '*.go' -o -name VERSION) go.mod go.sum
	$(MAKE) build

# Below $DESTDIR$PREFIX, of which the first is nothing and the second /usr/local.
# What an operator has in /etc/oci-secrets is left alone, and nothing is removed
# while an engine is told to run it.
install: $(BIN) $(MAN) $(COMPLETION) bin/NOTICE
	install/tree.sh install
uninstall:
	install/tree.sh uninstall

# A deb and an rpm in bin/package, for $$GOARCH.
package: build $(MAN) $(COMPLETION) bin/NOTICE
	install/package.sh

# Runs a container with secrets from a dict, a .env file and a real Vault.
# `make demo VAULT=no` leaves Vault out, which takes minutes to build once.
demo: build
	test/setup/packages.sh demo
	test/demo.sh $(VAULT)

# Installs and builds what the tests need, once, into ~/.cache/oci-secrets
# ($$OCI_SECRETS_CACHE).
setup:
	test/setup/packages.sh test
	test/setup/runc.sh
	test/setup/vault.sh
	test/setup/vaultplugin.sh kubernetes
	test/setup/vaultplugin.sh postgresql
	$(GO) list -deps -test ./... tool >/dev/null # has the modules, too

# Every test, against real runtimes, a real podman and a real Vault. As root.
# What was true of those a while ago need not be true now: no cached results.
test: build setup
	OCI_SECRETS_TEST_REQUIRE=1 OCI_SECRETS_TEST_LONG=1 $(GO) test -count 1 -timeout 30m ./...

# What the tests of engines need besides, of which docker and containerd take some
# ten minutes to build once.
setup-engines: setup
	test/setup/packages.sh package
	test/setup/containerd.sh
	test/setup/crictl.sh
	test/setup/dockerd.sh
	test/setup/docker.sh
	test/setup/docker20.sh
	test/setup/tool.sh nfpm
	test/setup/rpm.sh

setup-conformance:
	test/setup/packages.sh conformance
	test/setup/runtime-tools.sh
	test/setup/source.sh crun
	test/setup/source.sh podman
	test/setup/containerd.sh
	test/setup/critest.sh

setup-lint:
	test/setup/packages.sh lint
	test/setup/tool.sh golangci-lint
	test/setup/tool.sh govulncheck

# The tests with docker and containerd and with packages. As root.
test-engines: build setup-engines
	OCI_SECRETS_TEST_REQUIRE=1 OCI_SECRETS_TEST_ENGINES=1 $(GO) test -count 1 -timeout 40m ./test/containerd ./test/docker ./test/package

# The suites of others, with the shim in the runtime's place. As root.
conformance: build setup-conformance
	test/conformance/run.sh

# Prints the table of README.md.
bench: build setup
	test/setup/containerd.sh
	OCI_SECRETS_TEST_REQUIRE=1 $(GO) test -C test/bench -count 1 -run TestTable -table
	OCI_SECRETS_TEST_REQUIRE=1 OCI_SECRETS_TEST_ENGINES=1 $(GO) test -C test/containerd -count 1 -run TestMany -table

# Writes docs/faults.md from a run of every fault in every way of delivery.
faults: build setup
	@mkdir -p bin/faults
	OCI_SECRETS_TEST_REQUIRE=1 OCI_SECRETS_FAULTS=$(CURDIR)/bin/faults $(GO) test -count 1 -run TestFaults ./test/e2e ./test/podman
	$(GO) run ./test/faults/document bin/faults >docs/faults.md

# Each fuzz target for FUZZTIME.
FUZZTIME ?= 60s
fuzz:
	test/fuzz.sh $(FUZZTIME)

lint: setup-lint
	test/lint.sh

clean:
	rm -rf bin
