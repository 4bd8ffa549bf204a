// SPDX-License-Identifier: Apache-2.0
//
// Compactor: the thread that rewrites data files which the flusher's thread has planned to rewrite (Mirror::Rewrite), one
// mirror at a time, so that flushes need not wait for it.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "engine/flusher.h"
#include "engine/mirrors.h"

namespace ivy::engine {

class Compactor {
  public:
    Compactor(Mirrors& mirrors, Flusher& flusher);
    ~Compactor();  // stops what is under way

  private:
    void Run();

    Mirrors& mirrors_;
    Flusher& flusher_;
    std::mutex mutex_;
    std::condition_variable changed_;
    bool stop_ = false;
    std::thread thread_;
};

}  // namespace ivy::engine
