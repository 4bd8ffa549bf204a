// SPDX-License-Identifier: Apache-2.0
//
// Changes that were decoded under other columns than the mirror has now: from before a schema change that the mirror
// already knows, or the other way round. Columns are matched by id. Stateless.
#pragma once

#include <optional>
#include <set>
#include <vector>

#include "base/status.h"
#include "protocol/messages.h"

namespace ivy::engine {

// Nothing if the rows of "changes" have exactly these columns; else the same changes with rows that do: ids that
// "columns" does not have are dropped, missing ones are NULL, which is what rows get that are older than a column whose
// addition needs no new copy. Rows that are newer than the mirror's copy have the columns that were copied ("copied", ids):
// one that lacks such a column is refused, because nobody knows its value. An error (08P01) for a damaged message, or 55000
// for such a row, or if a column has become one of another kind of type, which only a new copy can follow.
Result<std::optional<Changes>> MapColumns(const Changes& changes, const std::vector<MirrorColumn>& columns,
                                          const std::set<uint32_t>& copied);

}  // namespace ivy::engine
