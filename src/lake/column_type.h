// SPDX-License-Identifier: Apache-2.0
//
// What the readers of both schema formats share.
#pragma once

#include <string>

#include "lake/column.h"

namespace ivy::lake {

// Types may be nested this deep.
inline constexpr int kMaxTypeDepth = 50;

inline Status UnsupportedType(const std::string& path, const std::string& type) {
    return Status::Make(sqlstate::kFeatureNotSupported,
                        "column \"" + path + "\" has type " + type + ", which is not supported");
}

inline Status BadSchema(const std::string& what) { return Status::Corrupt("table schema: " + what); }

}  // namespace ivy::lake
