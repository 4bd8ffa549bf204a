// SPDX-License-Identifier: Apache-2.0
#include "engine/ingest.h"

#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>

#include <duckdb.hpp>

#include "engine/capture_session.h"
#include "engine/channel.h"
#include "engine/compactor.h"
#include "engine/copy_session.h"
#include "engine/duck_file_io.h"
#include "engine/events.h"
#include "engine/flusher.h"
#include "engine/instance.h"
#include "engine/log.h"
#include "engine/mirror.h"
#include "engine/mirrors.h"

namespace ivy::engine {
namespace {

using namespace std::chrono_literals;

constexpr auto kApplyWait = 60s;  // of a requested flush, for the changes to arrive
constexpr auto kPoll = 5ms;

}  // namespace

struct Ingest::Impl {
    Impl(Instance& instance, IngestOptions given)
        : options(std::move(given)),
          io(MakeDuckFileIo(instance.database())),
          policy(options),
          reloads(options.reload),
          memory(std::make_shared<delta::FileMemory>(options.folder + "/tmp", options.delta_memory)),
          context{instance, *io, events, options, policy, reloads, memory, turns, clearings},
          flusher(std::make_unique<Flusher>(mirrors, context)),
          compactor(std::make_unique<Compactor>(mirrors, *flusher)) {}

    const IngestOptions options;
    const std::unique_ptr<iceberg::FileIo> io;
    Events events;
    Mirrors mirrors;
    FlushPolicy policy;
    ReloadHistory reloads;
    const std::shared_ptr<delta::FileMemory> memory;
    RewriteTurns turns;
    Clearings clearings;
    MirrorContext context;
    std::unique_ptr<Flusher> flusher;
    std::unique_ptr<Compactor> compactor;

    std::mutex mutex;
    std::condition_variable sessions_changed;
    Channel* capture = nullptr;
    std::set<Channel*> copies;
    bool stopped = false;
};

Ingest::Ingest(Instance& instance, IngestOptions options)
    : impl_(std::make_unique<Impl>(instance, std::move(options))) {}

Ingest::~Ingest() { Stop(); }

Mirrors& Ingest::mirrors() { return impl_->mirrors; }

void Ingest::ServeCapture(Channel& channel) {
    Impl& impl = *impl_;
    {
        std::unique_lock lock(impl.mutex);
        while (impl.capture && !impl.stopped) {
            impl.capture->Shutdown();
            impl.sessions_changed.wait(lock);
        }
        if (impl.stopped) return;
        impl.capture = &channel;
    }
    // Before anybody listens to what they announce.
    for (const auto& mirror : impl.mirrors.All()) mirror->EndCopies();
    impl.events.Attach(&channel);
    impl.flusher->ForgetPersisted();
    {
        CaptureSession session(channel, impl.mirrors, *impl.flusher, impl.context);
        const Status status = session.Serve();
        impl.mirrors.SetCaptureConnected(false);
        if (!status.ok()) {
            LogError(LogLevel::kWarning, "the capture session ended", status.error());
            (void)channel.SendError(status.error());
        }
    }
    channel.Shutdown();
    impl.events.Detach();
    std::lock_guard guard(impl.mutex);
    impl.capture = nullptr;
    impl.sessions_changed.notify_all();
}

void Ingest::ServeCopy(Channel& channel) {
    Impl& impl = *impl_;
    {
        std::lock_guard guard(impl.mutex);
        if (impl.stopped) return;
        impl.copies.insert(&channel);
    }
    CopySession(channel, impl.mirrors, impl.context).Serve();
    impl.flusher->Wake();
    std::lock_guard guard(impl.mutex);
    impl.copies.erase(&channel);
    impl.sessions_changed.notify_all();
}

Status Ingest::Flush(uint32_t id, Lsn lsn, const std::function<bool()>& cancelled) {
    Impl& impl = *impl_;
    Unavailable why = Unavailable::kNo;
    IVY_RETURN_IF_ERROR(impl.mirrors.WaitApplied(lsn, kApplyWait, cancelled, &why));
    const std::shared_ptr<Mirror> mirror = impl.mirrors.Find(id);
    if (!mirror) {
        return Status::Make(sqlstate::kObjectNotInState, "the engine does not know mirror " + std::to_string(id));
    }
    const Lsn target = mirror->last_commit();
    Error error;
    const int failed_before = mirror->FailedFlushes(&error);
    mirror->RequestFlush(target);
    const auto deadline = std::chrono::steady_clock::now() + impl.options.snapshot_wait;
    while (true) {
        impl.flusher->Wake();
        if (mirror->closed()) {
            return Status::Make(sqlstate::kObjectNotInState, "mirror \"" + mirror->name() + "\" was closed");
        }
        if (mirror->state() == Mirror::State::kFailed) return Status(mirror->error());
        if (mirror->state() == Mirror::State::kCopying) {
            return Status::Make(sqlstate::kObjectNotInState, "mirror \"" + mirror->name() + "\" is still being copied");
        }
        if (mirror->IsFlushed(target)) return Status::Ok();
        if (mirror->FailedFlushes(&error) > failed_before) return Status(error);
        if (!impl.mirrors.capture_connected()) {
            return Status::Make(sqlstate::kObjectNotInState, "no capture worker is connected to the engine");
        }
        // What is left is hidden from some running snapshot: it has to stay in memory.
        if (std::chrono::steady_clock::now() > deadline && !mirror->publishing() && !mirror->behind())
            return Status::Ok();
        if (cancelled && cancelled())
            return Status::Make(sqlstate::kQueryCanceled, "canceled while waiting for a flush");
        std::this_thread::sleep_for(kPoll);
    }
}

Status Ingest::Optimize(uint32_t id, Lsn lsn, const std::function<bool()>& cancelled) {
    IVY_RETURN_IF_ERROR(Flush(id, lsn, cancelled));
    Impl& impl = *impl_;
    const std::shared_ptr<Mirror> mirror = impl.mirrors.Find(id);
    if (!mirror) {
        return Status::Make(sqlstate::kObjectNotInState, "the engine does not know mirror " + std::to_string(id));
    }
    const uint64_t ticket = mirror->RequestOptimize();
    while (true) {
        Error error;
        if (mirror->Optimized(ticket, &error)) return error.message.empty() ? Status::Ok() : Status(error);
        if (mirror->closed()) {
            return Status::Make(sqlstate::kObjectNotInState, "mirror \"" + mirror->name() + "\" was closed");
        }
        if (mirror->state() == Mirror::State::kFailed) return Status(mirror->error());
        if (!impl.mirrors.capture_connected()) {
            mirror->CancelOptimize(ticket);
            return Status::Make(sqlstate::kObjectNotInState, "no capture worker is connected to the engine");
        }
        if (cancelled && cancelled()) {
            mirror->CancelOptimize(ticket);
            return Status::Make(sqlstate::kQueryCanceled, "canceled while files were rewritten");
        }
        impl.flusher->Wake();
        std::this_thread::sleep_for(kPoll);
    }
}

void Ingest::Stop() {
    Impl& impl = *impl_;
    {
        std::unique_lock lock(impl.mutex);
        impl.stopped = true;
        impl.sessions_changed.notify_all();
        while (impl.capture || !impl.copies.empty()) {
            if (impl.capture) impl.capture->Shutdown();
            for (Channel* copy : impl.copies) copy->Shutdown();
            impl.sessions_changed.wait(lock);
        }
    }
    impl.compactor.reset();
    impl.flusher.reset();
}

}  // namespace ivy::engine
