// SPDX-License-Identifier: Apache-2.0
//
// TableIo: how foreign tables' files are read. The engine implements it over DuckDB's file systems and Parquet reader,
// tests in memory.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "iceberg/file_io.h"
#include "iceberg/json.h"

namespace ivy::lake {

// Reading only. ReadFile refuses files larger than kMaxMetadataBytes: metadata is read as a whole.
class TableIo : public iceberg::FileIo {
  public:
    static constexpr int64_t kMaxMetadataBytes = int64_t{512} << 20;

    // When a file was last changed, in milliseconds since 1970.
    virtual Result<int64_t> ModifiedMs(const std::string& path) = 0;

    // Calls "take" for every row of a Parquet file with those of the named columns that the file has, as a JSON object:
    // structs and maps with text keys are objects, NULLs are left out, binary is not passed on, dates and times are
    // their text (UTC).
    using TakeRow = std::function<Status(const iceberg::Json&)>;
    virtual Status ReadRows(const std::string& path, const std::vector<std::string>& columns, const TakeRow& take) = 0;

    Status WriteFile(const std::string& path, const Bytes&, bool) final { return ReadOnly(path); }
    Status DeleteFile(const std::string& path) final { return ReadOnly(path); }

  private:
    static Status ReadOnly(const std::string& path) { return Status::Internal("\"" + path + "\" is only read"); }
};

}  // namespace ivy::lake
