// SPDX-License-Identifier: Apache-2.0
//
// ReloadHistory: which mirrors have failed lately.
//
// Much of what makes a mirror fail passes when it is loaded again from its files and the slot: a damaged segment of the key
// index is rebuilt, memory was short, a read failed once. So the first failure ends the capture session, and the next one
// loads the mirror anew. A second failure soon afterwards is the worker's to know: it orders a new copy. Thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>

namespace ivy::engine {

class ReloadHistory {
  public:
    explicit ReloadHistory(bool enabled) : enabled_(enabled) {}

    // Whether a mirror that fails now may be loaded again; notes that it was.
    bool MayReload(uint32_t mirror) {
        if (!enabled_) return false;
        const auto now = Clock::now();
        std::lock_guard guard(mutex_);
        const auto [found, first] = reloads_.try_emplace(mirror, now);
        const bool may = first || now - found->second > kForget;
        found->second = now;
        return may;
    }

    // Whether it has failed lately: what can be checked or made anew when it is loaded should be.
    bool HasFailed(uint32_t mirror) const {
        std::lock_guard guard(mutex_);
        const auto found = reloads_.find(mirror);
        return found != reloads_.end() && Clock::now() - found->second <= kForget;
    }

  private:
    using Clock = std::chrono::steady_clock;
    static constexpr std::chrono::minutes kForget{10};
    const bool enabled_;
    mutable std::mutex mutex_;
    std::map<uint32_t, Clock::time_point> reloads_;  // when each failed last
};

}  // namespace ivy::engine
