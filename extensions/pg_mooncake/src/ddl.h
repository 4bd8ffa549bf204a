// SPDX-License-Identifier: Apache-2.0
//
// What DDL means for mirrors: which commands they refuse, how changes of a source reach them, and what is cleaned up
// when they, the extension or the database go.
#pragma once

namespace ivy::mooncake {

// In _PG_init: installs the hooks (utility, object access) and a transaction callback.
void InitDdl();

}  // namespace ivy::mooncake
