// SPDX-License-Identifier: Apache-2.0
//
// A Delta Lake table as a scan sees it: partition values are constants, statistics come from the log.
#include <duckdb/common/types/date.hpp>
#include <duckdb/common/types/timestamp.hpp>

#include <mutex>

#include "engine/lake_io.h"
#include "engine/lake_tables.h"
#include "engine/lake_types.h"
#include "lake/delta_log.h"
#include "lake/paths.h"
#include "lake/snapshot_cache.h"

namespace ivy::engine {
namespace {

using duckdb::Value;
using lake::Column;
using lake::Json;
using lake::Kind;

// The log cuts the bounds of timestamps to milliseconds, downwards.
constexpr int64_t kTimestampSlack = 999;  // microseconds

class DeltaTable final : public LakeTable {
  public:
    explicit DeltaTable(std::shared_ptr<const lake::DeltaSnapshot> snapshot)
        : shared_(std::move(snapshot)), snapshot_(*shared_) {
        is_partition_.resize(snapshot_.columns.size());
        for (const size_t column : snapshot_.partition_columns) is_partition_[column] = true;
    }

    const std::vector<Column>& columns() const override { return snapshot_.columns; }
    lake::Matching matching() const override { return snapshot_.matching; }
    size_t file_count() const override { return snapshot_.files.size(); }

    File file(size_t index) const override {
        const lake::DeltaFile& file = snapshot_.files[index];
        File result{file.path, file.size, file.Rows()};
        if (result.rows && file.deletion_vector) {
            result.rows = std::max<int64_t>(0, *result.rows - file.deletion_vector->cardinality);
        }
        return result;
    }

    // The log's value counts, whatever the file has.
    std::optional<Value> Constant(size_t index, size_t column, bool) const override {
        if (!is_partition_[column]) return std::nullopt;
        const lake::DeltaFile& file = snapshot_.files[index];
        const Column& definition = snapshot_.columns[column];
        const auto found = file.partition.find(definition.physical_name);
        // An empty text is NULL too.
        if (found == file.partition.end() || !found->second || found->second->empty()) {
            return Value(LakeType(definition));
        }
        auto value = definition.kind == Kind::kBinary ? std::optional(Value::BLOB_RAW(BytesOf(*found->second)))
                                                      : LakeValueFromText(definition, *found->second);
        if (value) return value;
        ThrowError({sqlstate::kDataCorrupted,
                    "partition value \"" + *found->second + "\" of column \"" + definition.name + "\" of file \"" +
                        file.path + "\" is not of type " + LakeType(definition).ToString(),
                    "", ""});
    }

    duckdb::unique_ptr<duckdb::BaseStatistics> Statistics(size_t index, size_t column) const override {
        if (is_partition_[column]) {
            return duckdb::BaseStatistics::FromConstant(*Constant(index, column, false)).ToUnique();
        }
        const Column& definition = snapshot_.columns[column];
        const std::shared_ptr<const Json> json = StatisticsOf(index);
        if (!json || definition.IsNested()) return nullptr;
        const auto member = [&](const char* group) -> const Json* {
            const auto found = json->find(group);
            if (found == json->end() || !found->is_object()) return nullptr;
            const auto value = found->find(definition.physical_name);
            return value == found->end() || value->is_null() || value->is_structured() ? nullptr : &*value;
        };
        const auto count = [](const Json* value) {
            return value && value->is_number_integer() ? std::optional(value->get<int64_t>()) : std::nullopt;
        };
        const auto rows = json->find("numRecords");
        return MakeStatistics(LakeType(definition), Bound(definition, member("minValues"), false),
                              Bound(definition, member("maxValues"), true), count(member("nullCount")),
                              count(rows == json->end() ? nullptr : &*rows));
    }

    std::shared_ptr<const delta::RowSet> Deleted(duckdb::ClientContext& context, size_t index) const override {
        const auto& vector = snapshot_.files[index].deletion_vector;
        if (!vector) return nullptr;
        LakeIo io(context);
        return std::make_shared<const delta::RowSet>(
            ValueOrThrow(lake::ReadDeltaDeletionVector(&io, snapshot_.table, *vector)));
    }

