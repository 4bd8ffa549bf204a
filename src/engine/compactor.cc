// SPDX-License-Identifier: Apache-2.0
#include "engine/compactor.h"

#include "engine/error_map.h"

namespace ivy::engine {

namespace {
constexpr std::chrono::milliseconds kTick{50};
}

Compactor::Compactor(Mirrors& mirrors, Flusher& flusher) : mirrors_(mirrors), flusher_(flusher) {
    threads_.emplace_back([this] { Run(false); });
    for (size_t i = 0; i < RewriteTurns::kNetworkTurns; i++) threads_.emplace_back([this] { Run(true); });
}

Compactor::~Compactor() {
    {
        std::lock_guard guard(mutex_);
        stop_ = true;
        changed_.notify_all();
    }
    for (const auto& mirror : mirrors_.All()) mirror->StopRewrite();
    for (std::thread& thread : threads_) thread.join();
}

void Compactor::Run(bool network) {
    std::unique_lock lock(mutex_);
    while (!changed_.wait_for(lock, kTick, [this] { return stop_; })) {
        lock.unlock();
        for (const auto& mirror : mirrors_.All()) {
            if (IsLocalPath(mirror->location()) == network) continue;
            try {
                if (mirror->Rewrite()) flusher_.Wake();
            } catch (const std::exception& exception) {
                mirror->Fail(StatusFromException(exception).error());
            }
        }
        lock.lock();
    }
}

}  // namespace ivy::engine
