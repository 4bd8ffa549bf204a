// SPDX-License-Identifier: Apache-2.0
//
// CopySession: serves one copy worker's connection: a source table's rows become a mirror's first files.
//
// Rows go to Parquet as they arrive: memory is bounded by a row group and the keys of one file. Files are cut at a
// size, and each gets its key index when it is complete. Changes go on arriving beside it and wait in the mirror.
// Nothing of a copy that does not reach its end is left.
#pragma once

#include <memory>
#include <vector>

#include "base/status.h"
#include "engine/data_file.h"
#include "engine/mirror.h"
#include "engine/mirrors.h"

namespace ivy::engine {

class Channel;

class CopySession {
  public:
    CopySession(Channel& channel, Mirrors& mirrors, MirrorContext& context)
        : channel_(channel), mirrors_(mirrors), context_(context) {}

    // Returns when the connection has ended.
    void Serve();

  private:
    Status Receive();
    Status Begin(const Frame& frame);
    Status Append(const Frame& frame);
    Status FinishFile();
    void Discard();

    Channel& channel_;
    Mirrors& mirrors_;
    MirrorContext& context_;
    std::shared_ptr<Mirror> mirror_;
    Mirror::CopyTicket ticket_;
    duckdb::DataChunk chunk_;
    std::unique_ptr<DataFileWriter> file_;
    std::vector<DataFileWriter::Written> written_;
    bool joins_ = false;  // the rows are for a copy that another session has begun
};

}  // namespace ivy::engine
