// SPDX-License-Identifier: Apache-2.0
//
// Connections from a Postgres process to the columnar engine of its database: non-blocking sockets whose waits end at
// once on cancel, terminate, and the postmaster's death.
//
// Ownership: whoever uses a connection holds a lease, which belongs to a memory context. When that context is reset or
// deleted before the lease was returned (an error, a cancelled query, a cursor closed early) the connection is closed,
// and the engine stops working for it. A returned connection waits in this backend's pool for the next query.
//
// Failures of the connection are return values, since a query can still run on the row table; ereport is left to
// interrupts and to lack of memory.
#pragma once

#include "pg/postgres_api.h"

#include "protocol/messages.h"

namespace ivy::pg {

class EngineConnection;  // sockets and buffers; see engine_client.cc

// How to get an engine, and who is told about its use. Static data of the module that starts engines; the functions
// must not ereport, "end_use" is called during error recovery too.
struct EngineSupervisor {
    const char* (*folder)(Oid database);  // relative to the data directory; in static memory
    void (*request)(Oid database);        // asks for a start, returns at once
    void* (*begin_use)(Oid database);     // a connection is in use: the engine is not idle. Gives a token, never null
    void (*end_use)(void* token);
};
void SetEngineSupervisor(const EngineSupervisor* supervisor);

struct EngineLease {
    EngineConnection* connection;  // null after it was returned or closed
    Oid database;
    void* use;            // token of begin_use, until end_use
    const char* failure;  // why the connection could not be made, or broke; in static memory
    MemoryContextCallback callback;
};

// Connects, or takes a connection of role kQuery from the pool. Waits up to timeout_ms for an engine that is starting.
// On failure lease->connection is null and lease->failure says why. The lease lives in "context".
EngineLease* LeaseEngine(MemoryContext context, Oid database, Role role, int timeout_ms);

// The connection is between two queries: keep it for the next one. REQUIRES: lease->connection
void ReturnEngine(EngineLease* lease);

// Closes the connection, if there is one still. Never fails.
void CloseEngine(EngineLease* lease) noexcept;

// Takes the socket out of the lease, in blocking mode, for a caller with its own I/O.
int DetachEngineSocket(EngineLease* lease);

// The buffer of bytes to send: fill it with AppendMessage or AppendFrame, inside Guard. REQUIRES: lease->connection
Bytes& EngineOut(EngineLease* lease);

// Sends that buffer and empties it. False if the connection broke; what the engine sent before may still be received.
bool SendToEngine(EngineLease* lease);

enum class Received : uint8_t { kFrame, kTimeout, kClosed };

// Waits for the next frame, at most timeout_ms if that is not negative. kClosed: the connection broke (lease->failure
// says how), and the lease is closed. The frame is valid until the next call.
Received ReceiveFromEngine(EngineLease* lease, Frame** frame, long timeout_ms = -1);

}  // namespace ivy::pg
