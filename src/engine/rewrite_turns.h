// SPDX-License-Identifier: Apache-2.0
//
// RewriteTurns: which mirrors may have files rewritten at the same time, as each rewrite takes memory and threads. Of those on
// local disks one at a time: a rewrite's input is bounded (rewrite_policy.h), so each gets its turn. A server on the network
// may not answer for minutes: such rewrites have turns, and threads, of their own, and one server takes no more than one.
// Thread-safe.
#pragma once

#include <mutex>
#include <set>
#include <string>

#include "engine/mirror_storage.h"

namespace ivy::engine {

class RewriteTurns {
  public:
    static constexpr size_t kNetworkTurns = 2;

    // Takes the turn of a mirror in this location; false if it has to wait.
    bool Take(const std::string& location) {
        const std::string place = PlaceOf(location);
        std::lock_guard guard(mutex_);
        if (!place.empty() && taken_.size() - taken_.count("") >= kNetworkTurns) return false;
        return taken_.insert(place).second;
    }
    void Return(const std::string& location) {
        std::lock_guard guard(mutex_);
        taken_.erase(PlaceOf(location));
    }

  private:
    // The bucket; nothing for local disks.
    static std::string PlaceOf(const std::string& location) {
        if (IsLocalPath(location)) return "";
        const size_t bucket = location.find("://") + 3;
        return location.substr(0, location.find('/', bucket));
    }

    std::mutex mutex_;
    std::set<std::string> taken_;
};

}  // namespace ivy::engine
