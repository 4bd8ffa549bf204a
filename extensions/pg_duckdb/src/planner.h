// SPDX-License-Identifier: Apache-2.0
//
// Planning of queries on mirrors. See docs/architecture.md, "Life of a read".
#pragma once

namespace ivy::duck {

// Installs the planner's hooks. Call in _PG_init.
void InstallPlanner();

// Installs the hooks that lend mirrors the statistics of their row tables (stats.cc).
void InstallStatistics();

}  // namespace ivy::duck
