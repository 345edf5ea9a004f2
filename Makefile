# gantry: what a developer, a packager and continuous integration run. `make help` lists it.
# A Rust toolchain (1.85 or later) is taken for granted; what else a target needs it installs with apt-get, on
# Debian, if it is missing, and says so.

HOST := $(shell rustc -vV | sed -n 's/^host: //p')
# crt-static needs an explicit --target: without one it would apply to proc macros and build scripts too.
INIT := crates/libcontainer/init/main.rs
RELEASE := target/$(HOST)/release
STATIC := RUSTFLAGS="$(RUSTFLAGS) -C target-feature=+crt-static" cargo build --release --locked --target $(HOST)

export GANTRY_COMMIT ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null)

.DEFAULT_GOAL := help
.PHONY: help demo test test-deep release bench bench-sample ci fmt fmt-check lint shapes clean deps-build deps-test deps-bench

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

demo: deps-test release ## build the release binary and show a busybox container; installs gcc, libc6-dev, busybox-static
	@integration/demo $(RELEASE)/gantry

test: deps-test ## run every test; installs gcc, libc6-dev, busybox-static, strace
	@integration/run-tests

test-deep: deps-test ## the same tests with the full products: every op, every state, thousands of runs; takes long
	@GANTRY_TEST_DEEP=1 integration/run-tests

release: deps-build ## build target/<host>/release/gantry: one static file; installs gcc, libc6-dev
	$(STATIC) -p gantry
	@integration/check-release $(RELEASE)/gantry

bench: deps-bench release ## compare with crun, runc and a floor, rewrite docs/performance.*; installs crun, runc, busybox-static
	$(STATIC) -p integration --bins
	$(RELEASE)/bench --write docs/performance

bench-sample: deps-bench release ## one short round of the benchmark: only that everything runs; installs as bench does
	$(STATIC) -p integration --bins
	$(RELEASE)/bench --sample

ci: ## what .ci/run runs: fmt, clippy, tests, release, demo, a benchmark sample, cargo package; installs what those do
	@integration/ci

fmt: ## format the sources
	cargo fmt --all
	rustfmt --edition 2024 $(INIT)

fmt-check: ## fail if a source is not formatted
	cargo fmt --all --check
	rustfmt --edition 2024 --check $(INIT)

lint: deps-build ## clippy on everything, MSRV included, warnings are errors; installs gcc, libc6-dev
	cargo clippy --workspace --all-targets --locked -- -D warnings -D clippy::incompatible_msrv
	@# init is no package (see crates/libcontainer/build.rs), so the linter is called on it.
	clippy-driver --edition 2024 --crate-type=bin --crate-name gantry_init --target $(HOST) -C panic=abort \
		-D warnings -D clippy::undocumented_unsafe_blocks --emit=metadata -o target/init.rmeta $(INIT)
	@# clippy knows in which version a function came, but not let chains (1.88, three after ours): the 2021 parser does.
	@rustfmt --edition 2021 --check -q --config style_edition=2024 $$(git ls-files '*/src/lib.rs' '*/src/main.rs' '*/src/bin/*.rs' '*/tests/*.rs')

shapes: deps-build ## build in every way people build Rust: install, path dependency, coverage, package; installs gcc, libc6-dev
	@integration/build-shapes

clean: ## remove all that was built
	cargo clean

deps-build: ## install a linker: gcc, libc6-dev
	@integration/deps gcc libc6-dev

deps-test: ## install what tests and the demo need: gcc, libc6-dev, busybox-static, strace
	@integration/deps gcc libc6-dev busybox-static strace

deps-bench: ## install what the benchmark compares with: crun, runc, busybox-static
	@integration/deps gcc libc6-dev busybox-static crun runc
