// SPDX-License-Identifier: Apache-2.0
// The module's settings that only this extension uses. See worker.h for those that src/capture reads.
#pragma once

namespace ivy::mooncake {

extern bool enable_bgworker;    // pg_mooncake.enable_bgworker: the write path; fixed at server start
extern char* default_location;  // mooncake.default_location: of new mirrors; empty: the data directory

}  // namespace ivy::mooncake
