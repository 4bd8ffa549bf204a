// SPDX-License-Identifier: Apache-2.0
//
// Server: accepting and dispatching. Connection threads are detached; Stop waits until the last has left channels_.
#include "engine/server.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "engine/control_session.h"
#include "engine/error_map.h"
#include "engine/ingest.h"
#include "engine/log.h"
#include "engine/query_session.h"

namespace ivy::engine {
namespace {

constexpr int kBacklog = 512;
constexpr int kHelloTimeoutSeconds = 10;

Result<int> Listen(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) {
        return Status::Make(sqlstate::kInvalidParameter, "socket path \"" + path + "\" is longer than " +
                                                             std::to_string(sizeof address.sun_path - 1) + " bytes");
    }
    std::memcpy(address.sun_path, path.data(), path.size());
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return Status::FromErrno("could not create a socket", errno);
    // The caller holds the folder's lock, so whoever left a socket here is gone.
    unlink(path.c_str());
    const mode_t old_mask = umask(0177);
    const int bound = bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    const int bind_error = errno;
    umask(old_mask);
    if (bound < 0 || listen(fd, kBacklog) < 0) {
        const Status status = Status::FromErrno("could not listen on \"" + path + "\"", bound < 0 ? bind_error : errno);
        close(fd);
        return status;
    }
    return fd;
}

bool PeerIsSameUser(int fd) {
    ucred peer{};
    socklen_t size = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == geteuid();
}

// A client that says nothing must not hold a thread for ever.
void SetReceiveTimeout(int fd, int seconds) {
    const timeval timeout{seconds, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
}

Result<Hello> ReceiveHello(Channel& channel, uint32_t database) {
    Frame frame;
    SetReceiveTimeout(channel.fd(), kHelloTimeoutSeconds);
    IVY_ASSIGN_OR_RETURN(const bool received, channel.Read(&frame));
    if (!received) return Status::Make(sqlstate::kConnectionFailure, "client closed the connection");
    if (frame.type != static_cast<uint8_t>(MessageType::kHello)) {
        return Status::Make(sqlstate::kProtocolViolation, "first message is not a hello");
    }
    IVY_ASSIGN_OR_RETURN(const Hello hello, Hello::Read(frame));
    if (hello.database != database) {
        return Status::Make(sqlstate::kProtocolViolation, "this engine serves database " + std::to_string(database) +
                                                              ", not " + std::to_string(hello.database));
    }
    SetReceiveTimeout(channel.fd(), 0);
    return hello;
}

}  // namespace

Result<std::unique_ptr<Server>> Server::Start(const std::string& path, Services* services) {
    IVY_ASSIGN_OR_RETURN(const int listen_fd, Listen(path));
    const int stop_fd = eventfd(0, EFD_CLOEXEC);
    if (stop_fd < 0) {
        close(listen_fd);
        return Status::FromErrno("could not create an event descriptor", errno);
    }
    return std::unique_ptr<Server>(new Server(path, listen_fd, stop_fd, services));
}

Server::Server(std::string path, int listen_fd, int stop_fd, Services* services)
    : path_(std::move(path)), listen_fd_(listen_fd), stop_fd_(stop_fd), services_(services) {
    accept_thread_ = std::thread([this] { Accept(); });
}

Server::~Server() {
    Stop();
    close(stop_fd_);
}

void Server::Stop() {
    if (!accept_thread_.joinable()) return;
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = write(stop_fd_, &one, sizeof one);
    accept_thread_.join();
    unlink(path_.c_str());
    close(listen_fd_);
    std::unique_lock lock(mutex_);
    for (const auto& channel : channels_) channel->Shutdown();
    all_ended_.wait(lock, [this] { return channels_.empty(); });
}

void Server::Accept() {
    while (true) {
        pollfd wait[2] = {{listen_fd_, POLLIN, 0}, {stop_fd_, POLLIN, 0}};
        if (poll(wait, 2, -1) < 0 && errno != EINTR) {
            Log(LogLevel::kFatal, std::string("could not wait for connections: ") + std::strerror(errno));
            return;
        }
        if (wait[1].revents) return;
        if (!wait[0].revents) continue;
        const int fd = accept4(listen_fd_, nullptr, nullptr, SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EINTR || errno == ECONNABORTED || errno == EAGAIN) continue;
            // Most likely out of descriptors: the connection stays in the queue, so wait for one to be freed.
            Log(LogLevel::kWarning, std::string("could not accept a connection: ") + std::strerror(errno));
            usleep(100 * 1000);
            continue;
        }
        auto channel = std::make_shared<Channel>(fd);
        if (!PeerIsSameUser(fd)) {
            Log(LogLevel::kWarning, "connection of another user refused");
            continue;
        }
        {
            std::lock_guard guard(mutex_);
            channels_.insert(channel);
        }
        services_->connections++;
        try {
            std::thread([this, channel] { ServeConnection(channel); }).detach();
        } catch (const std::system_error& error) {
            Log(LogLevel::kWarning, std::string("could not start a thread: ") + error.what());
            (void)channel->SendError(Status::Make(sqlstate::kOutOfMemory, "too many connections").error());
            services_->connections--;
            std::lock_guard guard(mutex_);
            channels_.erase(channel);
        }
    }
}

void Server::ServeConnection(std::shared_ptr<Channel> channel) {
    try {
        Serve(*channel);
    } catch (const std::exception& exception) {
        // Sessions handle their errors; what arrives here is a lack of memory.
        const Status status = StatusFromException(exception);
        LogError(LogLevel::kWarning, "connection ended", status.error());
        (void)channel->SendError(status.error());
    }
    channel->Shutdown();
    services_->connections--;
    std::lock_guard guard(mutex_);
    channels_.erase(channel);
    channel.reset();
    if (channels_.empty()) all_ended_.notify_all();
}

void Server::Serve(Channel& channel) {
    const Result<Hello> hello = ReceiveHello(channel, services_->database);
    if (!hello.ok()) {
        (void)channel.SendError(hello.error());
        return;
    }
    if (!channel.SendMessage(MessageType::kHello, *hello).ok()) return;
    switch (hello->role) {
        case Role::kQuery: QuerySession(channel, *services_).Serve(); break;
        case Role::kCapture: services_->ingest->ServeCapture(channel); break;
        case Role::kCopy: services_->ingest->ServeCopy(channel); break;
        case Role::kControl: ControlSession(channel, *services_).Serve(); break;
    }
}

}  // namespace ivy::engine
