// SPDX-License-Identifier: Apache-2.0
//
// From DuckDB's exceptions to our errors with SQLSTATEs, and back for the SQL functions of our own.
#pragma once

#include <exception>
#include <string>

#include "base/status.h"

namespace duckdb {
class ErrorData;
}

namespace ivy::engine {

// The SQLSTATEs that Postgres raises where a query's values are at fault.
namespace sqlstate {
using namespace ivy::sqlstate;
inline constexpr char kNumericOutOfRange[] = "22003";
inline constexpr char kDatetimeOverflow[] = "22008";
inline constexpr char kInvalidDatetime[] = "22007";
inline constexpr char kDivisionByZero[] = "22012";
inline constexpr char kInvalidText[] = "22P02";
inline constexpr char kDataException[] = "22000";
inline constexpr char kInsufficientPrivilege[] = "42501";
inline constexpr char kProgramLimit[] = "54000";
}  // namespace sqlstate

// An SQLSTATE for every kind of DuckDB error, and its message in Postgres's style (first line; more becomes detail).
Error ErrorFromDuck(const duckdb::ErrorData& data);

// For catch blocks around DuckDB calls: its exceptions and the standard library's (std::bad_alloc: out of memory).
Status StatusFromException(const std::exception& exception);

// Throws a DuckDB exception that ErrorFromDuck turns into exactly this error.
[[noreturn]] void ThrowSqlError(const char* sqlstate, const std::string& message, const std::string& detail = "",
                                const std::string& hint = "");

}  // namespace ivy::engine
