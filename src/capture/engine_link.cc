// SPDX-License-Identifier: Apache-2.0
// EngineLink: buffers, non-blocking socket calls, and waiting.
#include "capture/engine_link.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

extern "C" {
#include "storage/latch.h"
#include "utils/wait_event.h"
}

namespace ivy::capture {

namespace {

constexpr size_t kSendAt = 64 * 1024;          // queued bytes at which sending begins
constexpr size_t kWaitAt = 16 * 1024 * 1024;   // queued bytes at which Queue waits for the engine...
constexpr size_t kResumeAt = 4 * 1024 * 1024;  // ...until this is left
constexpr size_t kKeepCapacity = 2 * kWaitAt;  // a larger buffer, made by one huge row, is given back

[[noreturn]] void RaiseLost(int error_number) {
    if (error_number == 0) {
        ereport(ERROR, (errcode(ERRCODE_CONNECTION_FAILURE), errmsg("the columnar engine closed the connection")));
    }
    errno = error_number;
    ereport(ERROR, (errcode(ERRCODE_CONNECTION_FAILURE), errmsg("lost the connection to the columnar engine: %m")));
}

}  // namespace

EngineLink* EngineLink::Make(int fd) {
    EngineLink* link = pg::Guard([] { return new EngineLink(); });
    link->fd_ = fd;
    link->wait_set_ = CreateWaitEventSet(nullptr, 3);
    AddWaitEventToSet(link->wait_set_, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, nullptr);
    AddWaitEventToSet(link->wait_set_, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, nullptr, nullptr);
    link->socket_position_ = AddWaitEventToSet(link->wait_set_, WL_SOCKET_READABLE, fd, nullptr, nullptr);
    return link;
}

void EngineLink::Close() {
    FreeWaitEventSet(wait_set_);
    close(fd_);
}

void EngineLink::Queue(MessageType type) {
    pg::Guard([&] { AppendFrame(static_cast<uint8_t>(type), Bytes(), &out_); });
    Push();
}

void EngineLink::QueueChunk(ColumnChunkBuilder* chunk) {
    pg::Guard([&] {
        ByteWriter payload;
        chunk->Write(&payload);
        chunk->Clear();
        AppendFrame(static_cast<uint8_t>(MessageType::kChunk), payload.bytes(), &out_);
    });
    Push();
}

void EngineLink::QueueChanges(Changes* changes) {
    pg::Guard([&] {
        ByteWriter payload;
        changes->Write(&payload);
        changes->rows = changes->keys = Bytes();
        AppendFrame(static_cast<uint8_t>(MessageType::kChanges), payload.bytes(), &out_);
    });
    Push();
}

void EngineLink::Push() {
    if (out_.size() - sent_ < kSendAt) return;
    Flush();
    if (out_.size() - sent_ > kWaitAt) WaitUntilBelow(kResumeAt);
}

void EngineLink::Flush() {
    while (sent_ < out_.size()) {
        const ssize_t count = send(fd_, out_.data() + sent_, out_.size() - sent_, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count > 0) {
            sent_ += static_cast<size_t>(count);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            // Bytes that are gone are moved out of the way once they are most of the buffer.
            if (sent_ > out_.size() / 2) {
                out_.erase(out_.begin(), out_.begin() + static_cast<ptrdiff_t>(sent_));
                sent_ = 0;
            }
            return;
        } else if (errno != EINTR) {
            RaiseLost(errno);
        }
    }
    sent_ = 0;
    if (out_.capacity() > kKeepCapacity) {
        Bytes().swap(out_);
    } else {
        out_.clear();
    }
}

void EngineLink::FlushAll() {
    Flush();
    WaitUntilBelow(0);
}

void EngineLink::WaitUntilBelow(size_t limit) {
    while (out_.size() - sent_ > limit) {
        // The latch may be set for the caller's loop: it is set again afterwards, so that nothing is missed.
        Wait(1000, PG_WAIT_EXTENSION);
        if (MyLatch->is_set) ResetLatch(MyLatch);
        CHECK_FOR_INTERRUPTS();
        Receive();
        Flush();
    }
    SetLatch(MyLatch);
}

void EngineLink::Receive() {
    for (;;) {
        size_t available = 0;
        uint8_t* place = pg::Guard([&] { return parser_.Reserve(1, &available); });
        const ssize_t count = recv(fd_, place, available, MSG_DONTWAIT);
        if (count > 0) {
            parser_.Received(static_cast<size_t>(count));
            pg::Guard([&]() -> Status {
                Frame frame;
                for (;;) {
                    auto complete = parser_.Next(&frame);
                    if (!complete.ok()) return complete.status();
                    if (!*complete) return Status::Ok();
                    events_.push_back(std::move(frame));
                }
            });
        } else if (count == 0) {
            // What came before the end is for the caller to see first.
            if (events_.empty()) RaiseLost(0);
            return;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return;
        } else if (errno != EINTR) {
            RaiseLost(errno);
        }
    }
}

void EngineLink::Wait(long timeout, uint32 wait_event) {
    const uint32 events = WL_SOCKET_READABLE | (Nothing() ? 0 : WL_SOCKET_WRITEABLE);
    ModifyWaitEvent(wait_set_, socket_position_, events, nullptr);
    WaitEvent happened[3];
    WaitEventSetWait(wait_set_, timeout, happened, 3, wait_event);
}

void RaiseEngineError(const Frame& frame) {
    pg::Guard([&]() -> Status {
        auto message = ErrorMessage::Read(frame);
        if (!message.ok()) return message.status();
        return Status(message->error);
    });
    pg_unreachable();
}

}  // namespace ivy::capture
