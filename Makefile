# Thin: Meson builds, the scripts in tools/ and tests/ do the rest.
# Each target installs the Debian packages it lacks, and says so.
# SPDX-License-Identifier: Apache-2.0
BUILD ?= build
FUZZ_BUILD ?= build-fuzz
FUZZ_SECONDS ?= 60
PREFIX ?= /usr/local
DESTDIR ?=

.PHONY: all test demo bench lint format fuzz install clean

all:
	@tools/deps build
	@test -f $(BUILD)/build.ninja || meson setup $(BUILD) --prefix $(PREFIX) --libdir lib
	@ninja -C $(BUILD)
	@test -e $(BUILD)/godwit || ln -sf src/cli/godwit $(BUILD)/godwit

test: all
	@tools/deps test
	@BUILD=$(BUILD) FUZZ_BUILD=$(FUZZ_BUILD) FUZZ_SECONDS=$(FUZZ_SECONDS) tools/test

demo: all
	@tools/deps demo
	@tests/demo/demo $(BUILD)/godwit

# BENCH: arguments of tests/bench/bench, e.g. BENCH="--all --write", BENCH=peers.
bench: all
	@tools/deps bench
	@tests/bench/bench $(or $(BENCH),--write)

lint:
	@tools/deps build lint
	@tools/lint

format:
	@tools/deps lint
	@clang-format -i $$(git ls-files '*.[ch]')

fuzz:
	@tools/deps build fuzz
	@tools/fuzz $(FUZZ_BUILD) $(FUZZ_SECONDS)

install: all
	@meson setup --reconfigure $(BUILD) --prefix $(PREFIX) --libdir lib >/dev/null
	@ninja -C $(BUILD)
	@DESTDIR=$(DESTDIR) meson install -C $(BUILD) --no-rebuild
	@test -n "$(DESTDIR)" -o "$$(id -u)" != 0 || ldconfig

clean:
	rm -rf $(BUILD) $(FUZZ_BUILD) build-*
