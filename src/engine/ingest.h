// SPDX-License-Identifier: Apache-2.0
//
// Ingest: the write half of the engine as the server sees it: capture and copy connections in, read views and flush
// requests out. Owns the mirrors, the flusher thread and everything that they write.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/snapshot.h"
#include "base/status.h"
#include "engine/rewrite_policy.h"

namespace ivy::engine {

class Channel;
class Instance;
class Mirrors;

struct IngestOptions {
    std::string folder = ".";  // the engine's own folder: key index segments under "index", spilled changes under "tmp"
    uint64_t flush_rows = 1000000;               // flush a mirror with this many rows and deletes in memory...
    uint64_t flush_bytes = 256ull << 20;         // ...or this many bytes...
    std::chrono::milliseconds flush_age{60000};  // ...or whose oldest change has been in memory for this long
    // Whether the two above were given on the command line and so do not follow the server's settings.
    bool flush_bytes_fixed = false, flush_age_fixed = false;
    // Past this many bytes of one mirror's delta, flush even what some running snapshot does not see: queries with such
    // snapshots then use the row table.
    uint64_t force_bytes = 2048ull << 20;
    uint64_t copy_file_bytes = 256ull << 20;  // files of an initial copy are cut at about this size
    uint64_t stage_bytes = 32ull << 20;       // changes of one transaction kept in memory before they go to a file
    // Changes of all mirrors may take this much ordinary memory; more goes to mapped temporary files.
    uint64_t delta_memory = 1024ull << 20;
    int keep_snapshots = 100;                       // Iceberg snapshots of each table
    std::chrono::milliseconds snapshot_wait{5000};  // of a requested flush, for snapshots that keep rows in memory
    RewritePolicy rewrite;                          // which files are rewritten; small_files 0: only on request
    bool reload = true;  // a mirror that fails is loaded again, once in a while (reload_history.h)
};

// When mirrors are flushed: the options, or the server's settings once the capture worker has sent them. Written by the
// capture session, read by the flusher.
struct FlushPolicy {
    explicit FlushPolicy(const IngestOptions& options)
        : bytes(options.flush_bytes),
          age_ms(static_cast<uint64_t>(options.flush_age.count())),
          file_bytes(options.rewrite.target_bytes),
          rewrite_files(options.rewrite.small_files),
          rewrite_deleted_percent(options.rewrite.deleted_percent) {}
    std::atomic<uint64_t> bytes, age_ms;
    std::atomic<uint64_t> wal_bytes{UINT64_MAX};                               // FlushSettings::wal_bytes
    std::atomic<uint64_t> force_wal_bytes{UINT64_MAX};                         // FlushSettings::force_wal_bytes
    std::atomic<uint64_t> copy_bytes{UINT64_MAX};                              // FlushSettings::copy_bytes
    std::atomic<uint64_t> file_bytes, rewrite_files, rewrite_deleted_percent;  // FlushSettings
};

class Ingest {
  public:
    // "instance" must outlive the object. Starts the flusher thread.
    Ingest(Instance& instance, IngestOptions options);
    ~Ingest();  // as Stop()

    Mirrors& mirrors();

    // Serve one connection after its hello and the reply to it; return when it has ended. A capture connection first
    // ends the one that there was.
    void ServeCapture(Channel& channel);
    void ServeCopy(Channel& channel);

    // Waits until everything up to "lsn" is applied, flushes the mirror, and returns when that is published.
    // Transactions that some running snapshot does not see yet stay in memory.
    Status Flush(uint32_t mirror, Lsn lsn, const std::function<bool()>& cancelled);
    // Flushes the mirror, then has its files rewritten where that is worth anything, and returns when that is published.
    // When cancelled, what is being rewritten for it comes to nothing.
    Status Optimize(uint32_t mirror, Lsn lsn, const std::function<bool()>& cancelled);

    // Ends the sessions and the flusher; in-memory changes are replayed from the slot after the next start.
    void Stop();

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace ivy::engine
