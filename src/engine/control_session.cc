// SPDX-License-Identifier: Apache-2.0
// ControlSession: every command gets one reply, a text or an error; only a damaged message ends the connection.
#include "engine/control_session.h"

#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/fault_point.h"
#include "engine/ingest.h"
#include "engine/instance.h"
#include "engine/mirrors.h"
#include "engine/watcher.h"

namespace ivy::engine {

namespace {
constexpr std::string_view kFaultCommand = "fault ";  // tests only: then a specification, see base/fault_point.h
}

void ControlSession::Serve() {
    Watcher::Watch watch(services_.watcher, channel_.fd(), [this] { hung_up_ = true; });
    Frame frame;
    while (true) {
        const Result<bool> more = channel_.Read(&frame);
        if (more.ok() && !*more) return;
        Status damaged = more.status();
        if (more.ok() && frame.type != static_cast<uint8_t>(MessageType::kControl)) {
            damaged = Status::Make(sqlstate::kProtocolViolation,
                                   "unexpected message " + std::to_string(frame.type) + " on a control connection");
        }
        const Result<Control> control = damaged.ok() ? Control::Read(frame) : Result<Control>(damaged);
        if (!control.ok()) {
            (void)channel_.SendError(control.error());
            return;
        }
        const Result<std::string> reply = Answer(*control);
        Status sent;
        if (reply.ok()) {
            Bytes frames;
            AppendFrame(static_cast<uint8_t>(MessageType::kControlReply), Bytes(reply->begin(), reply->end()), &frames);
            sent = channel_.Send(frames);
        } else {
            sent = channel_.SendError(reply.error());
        }
        if (!sent.ok()) return;
    }
}

Result<std::string> ControlSession::Answer(const Control& control) {
    if (control.command == "status") return StatusJson();
    if (control.command == "flush") {
        IVY_RETURN_IF_ERROR(services_.ingest->Flush(control.mirror, control.lsn, [this] { return hung_up_.load(); }));
        return std::string();
    }
    if (control.command == "optimize") {
        IVY_RETURN_IF_ERROR(
            services_.ingest->Optimize(control.mirror, control.lsn, [this] { return hung_up_.load(); }));
        return std::string();
    }
    if (control.command.starts_with(kFaultCommand)) {
        IVY_RETURN_IF_ERROR(SetFaults(control.command.substr(kFaultCommand.size())));
        return std::string();
    }
    return Status::Make(sqlstate::kProtocolViolation, "unknown control command \"" + control.command + "\"");
}

std::string ControlSession::StatusJson() {
    nlohmann::json status = services_.mirrors->StatusJson();
    status["pid"] = getpid();
    status["database"] = services_.database;
    status["protocol_version"] = kProtocolVersion;
    status["connections"] = services_.connections.load();
    status["queries_running"] = services_.queries_running.load();
    status["queries_done"] = services_.queries_done.load();
    status["queries_failed"] = services_.queries_failed.load();
    const Instance::Usage usage = services_.instance->GetUsage();
    status["duckdb_version"] = usage.version;
    status["threads"] = usage.threads;
    status["memory_used"] = usage.memory_used;
    status["memory_limit"] = usage.memory_limit;
    status["temp_used"] = usage.temp_used;
    return status.dump();
}

}  // namespace ivy::engine
