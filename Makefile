# SPDX-License-Identifier: Apache-2.0
#
# A thin front: CMake builds, ctest tests. PG_CONFIG names the server to build for, DUCKDB_ROOT a DuckDB release.
SHELL := /bin/bash
PG_VERSION ?= pg18
JOBS ?= $(shell nproc)
BUILD := build/release

ifneq ($(PG_VERSION),pg18)
$(error PG_VERSION=$(PG_VERSION): only pg18 is supported, the server of PostgreSQL 18 and IvorySQL 5)
endif

.PHONY: all demo check check-fast ivy_duckdb install uninstall format lint bench clean help

help:
	@echo "make demo        install what is missing, build, and show a mirror at work on a private server"
	@echo "make check       install what is missing, build, and run every test"
	@echo "make check-fast  the unit and regression tests of what is built"
	@echo "make ivy_duckdb  build and install the read path (pg_duckdb)      PG_CONFIG=... names the server"
	@echo "make install     build and install everything                      PG_VERSION=pg18"
	@echo "make uninstall | bench | format | lint | clean"

all: $(BUILD)/build.ninja
	cmake --build $(BUILD) -j $(JOBS)

$(BUILD)/build.ninja: CMakeLists.txt CMakePresets.json
	cmake --preset release

demo:
	scripts/demo.sh

check:
	scripts/check.sh

check-fast:
	scripts/check.sh --fast

ivy_duckdb: $(BUILD)/build.ninja
	cmake --build $(BUILD) -j $(JOBS) --target pg_duckdb pg_duckdb_sql ivy_engine
	cmake --install $(BUILD) --component pg_duckdb

install: all
	cmake --install $(BUILD)

uninstall:
	@test -e $(BUILD)/install_manifest.txt || { echo "nothing was installed from $(BUILD)"; exit 1; }
	xargs -r rm -fv < $(BUILD)/install_manifest.txt

format:
	git ls-files '*.cc' '*.h' | xargs clang-format-21 -i

lint: $(BUILD)/build.ninja
	scripts/lint.sh

bench:
	bench/run.sh

clean:
	rm -rf build
