// SPDX-License-Identifier: Apache-2.0
//
// Log: lines on standard error, which is the server's log. Each message is one write, so that lines of several
// processes never mix.
#pragma once

#include <string_view>

#include "base/status.h"

namespace ivy::engine {

enum class LogLevel { kDebug, kLog, kWarning, kFatal };

// Sets what every line starts with, such as "ivy_engine[16384]". Call before the first thread starts.
void SetLogPrefix(std::string_view prefix);

// Writes one line; line ends inside "message" become spaces. Any thread.
void Log(LogLevel level, std::string_view message);

// "context: message (SQLSTATE)", with the detail.
void LogError(LogLevel level, std::string_view context, const Error& error);

}  // namespace ivy::engine
