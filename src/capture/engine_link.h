// SPDX-License-Identifier: Apache-2.0
//
// EngineLink: a connection of a worker to the engine that never blocks in send or receive.
//
// Messages are queued and sent when there are enough of them, or on Flush. When the engine falls behind, Queue waits for
// it; while waiting it receives the engine's events, so that two full sockets can't stop both sides for ever, and
// serves interrupts, so that a shutdown ends the wait. Events are kept until somebody asks for them.
//
// A lost connection is an ereport(ERROR) with SQLSTATE 08006: the process ends, and the launcher starts another.
//
// All functions follow the rules of pg/guard.h: a link is made with new and lives as long as the process.
#pragma once

#include "pg/postgres_api.h"

extern "C" {
#include "storage/waiteventset.h"
}

#include <deque>

#include "pg/guard.h"
#include "protocol/messages.h"

namespace ivy::capture {

class EngineLink {
  public:
    // Takes the descriptor of a connection whose hello has been exchanged.
    static EngineLink* Make(int fd);

    // Adds a message. May wait and ereport.
    template <typename Message>
    void Queue(MessageType type, const Message& message) {
        pg::Guard([&] { AppendMessage(type, message, &out_); });
        Push();
    }
    void Queue(MessageType type);  // a message without payload
    // The same for what may be a gigabyte: never held more than twice, and taken out of the argument, which is then empty.
    void QueueChunk(ColumnChunkBuilder* chunk);
    void QueueChanges(Changes* changes);

    // Sends what the socket takes now. Nothing() == false afterwards means that the rest waits for the engine.
    void Flush();
    // Sends everything, waiting for the engine if need be.
    void FlushAll();
    bool Nothing() const { return sent_ == out_.size(); }

    // Takes in what has arrived.
    void Receive();
    // The oldest event not taken yet, or null. It stays valid until PopEvent.
    const Frame* FirstEvent() const { return events_.empty() ? nullptr : &events_.front(); }
    void PopEvent() { events_.pop_front(); }

    // Sleeps until the latch is set, something arrives, queued bytes can be sent, or the timeout (milliseconds, -1: none)
    // has passed. Does not reset the latch.
    void Wait(long timeout, uint32 wait_event);

    // Ends the connection; nothing else may be called afterwards.
    void Close();

  private:
    EngineLink() = default;
    void Push();
    void WaitUntilBelow(size_t limit);

    int fd_ = -1;
    WaitEventSet* wait_set_ = nullptr;
    int socket_position_ = 0;
    Bytes out_;
    size_t sent_ = 0;  // bytes of out_ that are gone
    FrameParser parser_;
    std::deque<Frame> events_;
};

// Raises the error that an Error message carries.
[[noreturn]] void RaiseEngineError(const Frame& frame);

}  // namespace ivy::capture
