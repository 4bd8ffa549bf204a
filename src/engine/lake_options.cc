// SPDX-License-Identifier: Apache-2.0
#include "engine/lake_options.h"

#include <duckdb/function/function.hpp>

#include "engine/error_map.h"

namespace ivy::engine {
namespace {

using duckdb::LogicalType;
using duckdb::Value;

[[noreturn]] void Bad(const std::string& message) { ThrowSqlError(sqlstate::kInvalidParameter, message); }

duckdb::FunctionSignature Signature(const std::function<void(duckdb::TypedKwargs&)>& options) {
    duckdb::FunctionSignature signature;
    signature.AddPositionalOnly(duckdb::Identifier("path"), LogicalType::VARCHAR);
    signature.WithTypedKwargs(duckdb::Identifier("options"), options);
    return signature;
}

template <typename T>
T As(const std::string& name, const Value& value, const LogicalType& type) {
    duckdb::string error;
    const auto cast = value.DefaultTryCastAs(type, &error);
    if (!cast) Bad("invalid value for \"" + name + "\": \"" + value.ToString() + "\"");
    return cast->GetValue<T>();
}

// Milliseconds since 1970; texts and times without zone are UTC.
int64_t ToMilliseconds(const std::string& name, const Value& value) {
    const auto micros = As<duckdb::timestamp_t>(name, value, LogicalType::TIMESTAMP);
    if (!Value::IsFinite(micros)) Bad("\"" + name + "\" must be finite");
    const int64_t floor = micros.value / 1000 - (micros.value % 1000 < 0 ? 1 : 0);
    return floor;
}

}  // namespace

duckdb::FunctionSignature LakeOptions::IcebergSignature() {
    return Signature([](duckdb::TypedKwargs& options) {
        for (const char* name : {"snapshot_id", "snapshot_from_id"})
            options.Add(duckdb::Identifier(name), LogicalType::BIGINT);
        for (const char* name : {"timestamp", "snapshot_from_timestamp"}) {
            options.Add(duckdb::Identifier(name), LogicalType::ANY);
        }
        for (const char* name : {"ref", "version", "version_name_format", "metadata_compression_codec", "mode"}) {
            options.Add(duckdb::Identifier(name), LogicalType::VARCHAR);
        }
        for (const char* name : {"allow_moved_paths", "skip_schema_inference"}) {
            options.Add(duckdb::Identifier(name), LogicalType::BOOLEAN);
        }
    });
}

duckdb::FunctionSignature LakeOptions::DeltaSignature() {
    return Signature([](duckdb::TypedKwargs& options) {
        options.Add(duckdb::Identifier("version"), LogicalType::BIGINT);
        options.Add(duckdb::Identifier("timestamp"), LogicalType::ANY);
    });
}

bool LakeOptions::Parse(const std::string& name, const Value& value) {
    const auto once = [&](std::optional<int64_t>* target, int64_t number) {
        if (*target) Bad("conflicting values for \"" + name + "\"");
        *target = number;
    };
    const bool is_snapshot = name == "snapshot_id" || name == "snapshot_from_id";
    const bool is_timestamp = name == "timestamp" || name == "snapshot_from_timestamp";
    const bool is_ignored = name == "version_name_format" || name == "metadata_compression_codec" || name == "mode" ||
                            name == "skip_schema_inference";
    const bool known =
        is_snapshot || is_timestamp || is_ignored || name == "ref" || name == "version" || name == "allow_moved_paths";
    if (!known || is_ignored) return known;
    if (value.IsNull()) Bad("\"" + name + "\" must not be NULL");
    if (is_snapshot)
        once(&snapshot_id_, As<int64_t>(name, value, LogicalType::BIGINT));
    else if (is_timestamp)
        once(&timestamp_ms_, ToMilliseconds(name, value));
    else if (name == "ref")
        ref_ = value.ToString();
    else if (name == "version")
        version_ = value.ToString();
    else
        allow_moved_paths_ = value.GetValue<bool>();
    return true;
}

lake::IcebergOptions LakeOptions::ForIceberg() const {
    if (snapshot_id_.has_value() + timestamp_ms_.has_value() + !ref_.empty() > 1) {
        Bad("only one of \"snapshot_id\", \"timestamp\" and \"ref\" may be given");
    }
    lake::IcebergOptions options;
    options.snapshot_id = snapshot_id_;
    options.timestamp_ms = timestamp_ms_;
    options.ref = ref_;
    // DuckDB's default, which names the hint's file.
    options.version = version_ == "version-hint.text" ? "" : version_;
    options.allow_moved_paths = allow_moved_paths_;
    return options;
}

lake::DeltaTimeTravel LakeOptions::ForDelta() const {
    if (timestamp_ms_ && !version_.empty()) Bad("only one of \"version\" and \"timestamp\" may be given");
    lake::DeltaTimeTravel travel;
    if (!version_.empty()) travel.version = As<int64_t>("version", Value(version_), LogicalType::BIGINT);
    travel.timestamp_ms = timestamp_ms_;
    return travel;
}

}  // namespace ivy::engine
