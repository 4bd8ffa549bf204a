// SPDX-License-Identifier: Apache-2.0
// error_map: DuckDB knows some forty kinds of errors; what they mean to a Postgres user is decided here.
#include "engine/error_map.h"

#include <duckdb.hpp>

#include <cctype>
#include <new>

#include "engine/mirror_storage.h"

namespace ivy::engine {
namespace {

// Key in an exception's extra information under which our own functions leave their SQLSTATE.
constexpr char kSqlstateKey[] = "ivy_sqlstate";
constexpr char kDetailKey[] = "ivy_detail", kHintKey[] = "ivy_hint";

// DuckDB reports values that do not parse and values out of range as the same kind; only the text tells them apart.
const char* ConversionState(const std::string& message) {
    const auto has = [&message](const char* part) { return message.find(part) != std::string::npos; };
    if (has("out of range") || has("doesn't fit") || has("overflow") || has("outside of range")) {
        const bool is_time = has("timestamp") || has("TIMESTAMP") || has("date") || has("DATE") || has("interval");
        return is_time ? sqlstate::kDatetimeOverflow : sqlstate::kNumericOutOfRange;
    }
    if (has("timestamp") || has("date field") || has("time field") || has("interval")) {
        return sqlstate::kInvalidDatetime;
    }
    return sqlstate::kInvalidText;
}

// Files and servers, by what their errors say.
const char* IoState(const std::string& message) {
    const auto has = [&message](const char* part) { return message.find(part) != std::string::npos; };
    if (has("No space left")) return sqlstate::kDiskFull;
    if (has("No files found") || has("No such file") || has("HTTP 404")) return sqlstate::kUndefinedFile;
    if (has("HTTP 403") || has("HTTP 401") || has("Permission denied")) return sqlstate::kInsufficientPrivilege;
    for (const char* part :
         {"ould not resolve", "ould not connect", "ould not establish connection", "onnection error"}) {
        if (has(part)) return sqlstate::kConnectionFailure;
    }
    return sqlstate::kIoError;
}

const char* StateOf(duckdb::ExceptionType type, const std::string& message) {
    using duckdb::ExceptionType;
    switch (type) {
        case ExceptionType::OUT_OF_RANGE:
            return message.find("imestamp") != std::string::npos || message.find("ate ") != std::string::npos
                       ? sqlstate::kDatetimeOverflow
                       : sqlstate::kNumericOutOfRange;
        case ExceptionType::DECIMAL: return sqlstate::kNumericOutOfRange;
        case ExceptionType::CONVERSION: return ConversionState(message);
        case ExceptionType::DIVIDE_BY_ZERO: return sqlstate::kDivisionByZero;
        case ExceptionType::INVALID_INPUT:
            return message.starts_with("Division by zero") ? sqlstate::kDivisionByZero : sqlstate::kDataException;
        case ExceptionType::OBJECT_SIZE: return sqlstate::kProgramLimit;
        case ExceptionType::OUT_OF_MEMORY:
            return message.find("max_temp_directory_size") != std::string::npos ? sqlstate::kDiskFull
                                                                                : sqlstate::kOutOfMemory;
        case ExceptionType::INTERRUPT: return sqlstate::kQueryCanceled;
        case ExceptionType::IO:
        case ExceptionType::HTTP:
        case ExceptionType::NETWORK: return IoState(message);
        case ExceptionType::DATA_CORRUPTION: return sqlstate::kDataCorrupted;
        case ExceptionType::NOT_IMPLEMENTED:
        case ExceptionType::MISSING_EXTENSION:
        case ExceptionType::AUTOLOAD: return sqlstate::kFeatureNotSupported;
        default:
            // httpfs has errors of its own for what a server sends.
            return message.find("partial file") != std::string::npos || message.find("HTTP ") != std::string::npos
                       ? IoState(message)
                       : sqlstate::kInternalError;
    }
}

// Longest line, and all lines, of a detail, in bytes: some errors show the whole line of a file.
constexpr size_t kMaxLine = 1000, kMaxDetail = 4000;

// The length of a text that is cut to at most "limit" bytes between characters of UTF-8.
size_t CutLength(const std::string& text, size_t limit) {
    if (text.size() <= limit) return text.size();
    while (limit > 0 && (static_cast<unsigned char>(text[limit]) & 0xc0) == 0x80) limit--;
    return limit;
}

std::string Shortened(const std::string& text) {
    std::string shorter;
    for (size_t begin = 0; begin < text.size() && shorter.size() < kMaxDetail;) {
        const size_t end = std::min(text.find('\n', begin), text.size());
        const std::string line = text.substr(begin, std::min(end - begin, kMaxLine + 4));
        const size_t length = CutLength(line, kMaxLine);
        shorter += line.substr(0, length);
        if (length < line.size()) shorter += "...";
        if (end < text.size()) shorter += '\n';
        begin = end + 1;
    }
    while (!shorter.empty() && shorter.back() == '\n') shorter.pop_back();
    return shorter;
}

}  // namespace

Error ErrorFromDuck(const duckdb::ErrorData& data) {
    Error error;
    std::string message = TrueNames(data.RawMessage());
    const auto own = data.ExtraInfo().find(kSqlstateKey);
    error.sqlstate = own != data.ExtraInfo().end() ? own->second : StateOf(data.Type(), message);
    // The SQL that DuckDB points into is the engine's own, not the user's.
    if (const size_t pointer = message.find("\n\nLINE "); pointer != std::string::npos) message.resize(pointer);
    if (const size_t line = message.find('\n'); line != std::string::npos) {
        error.detail = message.substr(message.find_first_not_of('\n', line) == std::string::npos
                                          ? message.size()
                                          : message.find_first_not_of('\n', line));
        message.resize(line);
    }
    // Where in our own SQL it was: of no use to those who never see that.
    if (const size_t place = error.detail.find("LINE 1:"); place != std::string::npos) {
        error.detail.resize(place);
        while (!error.detail.empty() && error.detail.back() == '\n') error.detail.pop_back();
    }
    const auto text = [&data](const char* key) {
        const auto found = data.ExtraInfo().find(key);
        return found == data.ExtraInfo().end() ? std::string() : std::string(found->second);
    };
    if (std::string detail = text(kDetailKey); !detail.empty()) error.detail = std::move(detail);
    error.hint = text(kHintKey);
    if (own == data.ExtraInfo().end() && error.sqlstate == sqlstate::kOutOfMemory) {
        // What follows there are statements of DuckDB's for settings that are locked here.
        error.detail.clear();
        error.hint = "Raise \"duckdb.max_memory\", or lower \"duckdb.threads\".";
    }
    if (error.detail.find("unterminated quote") != std::string::npos) {
        error.hint = "A value whose line is longer than \"max_line_size\" is taken for one without an end.";
    }
    error.detail = Shortened(error.detail);
    message = Shortened(message);
    while (!message.empty() && (message.back() == '.' || message.back() == '!')) message.pop_back();
    // A lower-case start, unless the first word is all capitals or the message is ours.
    if (own == data.ExtraInfo().end() && message.size() > 1 && std::isupper(static_cast<unsigned char>(message[0])) &&
        !std::isupper(static_cast<unsigned char>(message[1]))) {
        message[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(message[0])));
    }
    error.message = message.empty() ? "DuckDB failed without a message" : std::move(message);
    return error;
}

Status StatusFromException(const std::exception& exception) {
    if (dynamic_cast<const std::bad_alloc*>(&exception)) {
        return Status::Make(sqlstate::kOutOfMemory, "out of memory in the columnar engine");
    }
    return ErrorFromDuck(duckdb::ErrorData(exception));
}

void ThrowSqlError(const char* sqlstate, const std::string& message, const std::string& detail,
                   const std::string& hint) {
    std::unordered_map<std::string, std::string> more{{kSqlstateKey, sqlstate}};
    if (!detail.empty()) more[kDetailKey] = detail;
    if (!hint.empty()) more[kHintKey] = hint;
    throw duckdb::Exception({more.begin(), more.end()}, duckdb::ExceptionType::OUT_OF_RANGE, message);
}

}  // namespace ivy::engine
