// SPDX-License-Identifier: Apache-2.0
//
// Guard and RaiseStatus: the wall between C++ exceptions and Postgres errors.
//
// Postgres reports an error by siglongjmp to the innermost PG_TRY or to the main loop. It jumps over every frame in
// between and runs no destructor in them. C++ reports an error by unwinding frame by frame, and ends the process when
// an exception arrives in a frame that it can't unwind, as Postgres's C frames are; a backend that ends like that makes
// the postmaster restart the whole server. So two rules hold in every file that includes a server header:
//
//   1. No exception leaves C++. Calls that may throw (anything that allocates: std::string, std::vector, new, and all
//      of our libraries) run inside Guard, which catches whatever comes and reports it with ereport.
//   2. No longjmp crosses a frame with a live C++ object. Code between two calls of Guard is C in C++ clothing: palloc,
//      StringInfo, List, plain structs. Inside Guard's lambda nothing of Postgres is called that could raise an error.
//      C++ objects that must live longer (a connection, a parser's buffer) are made with new inside Guard, and owned by
//      something that Postgres cleans up after errors: a memory context through OwnObject below, or the process.
//
// The order of events in Guard is what makes it correct: the lambda's frame is unwound and its objects are gone, the
// error's texts have been copied into plain memory, the exception object itself is gone because the catch block has
// ended; only then ereport jumps. A copy that fails for lack of memory costs the text, never the error.
//
// An ivy::Error keeps SQLSTATE, message, detail and hint on its way. Guard knows four kinds of lambda:
//   returns void or a plain value   the value is returned
//   returns Status                  an error becomes an ereport
//   returns Result<plain value>     the value, or an ereport
// "Plain" means trivially destructible, so that the caller may hold the value across Postgres calls.
#pragma once

#include "pg/postgres_api.h"

#include <new>
#include <type_traits>

#include "base/status.h"

namespace ivy::pg {

// An error's texts in memory that Postgres frees (the current memory context), ready for ereport. Plain data.
struct CapturedError {
    char sqlstate[6];
    const char* message;
    const char* detail;  // null if none
    const char* hint;    // null if none
};

// Copies an error into the current memory context. Never throws and never longjmps.
CapturedError CaptureError(const Error& error) noexcept;
CapturedError CaptureText(const char* sqlstate, const char* message) noexcept;

// ereport(elevel, ...) with all parts of the error; returns if elevel < ERROR.
void ReportCaptured(int elevel, const CapturedError& error);
[[noreturn]] void RaiseCaptured(const CapturedError& error);

namespace internal {

template <typename T>
struct IsResult : std::false_type {};
template <typename T>
struct IsResult<Result<T>> : std::true_type {
    using Value = T;
};

}  // namespace internal

template <typename F>
auto Guard(F&& body) {
    using Returned = std::invoke_result_t<F>;
    CapturedError captured;
    try {
        if constexpr (std::is_void_v<Returned>) {
            body();
            return;
        } else if constexpr (std::is_same_v<Returned, Status>) {
            const Status status = body();
            if (status.ok()) return;
            captured = CaptureError(status.error());
        } else if constexpr (internal::IsResult<Returned>::value) {
            using Value = typename internal::IsResult<Returned>::Value;
            static_assert(std::is_trivially_destructible_v<Value>, "a value that outlives Guard must be plain data");
            const Returned result = body();
            if (result.ok()) return static_cast<Value>(result.value());
            captured = CaptureError(result.error());
        } else {
            static_assert(std::is_trivially_destructible_v<Returned>, "a value that outlives Guard must be plain data");
            return body();
        }
    } catch (const std::bad_alloc&) {
        captured = CaptureText(sqlstate::kOutOfMemory, "out of memory");
    } catch (const std::exception& e) {
        captured = CaptureText(sqlstate::kInternalError, e.what());
    } catch (...) {
        captured = CaptureText(sqlstate::kInternalError, "unknown C++ exception");
    }
    RaiseCaptured(captured);
}

namespace internal {

template <typename T>
struct OwnedObject {
    T* object;
    MemoryContextCallback callback;
};

}  // namespace internal

// Makes a T that is deleted when "context" is reset or deleted, also after an error. T's destructor must not throw and
// must not call anything of Postgres that could.
template <typename T, typename... Args>
T* OwnObject(MemoryContext context, Args&&... args) {
    using Owned = internal::OwnedObject<T>;
    // The callback is registered before the object exists: nothing can fail between making and owning it.
    auto* owned = static_cast<Owned*>(MemoryContextAllocZero(context, sizeof(Owned)));
    owned->callback.arg = owned;
    owned->callback.func = [](void* arg) { delete static_cast<Owned*>(arg)->object; };
    MemoryContextRegisterResetCallback(context, &owned->callback);
    owned->object = Guard([&] { return new T(std::forward<Args>(args)...); });
    return owned->object;
}

}  // namespace ivy::pg
