// SPDX-License-Identifier: Apache-2.0
//
// Which data files of a mirror are worth rewriting: small ones, many together, and large ones that have lost rows. A file's
// rows are rewritten about as often as the table doubles by small files, not with each of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace ivy::engine {

struct FileFacts {
    uint64_t rows = 0, deleted = 0;
    uint64_t bytes = 0;
};

struct RewritePolicy {
    uint64_t target_bytes = 256ull << 20;  // of a new file; one with less than half of it is small
    uint64_t small_files = 10;             // so many small files are rewritten together
    uint64_t deleted_percent = 25;         // of a file's rows, for it to be rewritten
    uint64_t worn_bytes = 32ull << 20;     // smaller files are never rewritten for their deleted rows alone
    bool merge_all = false;  // whatever their sizes: not only those that are no larger than the rest together
};

// The indexes of the files to rewrite together, ascending; none: all is well. They have no more live bytes than two new
// files, but for a single one.
std::vector<size_t> ChooseFiles(const std::vector<FileFacts>& files, const RewritePolicy& policy);

}  // namespace ivy::engine
