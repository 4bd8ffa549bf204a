// SPDX-License-Identifier: Apache-2.0
// ControlSession: every command gets one reply, a text or an error; only a damaged message ends the connection.
#include "engine/control_session.h"

#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/fault_point.h"
#include "engine/duck_file_io.h"
#include "engine/error_map.h"
#include "engine/ingest.h"
#include "engine/instance.h"
#include "engine/mirror_storage.h"
#include "engine/mirrors.h"
#include "engine/watcher.h"
#include "iceberg/metadata.h"

namespace ivy::engine {

namespace {
constexpr std::string_view kFaultCommand = "fault ";  // tests only: then a specification, see base/fault_point.h

Status ReadProbe(iceberg::FileIo& io, const std::string& folder, const std::string& file, const Bytes& content) {
    IVY_ASSIGN_OR_RETURN(const Bytes read, io.ReadFile(file));
    if (read != content) return Status::Make(sqlstate::kIoError, "what was written is not what is read");
    IVY_ASSIGN_OR_RETURN(const std::vector<std::string> files, io.List(folder));
    if (files != std::vector{file}) return Status::Make(sqlstate::kIoError, "what was written is not listed");
    return Status::Ok();
}

// Everything that a mirror does to its files.
Status ProbeFolder(iceberg::FileIo& io, const std::string& folder) {
    const std::string metadata = folder + "/metadata", file = metadata + "/probe";
    const Bytes content = {'i', 'v', 'y'};
    IVY_RETURN_IF_ERROR(io.WriteFile(file, content, false));
    const Status read = ReadProbe(io, metadata, file, content);
    const Status deleted = io.DeleteFile(file);
    return read.ok() ? deleted : read;
}
}  // namespace

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
    if (control.command == "probe") {
        IVY_RETURN_IF_ERROR(Probe(control));
        return std::string();
    }
    if (control.command.starts_with(kFaultCommand)) {
        IVY_RETURN_IF_ERROR(SetFaults(control.command.substr(kFaultCommand.size())));
        return std::string();
    }
    return Status::Make(sqlstate::kProtocolViolation, "unknown control command \"" + control.command + "\"");
}

Status ControlSession::Probe(const Control& control) {
    // A folder of its own, of which nobody else takes the credentials away.
    const std::string folder = control.location + "/probe-" + iceberg::NewFileId();
    MirrorStorage& storage = services_.instance->storage();
    Status status = storage.Use(*services_.instance, folder, control.secrets);
    if (status.ok()) status = ProbeFolder(*MakeDuckFileIo(services_.instance->database()), folder);
    storage.Forget(folder);
    if (status.ok()) return status;
    Error error = status.error();
    error.detail = error.message + (error.detail.empty() ? "" : "\n" + error.detail);
    error.message = "files of mirrors can't be kept under \"" + control.location + "\"";
    if (error.sqlstate == sqlstate::kInsufficientPrivilege) {
        error.hint =
            "The secrets of the source table's owner are used: see mooncake.create_secret, mooncake.grant_secret "
            "and the view mooncake.secrets. They must allow to list, read, write and delete objects.";
    }
    return Status(error);
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
    // Paths in messages may have any bytes.
    return status.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace ivy::engine
