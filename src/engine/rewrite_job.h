// SPDX-License-Identifier: Apache-2.0
//
// RewriteJob: some of a mirror's data files into new ones, without the rows that are in their deletion vectors (compaction).
//
// Rows keep their order, file after file, or are sorted together by the mirror's sort columns, so that the new files have
// ranges of their own. Rows keep their Iceberg identity too: in format version 3 a new file has the columns _row_id and
// _last_updated_sequence_number with what each row had in the old one.
//
// Threads: made and published by the flusher's thread, run by the compactor's, stopped and looked at by any.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "delta/rewrite.h"
#include "engine/data_file.h"

namespace ivy::engine {

// Iceberg's reserved field ids of row lineage.
inline constexpr uint32_t kRowIdField = 2147483540;
inline constexpr uint32_t kLastUpdatedField = 2147483539;

struct RewriteInput {
    delta::RewriteSource source;
    int64_t bytes = 0;
    int64_t first_row_id = 0,
            sequence_number = 0;  // format version 3: what rows without an identity of their own inherit
};

struct RewritePlan {
    std::vector<RewriteInput> inputs;
    std::vector<MirrorColumn> columns;
    std::vector<uint32_t> key, sort;
    std::string location, index_folder;
    uint64_t target_bytes = 0;  // of a new file
    bool lineage = false;       // format version 3
    uint64_t ticket = 0;        // of the request that it is for; 0: none
};

class RewriteJob {
  public:
    enum class Phase { kPlanned, kRewriting, kWritten, kPublishing };

    RewriteJob(Instance& instance, iceberg::FileIo& io, RewritePlan plan);

    const RewritePlan& plan() const { return plan_; }

    // Writes the new files. "note" is told the paths of all of them before one more is begun, and may refuse. On an error
    // nothing is left. SQLSTATE 57014 if it was cancelled.
    Status Run(const std::function<Status(const std::vector<std::string>&)>& note);
    void Cancel() { cancelled_ = true; }
    bool cancelled() const { return cancelled_; }
    // Deletes what was written.
    void Remove();

    // After Run:
    const std::vector<DataFileWriter::Written>& files() const { return files_; }
    const std::shared_ptr<const std::vector<uint32_t>>& order() const { return order_; }

    Phase phase() const { return phase_; }
    void set_phase(Phase phase) { phase_ = phase; }
    uint64_t total_rows() const { return total_rows_; }  // to write
    uint64_t rows_read() const { return rows_read_; }
    uint64_t rows_written() const { return rows_written_; }
    Status status;  // of Run, once the phase is kWritten

  private:
    using Note = std::function<Status(const std::vector<std::string>&)>;
    Status Read(const std::function<Status(duckdb::DataChunk&)>& take);
    Status ReadFile(const RewriteInput& input, const std::function<Status(duckdb::DataChunk&)>& take);
    Status CopyInOrder(const Note& note);
    Status CopySorted(const Note& note);
    Status Write(duckdb::DataChunk& chunk, const Note& note);
    Status FinishFile();
    Status Check() const;

    Instance& instance_;
    iceberg::FileIo& io_;
    const RewritePlan plan_;
    std::vector<MirrorColumn> columns_;  // with those of lineage
    uint64_t total_rows_ = 0;
    std::atomic<bool> cancelled_{false};
    std::atomic<Phase> phase_{Phase::kPlanned};
    std::atomic<uint64_t> rows_read_{0}, rows_written_{0};
    std::unique_ptr<DataFileWriter> file_;
    std::vector<std::string> paths_;
    std::vector<DataFileWriter::Written> files_;
    std::shared_ptr<const std::vector<uint32_t>> order_;
};

}  // namespace ivy::engine
