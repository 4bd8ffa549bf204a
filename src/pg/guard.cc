// SPDX-License-Identifier: Apache-2.0
// Guard: copying errors into Postgres's memory and raising them.
#include "pg/guard.h"

namespace ivy::pg {

namespace {

// A copy in the current context, or null when memory is short. MCXT_ALLOC_NO_OOM makes palloc return instead of jump.
const char* TryCopy(std::string_view text) noexcept {
    if (text.size() >= MaxAllocSize) text = text.substr(0, 8192);
    auto* copy = static_cast<char*>(palloc_extended(text.size() + 1, MCXT_ALLOC_NO_OOM));
    if (!copy) return nullptr;
    std::memcpy(copy, text.data(), text.size());
    copy[text.size()] = '\0';
    return copy;
}

void SetState(CapturedError* out, std::string_view sqlstate) noexcept {
    if (sqlstate.size() != 5) sqlstate = sqlstate::kInternalError;
    std::memcpy(out->sqlstate, sqlstate.data(), 5);
    out->sqlstate[5] = '\0';
}

}  // namespace

CapturedError CaptureError(const Error& error) noexcept {
    CapturedError out{};
    SetState(&out, error.sqlstate);
    out.message = TryCopy(error.message);
    if (!error.detail.empty()) out.detail = TryCopy(error.detail);
    if (!error.hint.empty()) out.hint = TryCopy(error.hint);
    return out;
}

CapturedError CaptureText(const char* sqlstate, const char* message) noexcept {
    CapturedError out{};
    SetState(&out, sqlstate);
    out.message = TryCopy(message);
    return out;
}

void ReportCaptured(int elevel, const CapturedError& error) {
    const char* s = error.sqlstate;
    ereport(elevel, (errcode(MAKE_SQLSTATE(s[0], s[1], s[2], s[3], s[4])),
                     errmsg_internal("%s", error.message ? error.message : "out of memory"),
                     error.detail ? errdetail_internal("%s", error.detail) : 0,
                     error.hint ? errhint_internal("%s", error.hint) : 0));
}

void RaiseCaptured(const CapturedError& error) {
    ReportCaptured(ERROR, error);
    pg_unreachable();
}

}  // namespace ivy::pg
