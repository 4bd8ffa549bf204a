// SPDX-License-Identifier: Apache-2.0
// Connections and control commands.
#include "control.h"

#include "pg/engine_client.h"
#include "pg/guard.h"
#include "secret_message.h"

namespace ivy::duck {

int ConnectEngine(Oid database, int role, int timeout_ms, char** error) {
    MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "engine connection", ALLOCSET_SMALL_SIZES);
    pg::EngineLease* lease = pg::LeaseEngine(context, database, static_cast<Role>(role), timeout_ms);
    const char* failure = lease->failure;
    int fd = -1;
    if (lease->connection) {
        fd = pg::DetachEngineSocket(lease);
        if (fd < 0) failure = "the columnar engine's socket can't be used";
    }
    MemoryContextDelete(context);
    *error = fd < 0 ? pstrdup(failure) : nullptr;
    return fd;
}

namespace {

// One exchange; "fill" completes the message.
template <typename Fill>
char* Exchange(Oid database, const char* command, int timeout_ms, Fill fill) {
    MemoryContext outer = CurrentMemoryContext;
    MemoryContext context = AllocSetContextCreate(outer, "engine control", ALLOCSET_SMALL_SIZES);
    MemoryContextSwitchTo(context);
    pg::EngineLease* lease = pg::LeaseEngine(context, database, Role::kControl, timeout_ms);
    Frame* frame = nullptr;
    if (lease->connection) {
        pg::Guard([&] {
            ivy::Control message;
            message.command = command;
            fill(&message);
            AppendMessage(MessageType::kControl, message, &pg::EngineOut(lease));
        });
        pg::SendToEngine(lease);
        if (pg::ReceiveFromEngine(lease, &frame) != pg::Received::kFrame) frame = nullptr;
    }
    if (!frame) {
        ereport(ERROR, (errcode(ERRCODE_CONNECTION_FAILURE),
                        errmsg("could not talk to the columnar engine: %s", lease->failure)));
    }
    // A reply's payload is its text.
    char* text = pg::Guard([&]() -> Result<char*> {
        if (static_cast<MessageType>(frame->type) == MessageType::kError) {
            IVY_ASSIGN_OR_RETURN(const ErrorMessage message, ErrorMessage::Read(*frame));
            return message.error;
        }
        if (static_cast<MessageType>(frame->type) != MessageType::kControlReply) {
            return Status::Internal("columnar engine sent an unexpected message");
        }
        const Bytes& reply = frame->payload;
        auto* copy = static_cast<char*>(MemoryContextAllocExtended(outer, reply.size() + 1, MCXT_ALLOC_NO_OOM));
        if (!copy) return Status::Make(sqlstate::kOutOfMemory, "out of memory");
        std::memcpy(copy, reply.data(), reply.size());
        copy[reply.size()] = '\0';
        return copy;
    });
    MemoryContextSwitchTo(outer);
    MemoryContextDelete(context);
    return text;
}

}  // namespace

char* Control(Oid database, const char* command, Oid mirror, uint64 lsn, int timeout_ms) {
    return Exchange(database, command, timeout_ms, [&](ivy::Control* message) {
        message->mirror = mirror;
        message->lsn = lsn;
    });
}

void ProbeLocation(Oid database, const char* location, const List* secrets, int timeout_ms) {
    Exchange(database, "probe", timeout_ms, [&](ivy::Control* message) {
        message->location = location;
        message->secrets = SecretMessages(secrets);
    });
}

}  // namespace ivy::duck
