// SPDX-License-Identifier: Apache-2.0
//
// A foreign Iceberg table as a scan sees it. What keeps files out comes from the manifests' column metrics and partition
// values, what keeps manifests out from the partition summaries of the manifest list.
#include <algorithm>
#include <map>
#include <mutex>
#include <utility>

#include "engine/error_map.h"
#include "engine/iceberg_value.h"
#include "engine/lake_deletes.h"
#include "engine/lake_io.h"
#include "engine/lake_pruning.h"
#include "engine/lake_tables.h"
#include "engine/lake_types.h"
#include "engine/query_inputs.h"
#include "lake/snapshot_cache.h"

namespace ivy::engine {
namespace {

using duckdb::Value;
using iceberg::DataFile;
using iceberg::SingleValue;
using lake::Column;
using lake::IcebergSnapshot;
using lake::Json;
using lake::Kind;
using lake::TransformKind;

// What a partition field's values are in a file, or in the files of a manifest.
struct PartitionRange {
    bool nulls = true, nans = true;           // may be among them
    bool others = true;                       // values that are neither may be
    std::optional<SingleValue> lower, upper;  // of those; none: not known
};

// Lower and upper bounds of a column, if they are in the order in which they are compared here: Java once sorted UUIDs as
// signed numbers.
using Bounds = std::pair<std::optional<Value>, std::optional<Value>>;
Bounds InOrder(const Column& column, std::optional<Value> lower, std::optional<Value> upper) {
    if (column.kind == Kind::kUuid && lower && upper && *lower > *upper) return {};
    return {std::move(lower), std::move(upper)};
}

// Whether a row may fulfil a condition whose column is in this range by a partition field.
bool MayHold(duckdb::ClientContext& context, const Column& column, const lake::Transform& transform,
             const PartitionRange& range, const LakeCondition& condition) {
    const bool floating = lake::HasFloatingPoint(column);
    if (floating && range.nans) return true;
    if (!range.others) {
        if (!range.nulls) return true;  // nothing at all: somebody miscounted
        const auto null = MakeStatistics(LakeType(column), std::nullopt, std::nullopt, 1, 1);
        return !null || condition.MayHold(context, *null);
    }
    if (transform.kind == TransformKind::kBucket && condition.values) {
        const auto* first = range.lower ? std::get_if<int32_t>(&*range.lower) : nullptr;
        const auto* last = range.upper ? std::get_if<int32_t>(&*range.upper) : nullptr;
        for (const Value& value : *condition.values) {
            const auto single = ToSingleValue(column, value);
            const auto bucket = single ? lake::BucketOf(transform.width, column, *single) : std::nullopt;
            if (!bucket || ((!first || *bucket >= *first) && (!last || *bucket <= *last))) return true;
        }
        return false;
    }
    lake::ValueRange values;
    if (transform.HasRange()) values = lake::RangeOf(transform, column, range.lower, range.upper);
    const auto value = [&column](const std::optional<SingleValue>& single) {
        return single ? FromSingleValue(column, *single) : std::nullopt;
    };
    auto [lower, upper] = InOrder(column, value(values.lower), value(values.upper));
    const auto nulls = range.nulls ? std::nullopt : std::optional<int64_t>(0);
    const auto statistics = MakeStatistics(LakeType(column), std::move(lower), std::move(upper), nulls, std::nullopt);
    return !statistics || condition.MayHold(context, *statistics);
}

// A partition value of one file.
PartitionRange RangeOfFile(const lake::Transform& transform, const Column& column, const Json& json) {
    if (json.is_null()) return {.nulls = true, .nans = false, .others = false, .lower = {}, .upper = {}};
    const auto value = lake::PartitionValue(transform, column, json);
    const bool nan = json == "NaN" && lake::HasFloatingPoint(column);
    return {.nulls = false, .nans = nan, .others = true, .lower = value, .upper = value};
}

PartitionRange RangeOfManifest(const lake::Transform& transform, const Column& column,
                               const iceberg::PartitionSummary& summary) {
    const auto value = [&](const std::optional<std::string>& bytes) {
        return bytes ? lake::PartitionValue(transform, column, std::string_view(*bytes)) : std::nullopt;
    };
    return {.nulls = summary.contains_null,
            .nans = summary.contains_nan.value_or(true),
            .others = true,
            .lower = value(summary.lower),
            .upper = value(summary.upper)};
}

// What is kept of a snapshot between queries: all its files once a query has needed them, else those of the last one.
struct Kept {
    explicit Kept(IcebergSnapshot the_list) : list(std::move(the_list)) {}
    const IcebergSnapshot list;
    mutable std::mutex mutex;  // guards the rest
    mutable std::shared_ptr<const IcebergSnapshot> all, some;
    mutable std::vector<bool> wanted;  // the manifests of "some"
};

class IcebergTable final : public LakeTable {
  public:
    // Not listed.
    explicit IcebergTable(std::shared_ptr<const Kept> kept) : kept_(std::move(kept)) {}

