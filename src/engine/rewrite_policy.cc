// SPDX-License-Identifier: Apache-2.0
#include "engine/rewrite_policy.h"

#include <algorithm>

namespace ivy::engine {
namespace {

uint64_t LiveBytes(const FileFacts& file) {
    if (file.rows == 0) return 0;
    return static_cast<uint64_t>(static_cast<double>(file.bytes) / static_cast<double>(file.rows) *
                                 static_cast<double>(file.rows - file.deleted));
}

bool IsWorn(const FileFacts& file, const RewritePolicy& policy) {
    return file.deleted > 0 && file.bytes >= policy.worn_bytes &&
           static_cast<double>(file.deleted) * 100 >=
               static_cast<double>(file.rows) * static_cast<double>(policy.deleted_percent);
}

}  // namespace

std::vector<size_t> ChooseFiles(const std::vector<FileFacts>& files, const RewritePolicy& policy) {
    const uint64_t limit = 2 * policy.target_bytes;
    std::vector<size_t> worn, small;
    for (size_t i = 0; i < files.size(); i++) {
        if (IsWorn(files[i], policy)) {
            worn.push_back(i);
        } else if (LiveBytes(files[i]) < policy.target_bytes / 2) {
            small.push_back(i);
        }
    }
    std::vector<size_t> chosen;
    uint64_t bytes = 0;
    for (const size_t i : worn) {
        if (!chosen.empty() && bytes + LiveBytes(files[i]) > limit) break;
        bytes += LiveBytes(files[i]);
        chosen.push_back(i);
    }
    // The smallest first, as many as make the largest of them no larger than all others together: what was merged lately is
    // left alone until as much has come after it.
    std::stable_sort(small.begin(), small.end(),
                     [&](size_t a, size_t b) { return LiveBytes(files[a]) < LiveBytes(files[b]); });
    size_t count = 0;
    uint64_t small_bytes = 0;
    for (size_t i = 0; i < small.size(); i++) {
        const uint64_t size = LiveBytes(files[small[i]]);
        if (bytes + small_bytes + size > limit) break;
        if (policy.merge_all || !chosen.empty() || size <= small_bytes) count = i + 1;
        small_bytes += size;
    }
    if (count >= policy.small_files || !chosen.empty()) {
        chosen.insert(chosen.end(), small.begin(), small.begin() + static_cast<ptrdiff_t>(count));
    }
    std::sort(chosen.begin(), chosen.end());
    return chosen;
}

}  // namespace ivy::engine
