// SPDX-License-Identifier: Apache-2.0
//
// Status and Result: how our libraries report failure. Nothing below the engine's DuckDB code throws on purpose.
//
// An error carries what Postgres shows a user (SQLSTATE, message, detail, hint), so that it can cross the engine's
// socket and become an ereport without losing anything on the way.
#pragma once

#include <cassert>
#include <optional>
#include <string>
#include <utility>

namespace ivy {

// The SQLSTATEs that our own libraries raise. DuckDB's errors are mapped to these and others in engine/error_map.
namespace sqlstate {
inline constexpr char kInternalError[] = "XX000";
inline constexpr char kDataCorrupted[] = "XX001";
inline constexpr char kIoError[] = "58030";
inline constexpr char kUndefinedFile[] = "58P01";
inline constexpr char kDiskFull[] = "53100";
inline constexpr char kOutOfMemory[] = "53200";
inline constexpr char kQueryCanceled[] = "57014";
inline constexpr char kProtocolViolation[] = "08P01";
inline constexpr char kConnectionFailure[] = "08006";
inline constexpr char kFeatureNotSupported[] = "0A000";
inline constexpr char kInvalidParameter[] = "22023";
inline constexpr char kObjectNotInState[] = "55000";
}  // namespace sqlstate

struct Error {
    std::string sqlstate = sqlstate::kInternalError;  // five characters
    std::string message;                              // Postgres style: lower-case start, no final period
    std::string detail;                               // whole sentences, or empty
    std::string hint;                                 // whole sentences, or empty
};

// Success, or an Error. Cheap when it is success.
class [[nodiscard]] Status {
  public:
    Status() = default;
    Status(Error error) : error_(std::move(error)) {}  // NOLINT: implicit so that "return error" reads well

    static Status Ok() { return {}; }
    static Status Make(const char* sqlstate, std::string message, std::string detail = "", std::string hint = "") {
        return Error{sqlstate, std::move(message), std::move(detail), std::move(hint)};
    }
    static Status Internal(std::string message) { return Make(sqlstate::kInternalError, std::move(message)); }
    static Status Corrupt(std::string message) { return Make(sqlstate::kDataCorrupted, std::move(message)); }
    // From errno: disk full, missing file, or input/output error. "what" names the operation and the file.
    static Status FromErrno(const std::string& what, int error_number);

    bool ok() const { return !error_.has_value(); }
    const Error& error() const { return *error_; }

    // The same error with "context: " put before its message.
    Status Prepend(const std::string& context) const;

  private:
    std::optional<Error> error_;
};

// A T, or an Error. T need not be default-constructible.
template <typename T>
class [[nodiscard]] Result {
  public:
    Result(T value) : value_(std::move(value)) {}                                  // NOLINT: implicit
    Result(Status status) : status_(std::move(status)) { assert(!status_.ok()); }  // NOLINT: implicit
    Result(Error error) : status_(std::move(error)) {}                             // NOLINT: implicit

    bool ok() const { return status_.ok(); }
    const Status& status() const { return status_; }
    const Error& error() const { return status_.error(); }
    // REQUIRES: ok()
    T& value() & { return *value_; }
    const T& value() const& { return *value_; }
    T&& value() && { return *std::move(value_); }
    T* operator->() { return &*value_; }
    const T* operator->() const { return &*value_; }
    T& operator*() & { return *value_; }
    const T& operator*() const& { return *value_; }

  private:
    std::optional<T> value_;
    Status status_;
};

}  // namespace ivy

#define IVY_CONCAT_INNER(a, b) a##b
#define IVY_CONCAT(a, b) IVY_CONCAT_INNER(a, b)

// Returns the error of an expression of type Status from the enclosing function.
#define IVY_RETURN_IF_ERROR(expression)            \
    do {                                           \
        ::ivy::Status ivy_status_ = (expression);  \
        if (!ivy_status_.ok()) return ivy_status_; \
    } while (false)

// IVY_ASSIGN_OR_RETURN(auto file, Open(path)): declares or assigns the value, or returns the error.
#define IVY_ASSIGN_OR_RETURN(target, expression) \
    IVY_ASSIGN_OR_RETURN_INNER(IVY_CONCAT(ivy_result_, __LINE__), target, expression)
#define IVY_ASSIGN_OR_RETURN_INNER(result, target, expression) \
    auto result = (expression);                                \
    if (!result.ok()) return result.status();                  \
    target = std::move(result).value()
