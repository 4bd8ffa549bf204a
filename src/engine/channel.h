// SPDX-License-Identifier: Apache-2.0
//
// Channel: one client's connection, as an engine thread uses it: blocking reads and writes of whole frames.
//
// Threads: one reads; any number send, each call's bytes stay together. Shutdown may be called from any thread and
// wakes all of them. The engine's threads block all signals, and writes to a closed connection raise none.
#pragma once

#include <mutex>

#include "base/status.h"
#include "protocol/messages.h"

namespace ivy::engine {

class Channel {
  public:
    // Takes ownership of a connected stream socket.
    explicit Channel(int fd) : fd_(fd) {}
    ~Channel();
    Channel(const Channel&) = delete;
    Channel& operator=(const Channel&) = delete;

    int fd() const { return fd_; }

    // Waits for the next frame. False: the peer closed the connection between two frames.
    Result<bool> Read(Frame* out);

    // Sends bytes that AppendFrame or AppendMessage made; waits while the peer does not read.
    Status Send(const Bytes& frames);
    template <typename Message>
    Status SendMessage(MessageType type, const Message& message) {
        Bytes frames;
        AppendMessage(type, message, &frames);
        return Send(frames);
    }
    Status SendOk();
    Status SendError(const Error& error, Unavailable unavailable = Unavailable::kNo);

    // Whether the peer has closed the connection.
    bool PeerClosed() const;

    // Ends the connection in both directions: pending and later calls fail. The descriptor stays open meanwhile.
    void Shutdown();

  private:
    const int fd_;
    FrameParser parser_;
    std::mutex send_mutex_;
};

}  // namespace ivy::engine
