// SPDX-License-Identifier: Apache-2.0
//
// Events: what the engine tells the capture worker (FlushReady, MirrorFailed, Persisted), from any thread.
//
// Sending never blocks: a thread of its own writes to the socket. If the applying thread wrote itself, engine and
// worker could wait for each other for ever, each with a full socket. Without a capture session events are dropped:
// each of them is either sent again when the next session opens the mirror, or overtaken by then. Thread-safe.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/status.h"
#include "protocol/messages.h"

namespace ivy::engine {

class Channel;

class Events {
  public:
    ~Events() { Detach(); }

    // From now on events go to this channel, which must live until Detach.
    void Attach(Channel* channel);
    // Returns when nothing uses the channel any more. The channel should have been shut down.
    void Detach();

    void Send(const FlushReady& event) { Push(MessageType::kFlushReady, event); }
    void Send(const MirrorFailed& event) { Push(MessageType::kMirrorFailed, event); }
    void Send(const Persisted& event) { Push(MessageType::kPersisted, event); }
    void Send(const FilesRemoved& event) { Push(MessageType::kFilesRemoved, event); }
    // Ends the session: the worker starts another one.
    void Send(const ErrorMessage& event) { Push(MessageType::kError, event); }

  private:
    template <typename Message>
    void Push(MessageType type, const Message& message) {
        std::lock_guard guard(mutex_);
        if (!channel_) return;
        AppendMessage(type, message, &pending_);
        changed_.notify_one();
    }
    void Run();

    std::mutex mutex_;
    std::condition_variable changed_;
    std::thread thread_;
    Channel* channel_ = nullptr;
    Bytes pending_;
    bool stop_ = false;
};

}  // namespace ivy::engine
