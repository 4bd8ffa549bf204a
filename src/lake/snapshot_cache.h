// SPDX-License-Identifier: Apache-2.0
//
// SnapshotCache: what was read of tables' metadata, so that the next query need not read manifests and logs again. It keeps
// values under keys and knows nothing of files: that a value is still right is for the caller to find out, at every use, and
// the key to say.
//
// Threads: any may call. Values are immutable and live as long as somebody holds them.
#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

namespace ivy::lake {

template <typename T>
class SnapshotCache {
  public:
    // Values are dropped, the least recently used first, when the sum of their weights would exceed the limit.
    explicit SnapshotCache(size_t max_weight) : max_weight_(max_weight) {}

    // The value under a key, or null.
    std::shared_ptr<const T> Find(const std::string& key) {
        const std::lock_guard guard(mutex_);
        const auto found = index_.find(key);
        if (found == index_.end()) return nullptr;
        entries_.splice(entries_.begin(), entries_, found->second);
        return found->second->value;
    }

    // Replaces what was under the key. A value that is heavier than the limit is not kept.
    void Put(const std::string& key, std::shared_ptr<const T> value, size_t weight) {
        const std::lock_guard guard(mutex_);
        if (const auto found = index_.find(key); found != index_.end()) Erase(found->second);
        if (weight > max_weight_) return;
        while (weight_ + weight > max_weight_) Erase(std::prev(entries_.end()));
        entries_.push_front({key, std::move(value), weight});
        index_[key] = entries_.begin();
        weight_ += weight;
    }

  private:
    struct Entry {
        std::string key;
        std::shared_ptr<const T> value;
        size_t weight;
    };

    void Erase(typename std::list<Entry>::iterator entry) {
        weight_ -= entry->weight;
        index_.erase(entry->key);
        entries_.erase(entry);
    }

    const size_t max_weight_;
    std::mutex mutex_;
    std::list<Entry> entries_;  // most recently used first
    std::unordered_map<std::string, typename std::list<Entry>::iterator> index_;
    size_t weight_ = 0;
};

}  // namespace ivy::lake