    IcebergTable(std::shared_ptr<const Kept> kept, std::shared_ptr<const IcebergSnapshot> snapshot, Lists lists)
        : kept_(std::move(kept)), snapshot_(std::move(snapshot)), lists_(lists), deletes_(*snapshot_) {
        for (const lake::IcebergEntry& entry : snapshot_->data()) {
            if (entry.file.format != "PARQUET") ThrowUnsupportedFormat("data", entry.file);
        }
    }

    const std::vector<Column>& columns() const override { return kept_->list.columns(); }
    lake::Matching matching() const override { return lake::Matching::kByFieldId; }
    bool listed() const override { return snapshot_ != nullptr; }
    std::optional<Lists> lists() const override { return lists_; }

    Size size() const override {
        Size size{0, 0};
        const auto add = [](std::optional<int64_t>* sum, const auto& added, const auto& existing) {
            int64_t more = 0;
            if (!added || !existing || __builtin_add_overflow(*added, *existing, &more) || more < 0 || !*sum ||
                __builtin_add_overflow(**sum, more, &**sum)) {
                sum->reset();
            }
        };
        for (const iceberg::ManifestFile& manifest : kept_->list.manifests()) {
            if (manifest.deletes) continue;
            add(&size.files, manifest.added_files, manifest.existing_files);
            add(&size.rows, manifest.added_rows, manifest.existing_rows);
        }
        return size;
    }

    std::shared_ptr<const LakeTable> List(duckdb::ClientContext& context,
                                          const LakeConditions* conditions) const override {
        const auto& manifests = kept_->list.manifests();
        std::vector<bool> wanted(manifests.size());
        Lists lists{0, manifests.size()};
        for (size_t i = 0; i < manifests.size(); i++) {
            wanted[i] = conditions == nullptr || ManifestMayHold(context, manifests[i], *conditions);
            lists.used += wanted[i];
        }
        const bool all = lists.used == lists.total;
        std::unique_lock guard(kept_->mutex);
        std::shared_ptr<const IcebergSnapshot> snapshot = kept_->all;
        if (!snapshot && kept_->wanted == wanted) snapshot = kept_->some;
        if (!snapshot) {
            guard.unlock();
            LakeIo io(context);
            snapshot = std::make_shared<const IcebergSnapshot>(ValueOrThrow(kept_->list.WithFiles(&io, wanted)));
            guard.lock();
            kept_->some = all ? nullptr : snapshot;
            if (all) kept_->all = snapshot;
            kept_->wanted = std::move(wanted);
        }
        return std::make_shared<IcebergTable>(kept_, std::move(snapshot), lists);
    }

    size_t file_count() const override { return snapshot_->data().size(); }

    File file(size_t index) const override {
        const DataFile& file = snapshot_->data()[index].file;
        return {file.path, file.file_size, file.record_count};
    }

    // A column that the file lacks has its partition's value, if it is partitioned by the column itself.
    std::optional<Value> Constant(size_t index, size_t column, bool in_file) const override {
        return in_file ? std::nullopt : IdentityValue(index, column);
    }

    duckdb::unique_ptr<duckdb::BaseStatistics> Statistics(size_t index, size_t ordinal) const override {
        const Column& column = columns()[ordinal];
        const iceberg::Metrics& metrics = snapshot_->data()[index].file.metrics;
        const auto count = [&column](const std::map<int, int64_t>& counts) {
            const auto found = counts.find(column.id);
            return found == counts.end() || found->second < 0 ? std::nullopt : std::optional(found->second);
        };
        if (!metrics.value_counts.contains(column.id) && !metrics.lower_bounds.contains(column.id)) {
            // Perhaps not in the file. NaN and NULL keep nothing out.
            const auto constant = IdentityValue(index, ordinal);
            return constant ? duckdb::BaseStatistics::FromConstant(*constant).ToUnique() : nullptr;
        }
        auto [lower, upper] = InOrder(column, Bound(column, metrics.lower_bounds), Bound(column, metrics.upper_bounds));
        // NaN, which is larger than all numbers, is left out of bounds.
        if (lake::HasFloatingPoint(column) && count(metrics.nan_value_counts) != 0) upper.reset();
        return MakeStatistics(LakeType(column), lower, upper, count(metrics.null_value_counts),
                              count(metrics.value_counts));
    }

    bool PartitionMayHold(duckdb::ClientContext& context, size_t index, const LakeCondition& condition) const override {
        const DataFile& file = snapshot_->data()[index].file;
        const Column& column = columns()[condition.column];
        if (file.partition_json.empty()) return true;
        for (const lake::PartitionField& field : snapshot_->spec(file.partition_spec_id)) {
            if (field.source_id != column.id || !Says(field.transform)) continue;
            const Result<Json> tuple = iceberg::ParseJson(file.partition_json, "partition");
            const auto value = tuple.ok() ? tuple->find(std::to_string(field.field_id)) : Json::const_iterator();
            if (!tuple.ok() || value == tuple->end()) continue;
            if (!MayHold(context, column, field.transform, RangeOfFile(field.transform, column, *value), condition))
                return false;
        }
        return true;
    }

