// SPDX-License-Identifier: Apache-2.0
//
// Rewriting data files into better ones (compaction): what is rewritten, and where each row went.
//
// A rewrite takes long, and transactions are applied and flushed beside it. So it takes a file's rows as its deletion vector
// had them when it began, whatever is deleted since; rows that it left out have no place. Deletes that came later, whether
// they are in a vector by now or not, follow their rows when the rewrite is finished.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "delta/row_set.h"

namespace ivy::delta {

// A file that is rewritten.
struct RewriteSource {
    std::string path;
    int64_t rows = 0;                       // in the file
    std::shared_ptr<const RowSet> deleted;  // its deletion vector at that moment, or null
};

// The way of every row. Rows are counted through the sources in turn, deleted ones left out ("ordinals"); "order" says
// where a sort has put each of them (null: they stay), and the new files take the rows in that order.
class RewriteMap {
  public:
    struct Place {
        size_t file;   // of the new ones
        uint64_t row;  // in it
    };

    // "file_rows" are the new files' numbers of rows. REQUIRES: their sum is that of the sources' rows, and the size of
    // "order" if there is one.
    RewriteMap(std::vector<RewriteSource> sources, std::shared_ptr<const std::vector<uint32_t>> order,
               const std::vector<uint64_t>& file_rows);

    const std::vector<RewriteSource>& sources() const { return sources_; }
    size_t files() const { return ends_.size(); }
    // Nothing for a row that was deleted before.
    std::optional<Place> Find(size_t source, uint64_t row) const;
    // The new files' deletion vectors, where the sources' are "now" (in their order; null: empty). Null where nothing is
    // deleted. The old vectors must be contained in the new ones.
    std::vector<std::shared_ptr<const RowSet>> MapDeleted(const std::vector<std::shared_ptr<const RowSet>>& now) const;

  private:
    std::vector<RewriteSource> sources_;
    std::vector<uint64_t> begins_;  // ordinal of each source's first row
    std::shared_ptr<const std::vector<uint32_t>> order_;
    std::vector<uint64_t> ends_;  // of each new file, in the new order
};

}  // namespace ivy::delta
