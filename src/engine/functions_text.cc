// SPDX-License-Identifier: Apache-2.0
//
// Functions of text by code points, as the server counts them: DuckDB's own count grapheme clusters in places, or differ for
// positions before the first character, empty arguments and limits.
#include <duckdb.hpp>

#include <duckdb/main/extension/extension_loader.hpp>

#include <algorithm>
#include <string_view>
#include <vector>

#include "engine/error_map.h"
#include "engine/functions.h"

namespace ivy::engine {
namespace {

using duckdb::LogicalType;
using duckdb::string_t;

constexpr int64_t kMaxBytes = 1073741819;  // of a value in the server
constexpr char kSubstringError[] = "22011";

std::string_view View(const string_t& text) { return {text.GetData(), text.GetSize()}; }
string_t Write(duckdb::Vector& result, std::string_view text) {
    return duckdb::StringVector::AddString(result, text.data(), text.size());
}

bool IsContinuation(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

int64_t CountCharacters(std::string_view text) {
    return std::count_if(text.begin(), text.end(), [](char c) { return !IsContinuation(c); });
}

// The byte at which character "index" begins, or the size.
size_t ByteOf(std::string_view text, int64_t index) {
    size_t at = 0;
    for (; at < text.size() && index > 0; index--) {
        at++;
        while (at < text.size() && IsContinuation(text[at])) at++;
    }
    return at;
}

// The size in bytes of the character at "at".
size_t CharacterSize(std::string_view text, size_t at) {
    size_t end = at + 1;
    while (end < text.size() && IsContinuation(text[end])) end++;
    return end - at;
}

// Characters from "first" (0 is the first one, may be negative) up to "end".
std::string_view Slice(std::string_view text, int64_t first, int64_t end) {
    first = std::max<int64_t>(first, 0);
    if (end <= first) return {};
    const size_t begin = ByteOf(text, first);
    return text.substr(begin, ByteOf(text.substr(begin), end - first));
}

std::string_view Substring(std::string_view text, int32_t start, int32_t length) {
    if (length < 0) ThrowSqlError(kSubstringError, "negative substring length not allowed");
    return Slice(text, int64_t{start} - 1, int64_t{start} - 1 + length);
}

std::string_view Left(std::string_view text, int32_t count) {
    return Slice(text, 0, count >= 0 ? count : CountCharacters(text) + count);
}

std::string_view Right(std::string_view text, int32_t count) {
    const int64_t size = CountCharacters(text);
    return Slice(text, count >= 0 ? size - count : -int64_t{count}, size);
}

std::string Padded(std::string_view text, int32_t length, std::string_view fill, bool at_left) {
    length = std::max(length, 0);
    const int64_t size = CountCharacters(text);
    if (size >= length || fill.empty()) return std::string(Slice(text, 0, length));
    if (int64_t{length} * 4 > kMaxBytes) ThrowSqlError(sqlstate::kProgramLimit, "requested length too large");
    std::string padding;
    size_t at = 0;
    for (int64_t i = size; i < length; i++) {
        const size_t bytes = CharacterSize(fill, at);
        padding += fill.substr(at, bytes);
        at = at + bytes == fill.size() ? 0 : at + bytes;
    }
    return at_left ? padding + std::string(text) : std::string(text) + padding;
}

std::string Repeated(std::string_view text, int32_t count) {
    std::string result;
    if (count <= 0) return result;
    if (static_cast<int64_t>(text.size()) * count > kMaxBytes) {
        ThrowSqlError(sqlstate::kProgramLimit, "requested length too large");
    }
    result.reserve(text.size() * static_cast<size_t>(count));
    for (int32_t i = 0; i < count; i++) result += text;
    return result;
}

std::string Reversed(std::string_view text) {
    std::string result;
    result.reserve(text.size());
    for (size_t end = text.size(); end > 0;) {
        size_t begin = end - 1;
        while (begin > 0 && IsContinuation(text[begin])) begin--;
        result += text.substr(begin, end - begin);
        end = begin;
    }
    return result;
}

std::string_view SplitPart(std::string_view text, std::string_view separator, int32_t field) {
    if (field == 0) ThrowSqlError(sqlstate::kInvalidParameter, "field position must not be zero");
    if (text.empty()) return {};
    if (separator.empty()) return field == 1 || field == -1 ? text : std::string_view{};
    if (field < 0) {
        // Fields are found from the left, whatever the sign.
        int64_t fields = 1;
        for (size_t at = text.find(separator); at != text.npos; at = text.find(separator, at + separator.size()))
            fields++;
        if (fields + field + 1 < 1) return {};
        field = static_cast<int32_t>(fields + field + 1);
    }
    size_t begin = 0;
    for (int32_t i = 1; i < field; i++) {
        const size_t at = text.find(separator, begin);
        if (at == text.npos) return {};
        begin = at + separator.size();
    }
    return text.substr(begin, text.find(separator, begin) - begin);
}

std::string Translated(std::string_view text, std::string_view from, std::string_view to) {
    std::vector<std::string_view> sources;
    std::vector<std::string_view> targets;
    for (size_t at = 0; at < from.size(); at += sources.back().size())
        sources.push_back(from.substr(at, CharacterSize(from, at)));
    for (size_t at = 0; at < to.size(); at += targets.back().size())
        targets.push_back(to.substr(at, CharacterSize(to, at)));
    std::string result;
    for (size_t at = 0; at < text.size();) {
        const std::string_view character = text.substr(at, CharacterSize(text, at));
        const auto found = static_cast<size_t>(std::find(sources.begin(), sources.end(), character) - sources.begin());
        if (found == sources.size()) {
            result += character;
        } else if (found < targets.size()) {
            result += targets[found];
        }
        at += character.size();
    }
    return result;
}

std::string Overlaid(std::string_view text, std::string_view replacement, int32_t start, int32_t length) {
    if (start <= 0) ThrowSqlError(kSubstringError, "negative substring length not allowed");
    int32_t after;
    if (__builtin_add_overflow(start, length, &after))
        ThrowSqlError(sqlstate::kNumericOutOfRange, "integer out of range");
    return std::string(Slice(text, 0, int64_t{start} - 1)) + std::string(replacement) +
           std::string(Slice(text, int64_t{after} - 1, CountCharacters(text)));
}

int32_t CodePoint(std::string_view text) {
    if (text.empty()) return 0;
    const auto byte = [&text](size_t i) { return static_cast<unsigned char>(text[i]); };
    const size_t size = CharacterSize(text, 0);
    switch (size) {
        case 1: return byte(0);
        case 2: return (byte(0) & 0x1f) << 6 | (byte(1) & 0x3f);
        case 3: return (byte(0) & 0x0f) << 12 | (byte(1) & 0x3f) << 6 | (byte(2) & 0x3f);
        default: return (byte(0) & 0x07) << 18 | (byte(1) & 0x3f) << 12 | (byte(2) & 0x3f) << 6 | (byte(3) & 0x3f);
    }
}

std::string Character(int32_t code) {
    if (code < 0) ThrowSqlError(sqlstate::kInvalidParameter, "character number must be positive");
    if (code == 0) ThrowSqlError(sqlstate::kProgramLimit, "null character not permitted");
    if (code > 0x10ffff) ThrowSqlError(sqlstate::kProgramLimit, "requested character too large for encoding");
    if (code >= 0xd800 && code <= 0xdfff)
        ThrowSqlError(sqlstate::kProgramLimit, "requested character not valid for encoding");
    const auto tail = [code](int shift) { return static_cast<char>(0x80 | (code >> shift & 0x3f)); };
    if (code < 0x80) return {static_cast<char>(code)};
    if (code < 0x800) return {static_cast<char>(0xc0 | code >> 6), tail(0)};
    if (code < 0x10000) return {static_cast<char>(0xe0 | code >> 12), tail(6), tail(0)};
    return {static_cast<char>(0xf0 | code >> 18), tail(12), tail(6), tail(0)};
}

template <typename T>
std::string Hexadecimal(T value) {
    char text[17];
    std::snprintf(text, sizeof text, "%llx",
                  static_cast<unsigned long long>(static_cast<std::make_unsigned_t<T>>(value)));
    return text;
}

// --- vectors -------------------------------------------------------------------------------------------------------------

template <typename Function>
void Add(duckdb::ExtensionLoader& loader, const char* name, duckdb::vector<LogicalType> arguments,
         const LogicalType& type, Function function) {
    duckdb::ScalarFunction scalar(duckdb::Identifier(name), std::move(arguments), type, std::move(function));
    scalar.SetFallible();
    loader.RegisterFunction(std::move(scalar));
}

using Args = duckdb::DataChunk&;
using State = duckdb::ExpressionState&;
using Result = duckdb::Vector&;

}  // namespace

void RegisterText(duckdb::ExtensionLoader& loader) {
    const LogicalType text = LogicalType::VARCHAR;
    const LogicalType integer = LogicalType::INTEGER;
    Add(loader, "ivy_substr", {text, integer, integer}, text, [](Args args, State, Result result) {
        duckdb::TernaryExecutor::Execute<string_t, int32_t, int32_t, string_t>(
            args.data[0], args.data[1], args.data[2], result, [&](string_t a, int32_t start, int32_t length) {
                return Write(result, Substring(View(a), start, length));
            });
    });
    Add(loader, "ivy_substr_from", {text, integer}, text, [](Args args, State, Result result) {
        duckdb::BinaryExecutor::Execute<string_t, int32_t, string_t>(
            args.data[0], args.data[1], result, args.size(), [&](string_t a, int32_t start) {
                return Write(result, Slice(View(a), int64_t{start} - 1, static_cast<int64_t>(a.GetSize()) + 1));
            });
    });
    Add(loader, "ivy_left", {text, integer}, text, [](Args args, State, Result result) {
        duckdb::BinaryExecutor::Execute<string_t, int32_t, string_t>(
            args.data[0], args.data[1], result, args.size(),
            [&](string_t a, int32_t count) { return Write(result, Left(View(a), count)); });
    });
    Add(loader, "ivy_right", {text, integer}, text, [](Args args, State, Result result) {
        duckdb::BinaryExecutor::Execute<string_t, int32_t, string_t>(
            args.data[0], args.data[1], result, args.size(),
            [&](string_t a, int32_t count) { return Write(result, Right(View(a), count)); });
    });
    Add(loader, "ivy_repeat", {text, integer}, text, [](Args args, State, Result result) {
        duckdb::BinaryExecutor::Execute<string_t, int32_t, string_t>(
            args.data[0], args.data[1], result, args.size(),
            [&](string_t a, int32_t count) { return Write(result, Repeated(View(a), count)); });
    });
    Add(loader, "ivy_lpad", {text, integer, text}, text, [](Args args, State, Result result) {
        duckdb::TernaryExecutor::Execute<string_t, int32_t, string_t, string_t>(
            args.data[0], args.data[1], args.data[2], result, [&](string_t a, int32_t length, string_t fill) {
                return Write(result, Padded(View(a), length, View(fill), true));
            });
    });
    Add(loader, "ivy_rpad", {text, integer, text}, text, [](Args args, State, Result result) {
        duckdb::TernaryExecutor::Execute<string_t, int32_t, string_t, string_t>(
            args.data[0], args.data[1], args.data[2], result, [&](string_t a, int32_t length, string_t fill) {
                return Write(result, Padded(View(a), length, View(fill), false));
            });
    });
    Add(loader, "ivy_reverse", {text}, text, [](Args args, State, Result result) {
        duckdb::UnaryExecutor::Execute<string_t, string_t>(
            args.data[0], result, args.size(), [&](string_t a) { return Write(result, Reversed(View(a))); });
    });
    Add(loader, "ivy_split_part", {text, text, integer}, text, [](Args args, State, Result result) {
        duckdb::TernaryExecutor::Execute<string_t, string_t, int32_t, string_t>(
            args.data[0], args.data[1], args.data[2], result, [&](string_t a, string_t separator, int32_t field) {
                return Write(result, SplitPart(View(a), View(separator), field));
            });
    });
    Add(loader, "ivy_translate", {text, text, text}, text, [](Args args, State, Result result) {
        duckdb::TernaryExecutor::Execute<string_t, string_t, string_t, string_t>(
            args.data[0], args.data[1], args.data[2], result, [&](string_t a, string_t from, string_t to) {
                return Write(result, Translated(View(a), View(from), View(to)));
            });
    });
    Add(loader, "ivy_overlay", {text, text, integer}, text, [](Args args, State, Result result) {
        duckdb::TernaryExecutor::Execute<string_t, string_t, int32_t, string_t>(
            args.data[0], args.data[1], args.data[2], result, [&](string_t a, string_t replacement, int32_t start) {
                const auto length = static_cast<int32_t>(CountCharacters(View(replacement)));
                return Write(result, Overlaid(View(a), View(replacement), start, length));
            });
    });
    Add(loader, "ivy_ascii", {text}, integer, [](Args args, State, Result result) {
        duckdb::UnaryExecutor::Execute<string_t, int32_t>(args.data[0], result, args.size(),
                                                          [](string_t a) { return CodePoint(View(a)); });
    });
    Add(loader, "ivy_chr", {integer}, text, [](Args args, State, Result result) {
        duckdb::UnaryExecutor::Execute<int32_t, string_t>(args.data[0], result, args.size(),
                                                          [&](int32_t code) { return Write(result, Character(code)); });
    });
    Add(loader, "ivy_hex4", {integer}, text, [](Args args, State, Result result) {
        duckdb::UnaryExecutor::Execute<int32_t, string_t>(args.data[0], result, args.size(),
                                                          [&](int32_t a) { return Write(result, Hexadecimal(a)); });
    });
    Add(loader, "ivy_hex8", {LogicalType::BIGINT}, text, [](Args args, State, Result result) {
        duckdb::UnaryExecutor::Execute<int64_t, string_t>(args.data[0], result, args.size(),
                                                          [&](int64_t a) { return Write(result, Hexadecimal(a)); });
    });
}

}  // namespace ivy::engine
