// SPDX-License-Identifier: Apache-2.0
#include "engine/stored_numeric.h"

#include <duckdb/common/string_util.hpp>
#include <duckdb/common/types/decimal.hpp>
#include <duckdb/main/extension/extension_loader.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <set>

#include "engine/error_map.h"
#include "engine/query_inputs.h"

namespace ivy::engine {
namespace {

using UInt128 = unsigned __int128;

constexpr int kMostDisplayScale = 16383;  // the server's limit
constexpr size_t kMostDigits =
    kMaxDecimalDigits + 2;  // of what JoinNumeric prints before it appends zeros, with a point and a zero

// 10^0 to 10^38.
constexpr std::array<UInt128, kMaxDecimalDigits + 1> kPowersOfTen = [] {
    std::array<UInt128, kMaxDecimalDigits + 1> powers{};
    UInt128 power = 1;
    for (UInt128& one : powers) {
        one = power;
        power *= 10;
    }
    return powers;
}();

// Writes the digits of a number that end before "end"; returns where they begin. At least "digits" of them.
char* PrintBackwards(UInt128 value, int digits, char* end) {
    char* at = end;
    constexpr uint64_t kChunk = 10000000000000000000u;  // 10^19
    while (value > UINT64_MAX) {
        auto low = static_cast<uint64_t>(value % kChunk);
        value /= kChunk;
        for (int i = 0; i < 19; i++, low /= 10) *--at = static_cast<char>('0' + low % 10);
    }
    for (auto rest = static_cast<uint64_t>(value); rest > 0; rest /= 10) *--at = static_cast<char>('0' + rest % 10);
    while (end - at < digits) *--at = '0';
    return at;
}

// A number as text: digits, sign and point in a buffer, and how many zeros follow.
struct Printed {
    std::array<char, kMostDigits + 2> buffer;
    const char* begin;
    size_t size;
    size_t zeros;

