// SPDX-License-Identifier: Apache-2.0
// Status: building errors from errno and adding context on their way up.
#include "base/status.h"

#include <cerrno>
#include <cstring>

namespace ivy {

Status Status::FromErrno(const std::string& what, int error_number) {
    const char* state = sqlstate::kIoError;
    if (error_number == ENOSPC || error_number == EDQUOT) state = sqlstate::kDiskFull;
    if (error_number == ENOENT) state = sqlstate::kUndefinedFile;
    if (error_number == ENOMEM) state = sqlstate::kOutOfMemory;
    return Make(state, what + ": " + std::strerror(error_number));
}

Status Status::Prepend(const std::string& context) const {
    if (ok()) return *this;
    Error copy = *error_;
    copy.message = context + ": " + copy.message;
    return copy;
}

}  // namespace ivy
