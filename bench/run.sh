#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the release and runs every benchmark on a private server. Arguments go to bench.py (names of benchmarks).
set -euo pipefail

cd "$(dirname "$0")/.."
scripts/setup.sh test
scripts/venv.sh
cmake --preset release >/dev/null
cmake --build build/release -j "$(nproc)"
IVY_BUILD=$PWD/build/release exec .venv/bin/python bench/bench.py "$@"