    Printed(const StoredNumeric& number, int scale) {
        const int shown = std::min(number.display_scale, scale);
        auto digits = number.value < 0 ? -static_cast<UInt128>(number.value) : static_cast<UInt128>(number.value);
        if (const UInt128 power = kPowersOfTen[static_cast<size_t>(scale - shown)]; power > 1) {
            const bool small = digits <= UINT64_MAX && power <= UINT64_MAX;  // which is much faster
            digits = small ? static_cast<uint64_t>(digits) / static_cast<uint64_t>(power) : digits / power;
        }
        char* const end = buffer.data() + buffer.size();
        char* at = PrintBackwards(digits, shown + 1, end);
        if (number.display_scale > 0) {
            const auto before = static_cast<size_t>(end - at - shown);
            std::memmove(at - 1, at, before);
            at--;
            at[before] = '.';
        }
        if (number.value < 0) *--at = '-';
        begin = at;
        size = static_cast<size_t>(end - at);
        zeros = static_cast<size_t>(number.display_scale - shown);
    }
};

void JoinNumerics(duckdb::DataChunk& args, duckdb::ExpressionState&, duckdb::Vector& result) {
    const int scale = duckdb::DecimalType::GetScale(args.data[0].GetType());
    duckdb::UnifiedVectorFormat values, scales;
    args.data[0].ToUnifiedFormat(values);
    args.data[1].ToUnifiedFormat(scales);
    const auto* value = duckdb::UnifiedVectorFormat::GetData<duckdb::hugeint_t>(values);
    const auto* display = duckdb::UnifiedVectorFormat::GetData<int32_t>(scales);
    const bool constant = args.AllConstant();
    const duckdb::idx_t count = constant ? 1 : args.size();
    result.SetVectorType(duckdb::VectorType::FLAT_VECTOR);
    auto* texts = reinterpret_cast<duckdb::string_t*>(duckdb::FlatVector::GetDataMutable(result));
    for (duckdb::idx_t row = 0; row < count; row++) {
        const auto at = values.sel->get_index(row);
        if (!values.validity.RowIsValid(at)) {
            duckdb::FlatVector::SetNull(result, row, true);
            continue;
        }
        const auto scale_at = scales.sel->get_index(row);
        const int shown = scales.validity.RowIsValid(scale_at) ? display[scale_at] : scale;
        if (shown < 0 || shown > kMostDisplayScale) {
            ThrowSqlError(sqlstate::kDataCorrupted, "a stored numeric has display scale " + std::to_string(shown));
        }
        const Printed printed({static_cast<Int128>(value[at].upper) << 64 | value[at].lower, shown}, scale);
        duckdb::string_t text = duckdb::StringVector::EmptyString(result, printed.size + printed.zeros);
        std::memcpy(text.GetDataWriteable(), printed.begin, printed.size);
        std::memset(text.GetDataWriteable() + printed.size, '0', printed.zeros);
        text.Finalize();
        texts[row] = text;
    }
    if (constant) result.SetVectorType(duckdb::VectorType::CONSTANT_VECTOR);
}

// Any scale, but always 16 bytes.
void ResolveJoin(duckdb::ResolveScalarFunctionTypesInput& input) {
    const uint8_t scale = duckdb::DecimalType::GetScale(input.GetArgumentType(0));
    input.GetBoundFunction().GetArguments()[0] = duckdb::LogicalType::DECIMAL(kMaxDecimalDigits, scale);
}

}  // namespace

std::vector<MirrorColumn> FileColumns(const std::vector<MirrorColumn>& columns) {
    std::vector<MirrorColumn> stored = columns;
    std::set<std::string> names;
    for (const MirrorColumn& column : columns) names.insert(column.name);
    for (size_t i = 0; i < columns.size(); i++) {
        if (!columns[i].numeric_scale) continue;
        stored[i].type = {TypeKind::kDecimal, kMaxDecimalDigits, *columns[i].numeric_scale};
        stored[i].numeric_scale.reset();
        MirrorColumn& scale = stored.emplace_back();
        scale.id = columns[i].id + kScaleFieldOffset;
        scale.type = {TypeKind::kInt32};
        scale.name = columns[i].name + "$scale";
        while (!names.insert(scale.name).second) scale.name += "_";
    }
    return stored;
}

std::string StoredColumnSql(const MirrorColumn& column) {
    const std::string name = EngineColumnName(column.id);
    if (!column.numeric_scale) return name;
    return "ivy_stored_numeric(" + name + ", " + EngineColumnName(column.id + kScaleFieldOffset) + ")";
}

std::optional<StoredNumeric> SplitNumeric(std::string_view text, int scale) {
    const bool negative = text.starts_with('-');
    if (negative) text.remove_prefix(1);
    const size_t point = std::min(text.find('.'), text.size());
    const std::string_view before = text.substr(0, point);
    const std::string_view after = text.substr(std::min(point + 1, text.size()));
    const size_t kept = std::min(after.size(), static_cast<size_t>(scale));
    if (after.find_first_not_of('0', kept) != std::string_view::npos) return {};
    UInt128 value = 0;
    for (const std::string_view part : {before, after.substr(0, kept)}) {
        for (const char c : part) {
            if (c < '0' || c > '9' || value >= kPowersOfTen[kMaxDecimalDigits - 1]) return {};
            value = value * 10 + static_cast<UInt128>(c - '0');
        }
    }
    const auto missing = static_cast<size_t>(scale) - kept;
    if (text.empty() || value >= kPowersOfTen[kMaxDecimalDigits - missing]) return {};
    value *= kPowersOfTen[missing];
    return StoredNumeric{negative ? -static_cast<Int128>(value) : static_cast<Int128>(value),
                         static_cast<int>(after.size())};
}

std::string JoinNumeric(const StoredNumeric& number, int scale) {
    const Printed printed(number, scale);
    return std::string(printed.begin, printed.size) + std::string(printed.zeros, '0');
}

void SplitNumerics(const duckdb::Vector& texts, duckdb::idx_t count, int scale, duckdb::Vector* values,
                   duckdb::Vector* display_scales) {
    duckdb::UnifiedVectorFormat format;
    texts.ToUnifiedFormat(format);
    const auto* text = duckdb::UnifiedVectorFormat::GetData<duckdb::string_t>(format);
    auto* value = reinterpret_cast<duckdb::hugeint_t*>(duckdb::FlatVector::GetDataMutable(*values));
    auto* display = reinterpret_cast<int32_t*>(duckdb::FlatVector::GetDataMutable(*display_scales));
    for (duckdb::idx_t row = 0; row < count; row++) {
        const auto at = format.sel->get_index(row);
        if (!format.validity.RowIsValid(at)) {
            duckdb::FlatVector::SetNull(*values, row, true);
            duckdb::FlatVector::SetNull(*display_scales, row, true);
            continue;
        }
        const std::string_view digits(text[at].GetData(), text[at].GetSize());
        const std::optional<StoredNumeric> number = SplitNumeric(digits, scale);
        if (!number) {
            ThrowSqlError(sqlstate::kInternalError, "a numeric of " + std::to_string(digits.size()) +
                                                        " digits does not fit decimal(38," + std::to_string(scale) +
                                                        ")");
        }
        value[row] = {static_cast<int64_t>(number->value >> 64), static_cast<uint64_t>(number->value)};
        display[row] = number->display_scale;
        if (number->display_scale == scale) duckdb::FlatVector::SetNull(*display_scales, row, true);
    }
}

void AddSortDecimals(const std::vector<MirrorColumn>& columns, duckdb::vector<duckdb::LogicalType>* types,
                     std::vector<size_t>* keys) {
    for (size_t& key : *keys) {
        const auto scale = columns[key].numeric_scale;
        if (!scale) continue;
        key = types->size();
        types->push_back(duckdb::LogicalType::DECIMAL(kMaxDecimalDigits, *scale));
    }
}

void FillSortDecimals(const std::vector<MirrorColumn>& columns, const std::vector<size_t>& keys, duckdb::idx_t count,
                      size_t first, duckdb::DataChunk* rows) {
    for (const size_t key : keys) {
        const auto scale = columns[key].numeric_scale;
        if (!scale) continue;
        duckdb::Vector values(rows->data[first].GetType(), count);
        duckdb::Vector display_scales(duckdb::LogicalType::INTEGER, count);
        SplitNumerics(rows->data[key], count, *scale, &values, &display_scales);
        rows->data[first++].Reference(values);
    }
}

void RegisterStoredNumeric(duckdb::ExtensionLoader& loader) {
    duckdb::ScalarFunction function(duckdb::Identifier("ivy_stored_numeric"),
                                    {duckdb::LogicalTypeId::DECIMAL, duckdb::LogicalType::INTEGER},
                                    duckdb::LogicalType::VARCHAR, JoinNumerics);
    function.SetResolveTypesCallback(ResolveJoin);
    function.SetNullHandling(duckdb::FunctionNullHandling::SPECIAL_HANDLING);  // a display scale may be NULL
    function.SetFallible();
    loader.RegisterFunction(std::move(function));
}

}  // namespace ivy::engine
