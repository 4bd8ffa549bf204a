// SPDX-License-Identifier: Apache-2.0
#include "engine/events.h"

#include "engine/channel.h"

namespace ivy::engine {

void Events::Attach(Channel* channel) {
    Detach();
    std::lock_guard guard(mutex_);
    channel_ = channel;
    stop_ = false;
    thread_ = std::thread([this] { Run(); });
}

void Events::Detach() {
    {
        std::lock_guard guard(mutex_);
        channel_ = nullptr;
        pending_.clear();
        stop_ = true;
        changed_.notify_one();
    }
    if (thread_.joinable()) thread_.join();
}

void Events::Run() {
    std::unique_lock lock(mutex_);
    while (true) {
        changed_.wait(lock, [this] { return stop_ || !pending_.empty(); });
        if (stop_) return;
        Bytes frames;
        frames.swap(pending_);
        Channel* channel = channel_;
        lock.unlock();
        // An error means that the connection is gone: the reading side of the session notices it as well.
        const Status sent = channel->Send(frames);
        lock.lock();
        if (!sent.ok()) channel_ = nullptr;
    }
}

}  // namespace ivy::engine
