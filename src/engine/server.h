// SPDX-License-Identifier: Apache-2.0
//
// Server: the engine's Unix socket. Accepts connections of processes that run as the same user, exchanges Hello, and
// serves each in a thread of its own until it ends.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "base/status.h"
#include "engine/channel.h"
#include "engine/services.h"

namespace ivy::engine {

class Server {
  public:
    // Listens on "path" (at most 107 bytes; a socket file that a dead engine left is replaced, mode 0600) and starts
    // accepting. "services" must outlive the server.
    static Result<std::unique_ptr<Server>> Start(const std::string& path, Services* services);
    ~Server();  // as Stop()

    // Stops accepting, removes the socket, ends all connections (running queries are interrupted) and waits for them.
    void Stop();

    const std::string& path() const { return path_; }

  private:
    Server(std::string path, int listen_fd, int stop_fd, Services* services);
    void Accept();
    void ServeConnection(std::shared_ptr<Channel> channel);
    void Serve(Channel& channel);

    const std::string path_;
    const int listen_fd_;
    const int stop_fd_;
    Services* const services_;

    std::mutex mutex_;
    std::condition_variable all_ended_;
    std::set<std::shared_ptr<Channel>> channels_;  // of running connection threads
    std::thread accept_thread_;
};

}  // namespace ivy::engine