  private:
    // Binary partition values have one character for each byte, those above 127 too.
    static std::string BytesOf(const std::string& text) {
        std::string bytes;
        for (size_t i = 0; i < text.size(); i++) {
            const auto lead = static_cast<unsigned char>(text[i]);
            const bool two = (lead == 0xc2 || lead == 0xc3) && i + 1 < text.size();
            bytes += two ? static_cast<char>((lead & 3) << 6 | (text[++i] & 0x3f)) : text[i];
        }
        return bytes;
    }

    // NaN is left out of floating-point bounds, and is the largest value: there is no upper bound.
    static std::optional<Value> Bound(const Column& column, const Json* json, bool upper) {
        if (json == nullptr || column.kind == Kind::kBinary) return std::nullopt;
        if (upper && (column.kind == Kind::kFloat || column.kind == Kind::kDouble)) return std::nullopt;
        // A decimal as a JSON number went through a double.
        if (column.kind == Kind::kDecimal && json->is_number_float()) return std::nullopt;
        auto value = LakeValueFromText(column, json->is_string() ? json->get<std::string>() : json->dump());
        if (!value) return value;
        if (upper && (column.kind == Kind::kTimestamp || column.kind == Kind::kTimestampTz)) {
            auto micros = value->GetValue<duckdb::timestamp_t>().value;
            if (!Value::IsFinite(duckdb::timestamp_t(micros)) || micros > INT64_MAX - kTimestampSlack - 1)
                return std::nullopt;
            const duckdb::timestamp_t raised(micros + kTimestampSlack);
            return column.kind == Kind::kTimestamp ? Value::TIMESTAMP(raised)
                                                   : Value::TIMESTAMPTZ(duckdb::timestamp_tz_t(raised.value));
        }
        return value;
    }

    // A file's statistics, parsed. The last one is kept, since columns are asked for one after another.
    std::shared_ptr<const Json> StatisticsOf(size_t index) const {
        const std::lock_guard guard(mutex_);
        if (parsed_index_ == index) return parsed_;
        parsed_index_ = index;
        const Result<Json> json = iceberg::ParseJson(snapshot_.files[index].stats, "statistics");
        parsed_ = json.ok() && json->is_object() ? std::make_shared<const Json>(*json) : nullptr;
        return parsed_;
    }

    const std::shared_ptr<const lake::DeltaSnapshot> shared_;
    const lake::DeltaSnapshot& snapshot_;
    std::vector<bool> is_partition_;
    mutable std::mutex mutex_;
    mutable size_t parsed_index_ = SIZE_MAX;
    mutable std::shared_ptr<const Json> parsed_;
};

// What tells a segment of a log from another one that stood under the same names: sizes and times of its files. Empty if
// there is no telling: a file that was changed just now could be changed again and look the same; servers' times are in
// seconds.
std::string FingerprintOf(LakeIo* io, const lake::DeltaSegment& segment) {
    constexpr int64_t kYoungMs = 2000;
    if (!lake::IsLocal(segment.table)) return "";
    const int64_t now = duckdb::Timestamp::GetCurrentTimestamp().value / 1000;
    std::string text = segment.table + '\n' + std::to_string(segment.version);
    for (const auto* files : {&segment.checkpoint, &segment.commits}) {
        for (const std::string& path : *files) {
            const int64_t changed = ValueOrThrow(io->ModifiedMs(path));
            if (changed > now - kYoungMs) return "";
            text +=
                '\n' + path + ' ' + std::to_string(changed) + ' ' + std::to_string(ValueOrThrow(io->FileSize(path)));
        }
    }
    return text;
}

}  // namespace

std::shared_ptr<const LakeTable> OpenDeltaTable(duckdb::ClientContext& context, const std::string& path,
                                                const lake::DeltaTimeTravel& travel) {
    static lake::SnapshotCache<lake::DeltaSnapshot> cache(kMaxCachedFiles);
    LakeIo io(context);
    const lake::DeltaSegment segment = ValueOrThrow(lake::FindDeltaSegment(&io, path, travel));
    const std::string key = FingerprintOf(&io, segment);
    auto snapshot = key.empty() ? nullptr : cache.Find(key);
    if (!snapshot) {
        snapshot = std::make_shared<const lake::DeltaSnapshot>(ValueOrThrow(lake::ReadDeltaSegment(&io, segment)));
        // What was read is what the fingerprint says only if nothing changed meanwhile.
        if (!key.empty() && FingerprintOf(&io, segment) == key) cache.Put(key, snapshot, 1 + snapshot->files.size());
    }
    return std::make_shared<DeltaTable>(std::move(snapshot));
}

}  // namespace ivy::engine
