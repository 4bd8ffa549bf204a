// SPDX-License-Identifier: Apache-2.0
// CaptureWorker: copies of sources, from the moment capturing begins until their first files are published.
#include "capture/capture_worker.h"

#include <algorithm>

namespace ivy::capture {

namespace {

constexpr int kCopyPollMs = 20;             // waiting for transactions to end before a copy
constexpr int kCopyGraceMs = 500;           // a copy worker has ended: its files should be announced in this time
constexpr int kMaxCopyPauseMs = 60 * 1000;  // between two attempts of a copy
constexpr int kMaxCopies = 2;               // at a time

}  // namespace

void CaptureWorker::ForgetJob(Oid mirror, bool terminate) {
    for (const auto& job : jobs_) {
        if (job->mirror != mirror) continue;
        job->in_flight.End();
        if (job->handle && terminate) TerminateBackgroundWorker(job->handle);
        if (job->handle) pfree(job->handle);
    }
    pg::Guard([&] { std::erase_if(jobs_, [&](const auto& job) { return job->mirror == mirror; }); });
}

void CaptureWorker::AdvanceCopies() {
    for (size_t i = 0; i < jobs_.size(); i++) AdvanceCopy(jobs_[i].get());
    ForgetDeletedFiles();
}

bool CaptureWorker::Settled(CopyJob* job) {
    for (const Xid xid : job->streamed) {
        if (decoder_->streamed().count(xid) > 0) return false;
    }
    return job->in_flight.Settled();
}

// In the log once until a copy begins, and for whoever waits for the copy.
void CaptureWorker::ReportNoWorker(CopyJob* job) {
    if (!no_worker_reported_) {
        ereport(LOG, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
                      errmsg("no background worker is free to copy the source of mirror %u", job->mirror),
                      errhint("You might need to increase \"max_worker_processes\".")));
        no_worker_reported_ = true;
    }
    if (job->no_worker_noted) return;
    InTransaction([&] {
        job->no_worker_noted =
            mooncake::FailCopy(job->mirror, job->generation, mooncake::MirrorState::kCopying,
                               "no background worker is free (\"max_worker_processes\")", true) != ChangeResult::kBusy;
    });
}

void CaptureWorker::StartCopy(CopyJob* job) {
    int running = 0;
    for (const auto& other : jobs_) running += other->stage == CopyJob::Stage::kRunning ? 1 : 0;
    if (running >= kMaxCopies) return;
    link_->FlushAll();  // the engine must know the mirror
    MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);
    job->handle = mooncake::StartCopyWorker({job->mirror, job->generation, job->order});
    MemoryContextSwitchTo(caller);
    if (job->handle) {
        job->stage = CopyJob::Stage::kRunning;
        no_worker_reported_ = false;
        return;
    }
    ReportNoWorker(job);
    job->stage = CopyJob::Stage::kPaused;
    job->due = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), 1000);
}

void CaptureWorker::RetryCopy(CopyJob* job) {
    const int pause = std::min(kMaxCopyPauseMs, 500 << std::min(job->failures, 10));
    job->failures++;
    job->stage = CopyJob::Stage::kPaused;
    job->due = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), pause);
}

bool CaptureWorker::HasWaitingEvent(Oid mirror) const {
    return std::any_of(waiting_.begin(), waiting_.end(),
                       [&](const Frame& event) { return event.reader().U32() == mirror; });
}

void CaptureWorker::AdvanceCopy(CopyJob* job) {
    if (job->stage == CopyJob::Stage::kSettling) {
        if (!Settled(job)) {
            WakeIn(kCopyPollMs);
            return;
        }
        job->in_flight.End();
        job->stage = CopyJob::Stage::kReady;
    }
    if (job->stage == CopyJob::Stage::kRunning) {
        pid_t pid;
        if (GetBackgroundWorkerPid(job->handle, &pid) != BGWH_STOPPED) return;
        pfree(job->handle);
        job->handle = nullptr;
        job->stage = CopyJob::Stage::kEnded;
        job->due = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), kCopyGraceMs);
    }
    if (job->stage == CopyJob::Stage::kEnded || job->stage == CopyJob::Stage::kPaused) {
        const long left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), job->due);
        if (left > 0) {
            WakeIn(static_cast<int>(std::min<long>(left, kIdleMs)));
            return;
        }
        if (job->stage == CopyJob::Stage::kEnded) {
            // An announcement that waits for the mirror's lock is an announcement.
            if (!HasWaitingEvent(job->mirror)) RetryCopy(job);
            return;
        }
        job->stage = CopyJob::Stage::kReady;
    }
    StartCopy(job);
}

}  // namespace ivy::capture
