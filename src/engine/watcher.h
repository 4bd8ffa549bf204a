// SPDX-License-Identifier: Apache-2.0
//
// Watcher: one thread that notices when a client hangs up, so that what runs for it can be stopped.
//
// A client cancels by closing its connection. The session's thread is then deep in DuckDB or waiting for changes and
// would not see it. The callback is called at once and then again every 20 ms until the session has ended, because a
// query that is just being started forgets an interrupt that came before.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "base/status.h"

namespace ivy::engine {

class Watcher {
  public:
    static Result<std::unique_ptr<Watcher>> Start();
    ~Watcher();

    // A watch on one connection; ends with the object, after a callback that is just running has returned.
    class Watch {
      public:
        Watch(Watcher* watcher, int fd, std::function<void()> on_hangup);
        ~Watch();
        Watch(const Watch&) = delete;
        Watch& operator=(const Watch&) = delete;

      private:
        Watcher* const watcher_;
        const int fd_;
        const uint64_t id_;
    };

  private:
    struct Entry {
        int fd;
        std::function<void()> on_hangup;
        bool hung_up = false;
    };

    Watcher(int epoll_fd, int stop_fd);
    uint64_t Add(int fd, std::function<void()> on_hangup);
    void Run();

    const int epoll_fd_;
    const int stop_fd_;
    std::mutex mutex_;      // held while callbacks run: they must be quick and must not use the watcher
    uint64_t next_id_ = 1;  // 0 is the stop event; ids are never reused, descriptors are
    std::map<uint64_t, Entry> entries_;
    std::thread thread_;
};

}  // namespace ivy::engine
