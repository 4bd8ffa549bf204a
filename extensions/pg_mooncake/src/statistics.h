// SPDX-License-Identifier: Apache-2.0
// The planner's view of mirrors: the source's column statistics, and no parallel scans.
#pragma once

namespace ivy::mooncake {

// In _PG_init: installs the planner's hooks.
void InitStatistics();

}  // namespace ivy::mooncake
