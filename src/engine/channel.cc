// SPDX-License-Identifier: Apache-2.0
// Channel: frames over a blocking socket.
#include "engine/channel.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace ivy::engine {

namespace {
constexpr size_t kReceiveSize = 64 * 1024;
}

Channel::~Channel() { close(fd_); }

Result<bool> Channel::Read(Frame* out) {
    while (true) {
        IVY_ASSIGN_OR_RETURN(const bool complete, parser_.Next(out));
        if (complete) return true;
        size_t available = 0;
        uint8_t* place = parser_.Reserve(kReceiveSize, &available);
        const ssize_t count = recv(fd_, place, available, 0);
        if (count > 0) {
            parser_.Received(static_cast<size_t>(count));
        } else if (count == 0) {
            if (!parser_.Partial()) return false;
            return Status::Make(sqlstate::kConnectionFailure, "client closed the connection inside a message");
        } else if (errno != EINTR) {
            return Status::FromErrno("could not receive from client", errno);
        }
    }
}

Status Channel::Send(const Bytes& frames) {
    std::lock_guard guard(send_mutex_);
    size_t sent = 0;
    while (sent < frames.size()) {
        const ssize_t count = send(fd_, frames.data() + sent, frames.size() - sent, MSG_NOSIGNAL);
        if (count >= 0) {
            sent += static_cast<size_t>(count);
        } else if (errno == EPIPE || errno == ECONNRESET) {
            return Status::Make(sqlstate::kConnectionFailure, "client closed the connection");
        } else if (errno != EINTR) {
            return Status::FromErrno("could not send to client", errno);
        }
    }
    return Status::Ok();
}

Status Channel::SendOk() {
    Bytes frames;
    AppendFrame(static_cast<uint8_t>(MessageType::kOk), {}, &frames);
    return Send(frames);
}

Status Channel::SendError(const Error& error, Unavailable unavailable) {
    return SendMessage(MessageType::kError, ErrorMessage{error, unavailable});
}

bool Channel::PeerClosed() const {
    pollfd connection{fd_, POLLRDHUP, 0};
    return poll(&connection, 1, 0) > 0;
}

void Channel::Shutdown() { shutdown(fd_, SHUT_RDWR); }

}  // namespace ivy::engine
