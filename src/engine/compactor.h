// SPDX-License-Identifier: Apache-2.0
//
// Compactor: the threads that rewrite data files which the flusher's threads have planned to rewrite (Mirror::Rewrite), so that
// flushes need not wait for it. One is for mirrors on local disks, the others for those on the network, where a server may
// not answer: RewriteTurns says how many rewrites there are at a time.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "engine/flusher.h"
#include "engine/mirrors.h"

namespace ivy::engine {

class Compactor {
  public:
    Compactor(Mirrors& mirrors, Flusher& flusher);
    ~Compactor();  // stops what is under way

  private:
    void Run(bool network);

    Mirrors& mirrors_;
    Flusher& flusher_;
    std::mutex mutex_;
    std::condition_variable changed_;
    bool stop_ = false;
    std::vector<std::thread> threads_;
};

}  // namespace ivy::engine
