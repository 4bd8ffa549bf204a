// SPDX-License-Identifier: Apache-2.0
//
// RowSet: a compressed bitmap of 64-bit row positions, the type of deletion vectors in memory. It is CRoaring's class,
// which is in the global namespace up to version 0.2 and in "roaring" since; the alias finds it in either.
#pragma once

#include <roaring/roaring64map.hh>

namespace roaring {}

namespace ivy::delta {

namespace croaring {
using namespace ::roaring;
using Map64 = Roaring64Map;
}  // namespace croaring

using RowSet = croaring::Map64;

}  // namespace ivy::delta