    bool CanHaveNan(size_t index, size_t column) const override {
        const auto& counts = snapshot_->data()[index].file.metrics.nan_value_counts;
        const auto found = counts.find(columns()[column].id);
        return LakeTable::CanHaveNan(index, column) && (found == counts.end() || found->second != 0);
    }

    std::shared_ptr<const delta::RowSet> Deleted(duckdb::ClientContext& context, size_t index) const override {
        return deletes_->Of(context, *this, index);
    }

  private:
    // Whether a partition by a transform says anything about values.
    static bool Says(const lake::Transform& transform) {
        return transform.HasRange() || transform.kind == TransformKind::kBucket;
    }

    bool ManifestMayHold(duckdb::ClientContext& context, const iceberg::ManifestFile& manifest,
                         const LakeConditions& conditions) const {
        if (conditions.never()) return false;
        const std::vector<lake::PartitionField>& spec = kept_->list.spec(manifest.partition_spec_id);
        if (manifest.partitions.size() != spec.size()) return true;
        for (const LakeCondition& condition : conditions.conditions()) {
            const Column& column = columns()[condition.column];
            for (size_t i = 0; i < spec.size(); i++) {
                const lake::Transform& transform = spec[i].transform;
                if (spec[i].source_id != column.id || !Says(transform)) continue;
                const PartitionRange range = RangeOfManifest(transform, column, manifest.partitions[i]);
                if (!MayHold(context, column, transform, range, condition)) return false;
            }
        }
        return true;
    }

    static std::optional<Value> Bound(const Column& column, const std::map<int, std::string>& bounds) {
        const auto found = bounds.find(column.id);
        if (found == bounds.end()) return std::nullopt;
        const auto type = lake::PrimitiveTypeOf(column, found->second.size());
        if (!type) return std::nullopt;
        const Result<SingleValue> value = iceberg::DecodeSingleValue(*type, found->second);
        return value.ok() ? FromSingleValue(column, *value) : std::nullopt;
    }

    std::optional<Value> IdentityValue(size_t index, size_t ordinal) const {
        const DataFile& file = snapshot_->data()[index].file;
        const Column& column = columns()[ordinal];
        if (file.partition_json.empty()) return std::nullopt;
        for (const lake::PartitionField& field : snapshot_->spec(file.partition_spec_id)) {
            if (field.source_id != column.id || field.transform.kind != TransformKind::kIdentity) continue;
            const Result<Json> tuple = iceberg::ParseJson(file.partition_json, "partition");
            const auto value = tuple.ok() ? tuple->find(std::to_string(field.field_id)) : Json::const_iterator();
            if (!tuple.ok() || value == tuple->end()) return std::nullopt;
            if (value->is_null()) return Value(LakeType(column));
            const auto single = lake::PartitionValue(field.transform, column, *value);
            return single ? FromSingleValue(column, *single) : std::nullopt;
        }
        return std::nullopt;
    }

    const std::shared_ptr<const Kept> kept_;
    const std::shared_ptr<const IcebergSnapshot> snapshot_;  // null: not listed
    const std::optional<Lists> lists_;
    mutable std::optional<LakeDeletes> deletes_;
};

std::string SecretsOf(duckdb::ClientContext& context) {
    const QueryInputs* inputs = QueryInputs::Find(context);
    return inputs ? inputs->secrets : "";
}

// How many files a snapshot's manifests name; a guess for those whose list does not say.
size_t FileCount(const IcebergSnapshot& list) {
    size_t count = 0;
    for (const iceberg::ManifestFile& manifest : list.manifests()) {
        for (const auto& files : {manifest.added_files, manifest.existing_files}) {
            count += static_cast<size_t>(std::clamp<int64_t>(files.value_or(100), 0, kMaxCachedFiles));
        }
    }
    return count;
}

}  // namespace

std::shared_ptr<const LakeTable> OpenIcebergTable(duckdb::ClientContext& context, const std::string& path,
                                                  const lake::IcebergOptions& options) {
    // The metadata file is found and read each time. Where it is the one that a snapshot was read from, to the last value in
    // it, so are the manifests, which never change under their names. Others' secrets may open other files: not theirs then.
    static lake::SnapshotCache<Kept> cache(kMaxCachedFiles);
    LakeIo io(context);
    lake::IcebergLocation location = ValueOrThrow(lake::FindIcebergMetadata(&io, path, options.version));
    std::string key = location.table + '\n' + location.metadata_file + '\n' + SecretsOf(context) + '\n' + options.ref;
    for (const std::optional<int64_t>& number : {options.snapshot_id, options.timestamp_ms}) {
        key += '\n' + (number ? std::to_string(*number) : std::string("-"));
    }
    key += options.allow_moved_paths ? "\nmoved" : "";
    auto kept = cache.Find(key);
    if (!kept || kept->list.metadata().document() != location.metadata.document()) {
        kept = std::make_shared<const Kept>(ValueOrThrow(IcebergSnapshot::LoadList(&io, std::move(location), options)));
        cache.Put(key, kept, 1 + FileCount(kept->list));
    }
    return std::make_shared<IcebergTable>(std::move(kept));
}

}  // namespace ivy::engine
