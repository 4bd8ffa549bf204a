// SPDX-License-Identifier: Apache-2.0
//
// Clearings: which locations are being emptied for a copy, so that only one session at a time does it. On the network that may
// take minutes, in which engine and capture worker go on: an attempt that lingers there must not meet the files of the next
// one, be that of the same Mirror or of a later object of the same mirror. Thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <set>
#include <string>

namespace ivy::engine {

class Clearings {
  public:
    // Waits for its turn; false if somebody else still is at it then. After true the caller owes End().
    bool Begin(const std::string& location, std::chrono::milliseconds patience) {
        std::unique_lock lock(mutex_);
        if (!ended_.wait_for(lock, patience, [&] { return !locations_.contains(location); })) return false;
        locations_.insert(location);
        return true;
    }
    void End(const std::string& location) {
        std::lock_guard guard(mutex_);
        locations_.erase(location);
        ended_.notify_all();
    }

  private:
    std::mutex mutex_;
    std::condition_variable ended_;
    std::set<std::string> locations_;
};

}  // namespace ivy::engine
