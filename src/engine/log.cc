// SPDX-License-Identifier: Apache-2.0
// Log: one write(2) a message.
#include "engine/log.h"

#include <unistd.h>

#include <algorithm>
#include <string>

namespace ivy::engine {
namespace {

std::string& Prefix() {
    static std::string prefix = "ivy_engine";
    return prefix;
}

const char* Name(LogLevel level) {
    switch (level) {
        case LogLevel::kDebug: return "DEBUG";
        case LogLevel::kLog: return "LOG";
        case LogLevel::kWarning: return "WARNING";
        case LogLevel::kFatal: return "FATAL";
    }
    return "LOG";
}

}  // namespace

void SetLogPrefix(std::string_view prefix) { Prefix() = prefix; }

void Log(LogLevel level, std::string_view message) {
    std::string line = Prefix() + ": " + Name(level) + ":  ";
    line += message;
    std::replace(line.begin(), line.end(), '\n', ' ');
    line += '\n';
    // Nobody is left to tell if this fails.
    [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, line.data(), line.size());
}

void LogError(LogLevel level, std::string_view context, const Error& error) {
    std::string message(context);
    message += ": " + error.message + " (" + error.sqlstate + ")";
    if (!error.detail.empty()) message += " " + error.detail;
    Log(level, message);
}

}  // namespace ivy::engine
