// SPDX-License-Identifier: Apache-2.0
// Watcher: epoll for hang-ups only; data that arrives is the session's business.
#include "engine/watcher.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>

namespace ivy::engine {

namespace {
constexpr int kRepeatMs = 20;
}

Result<std::unique_ptr<Watcher>> Watcher::Start() {
    const int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0) return Status::FromErrno("could not create an epoll instance", errno);
    const int stop_fd = eventfd(0, EFD_CLOEXEC);
    if (stop_fd < 0) {
        close(epoll_fd);
        return Status::FromErrno("could not create an event descriptor", errno);
    }
    return std::unique_ptr<Watcher>(new Watcher(epoll_fd, stop_fd));
}

Watcher::Watcher(int epoll_fd, int stop_fd) : epoll_fd_(epoll_fd), stop_fd_(stop_fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = 0;
    epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, stop_fd_, &event);
    thread_ = std::thread([this] { Run(); });
}

Watcher::~Watcher() {
    const uint64_t one = 1;
    if (write(stop_fd_, &one, sizeof one) == sizeof one) thread_.join();
    close(epoll_fd_);
    close(stop_fd_);
}

void Watcher::Run() {
    int timeout = -1;
    while (true) {
        epoll_event events[64];
        const int count = epoll_wait(epoll_fd_, events, 64, timeout);
        std::lock_guard guard(mutex_);
        for (int i = 0; i < count; i++) {
            if (events[i].data.u64 == 0) return;
            const auto entry = entries_.find(events[i].data.u64);
            if (entry == entries_.end()) continue;
            entry->second.hung_up = true;
            // It stays hung up: no more events are wanted.
            epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, entry->second.fd, nullptr);
        }
        timeout = -1;
        for (auto& [id, entry] : entries_) {
            if (!entry.hung_up) continue;
            entry.on_hangup();
            timeout = kRepeatMs;
        }
    }
}

uint64_t Watcher::Add(int fd, std::function<void()> on_hangup) {
    std::lock_guard guard(mutex_);
    const uint64_t id = next_id_++;
    entries_[id] = Entry{fd, std::move(on_hangup)};
    epoll_event event{};
    event.events = EPOLLRDHUP;  // and EPOLLHUP and EPOLLERR, which are always reported
    event.data.u64 = id;
    epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event);
    return id;
}

Watcher::Watch::Watch(Watcher* watcher, int fd, std::function<void()> on_hangup)
    : watcher_(watcher), fd_(fd), id_(watcher->Add(fd, std::move(on_hangup))) {}

Watcher::Watch::~Watch() {
    std::lock_guard guard(watcher_->mutex_);
    epoll_ctl(watcher_->epoll_fd_, EPOLL_CTL_DEL, fd_, nullptr);
    watcher_->entries_.erase(id_);
}

}  // namespace ivy::engine
