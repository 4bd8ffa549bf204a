// SPDX-License-Identifier: Apache-2.0
// Connections to the engine. C++ objects live only in EngineConnection, which a lease or the pool owns.
#include "pg/engine_client.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>

#include "pg/guard.h"
#include "protocol/engine_process.h"

extern "C" {
#include "storage/fd.h"
#include "storage/latch.h"
#include "storage/waiteventset.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"
}

namespace ivy::pg {

class EngineConnection {
  public:
    explicit EngineConnection(Oid database) : database(database) {}
    ~EngineConnection() {
        if (waits) FreeWaitEventSet(waits);
        if (fd >= 0) close(fd);
        if (counted) ReleaseExternalFD();
    }
    EngineConnection(const EngineConnection&) = delete;
    EngineConnection& operator=(const EngineConnection&) = delete;

    const Oid database;
    int fd = -1;
    bool counted = false;           // against the process's limit of open files
    WaitEventSet* waits = nullptr;  // latch, postmaster death, and the socket at position 0
    FrameParser parser;
    Frame frame;
    Bytes out;
    size_t out_sent = 0;
};

namespace {

const EngineSupervisor* engine_supervisor = nullptr;

// Idle connections of this process. A backend needs more than one only while queries nest.
constexpr int kMaxIdle = 4;
EngineConnection* idle_connections[kMaxIdle];
int idle_count = 0;

constexpr int kSocketPosition = 0;
constexpr long kFirstRetryMs = 1;
constexpr long kLastRetryMs = 20;

uint32 EngineWaitEvent() {
    static uint32 event = 0;
    if (event == 0) event = WaitEventExtensionNew("ColumnarEngine");
    return event;
}

void OnContextReset(void* arg) { CloseEngine(static_cast<EngineLease*>(arg)); }

void EndUse(EngineLease* lease) {
    if (lease->use) engine_supervisor->end_use(lease->use);
    lease->use = nullptr;
}

bool Fail(EngineLease* lease, const char* why) {
    lease->failure = why;
    CloseEngine(lease);
    return false;
}

// Waits until the socket is ready for "events". False after timeout_ms, if that is not negative; interrupts start it
// anew.
bool WaitForSocket(EngineConnection* connection, uint32 events, long timeout_ms = -1) {
    if (!connection->waits) {
        connection->waits = CreateWaitEventSet(nullptr, 3);
        AddWaitEventToSet(connection->waits, WL_SOCKET_READABLE, connection->fd, nullptr, nullptr);
        AddWaitEventToSet(connection->waits, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, nullptr);
        AddWaitEventToSet(connection->waits, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, nullptr, nullptr);
    }
    ModifyWaitEvent(connection->waits, kSocketPosition, events, nullptr);
    while (true) {
        ::WaitEvent occurred;
        if (WaitEventSetWait(connection->waits, timeout_ms, &occurred, 1, EngineWaitEvent()) == 0) return false;
        if (occurred.events & WL_LATCH_SET) {
            ResetLatch(MyLatch);
            CHECK_FOR_INTERRUPTS();
            continue;
        }
        return true;
    }
}

// One attempt to connect. 0, or an errno value.
int TryConnect(EngineConnection* connection, const char* path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (strlen(path) >= sizeof address.sun_path) return ENAMETOOLONG;
    strcpy(address.sun_path, path);
    if (connection->fd < 0) connection->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (connection->fd < 0) return errno;
    if (connect(connection->fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return 0;
    const int error = errno;
    // A socket that failed to connect is in no defined state.
    close(connection->fd);
    connection->fd = -1;
    return error;
}

// Connects, asking for an engine if none is there. False after "timeout_ms".
bool ConnectWithin(EngineLease* lease, int timeout_ms) {
    char path[MAXPGPATH];
    pg_snprintf(path, sizeof path, "%s/%s", engine_supervisor->folder(lease->database), kEngineSocketName);
    const TimestampTz start = GetCurrentTimestamp();
    long pause = kFirstRetryMs;
    while (true) {
        const int error = TryConnect(lease->connection, path);
        if (error == 0) return true;
        if (error == ENOENT || error == ECONNREFUSED) {
            engine_supervisor->request(lease->database);
        } else if (error != EAGAIN && error != EINTR) {
            return Fail(lease, "the columnar engine's socket can't be used");
        }
        if (TimestampDifferenceExceeds(start, GetCurrentTimestamp(), timeout_ms)) {
            return Fail(lease, "the columnar engine is not running");
        }
        WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, pause, EngineWaitEvent());
        ResetLatch(MyLatch);
        CHECK_FOR_INTERRUPTS();
        pause = Min(pause * 2, kLastRetryMs);
    }
}

bool Handshake(EngineLease* lease, Role role) {
    Guard([&] {
        Hello hello;
        hello.role = role;
        hello.database = lease->database;
        AppendMessage(MessageType::kHello, hello, &lease->connection->out);
    });
    Frame* reply;
    if (!SendToEngine(lease) || ReceiveFromEngine(lease, &reply) != Received::kFrame) {
        return Fail(lease, "the columnar engine closed the connection");
    }
    const auto type = static_cast<MessageType>(reply->type);
    if (type != MessageType::kHello && type != MessageType::kOk) {
        return Fail(lease, "the columnar engine refused the connection");
    }
    return true;
}

// Whether an idle connection is still open. Nothing is sent unasked, so bytes to read mean that it is damaged.
bool StillOpen(const EngineConnection* connection) {
    char byte;
    return recv(connection->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

EngineConnection* TakeIdle(Oid database) {
    while (idle_count > 0) {
        EngineConnection* connection = idle_connections[--idle_count];
        if (connection->database == database && StillOpen(connection)) return connection;
        delete connection;
    }
    return nullptr;
}

}  // namespace

void SetEngineSupervisor(const EngineSupervisor* supervisor) { engine_supervisor = supervisor; }

EngineLease* LeaseEngine(MemoryContext context, Oid database, Role role, int timeout_ms) {
    auto* lease = static_cast<EngineLease*>(MemoryContextAllocZero(context, sizeof(EngineLease)));
    lease->database = database;
    lease->callback.func = OnContextReset;
    lease->callback.arg = lease;
    MemoryContextRegisterResetCallback(context, &lease->callback);

    lease->use = engine_supervisor->begin_use(database);
    if (role == Role::kQuery && (lease->connection = TakeIdle(database))) return lease;

    lease->connection = Guard([&] { return new EngineConnection(database); });
    if (!AcquireExternalFD()) {
        Fail(lease, "too many files are open");
        return lease;
    }
    lease->connection->counted = true;
    if (ConnectWithin(lease, timeout_ms)) Handshake(lease, role);
    return lease;
}

void ReturnEngine(EngineLease* lease) {
    EngineConnection* connection = lease->connection;
    if (idle_count == kMaxIdle || connection->parser.Partial() || !connection->out.empty()) {
        CloseEngine(lease);
        return;
    }
    lease->connection = nullptr;
    idle_connections[idle_count++] = connection;
    EndUse(lease);
}

void CloseEngine(EngineLease* lease) noexcept {
    delete lease->connection;
    lease->connection = nullptr;
    EndUse(lease);
}

int DetachEngineSocket(EngineLease* lease) {
    const int fd = lease->connection->fd;
    lease->connection->fd = -1;
    CloseEngine(lease);
    const int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

Bytes& EngineOut(EngineLease* lease) { return lease->connection->out; }

bool SendToEngine(EngineLease* lease) {
    EngineConnection* connection = lease->connection;
    while (connection->out_sent < connection->out.size()) {
        CHECK_FOR_INTERRUPTS();
        const ssize_t sent = send(connection->fd, connection->out.data() + connection->out_sent,
                                  connection->out.size() - connection->out_sent, MSG_NOSIGNAL);
        if (sent >= 0) {
            connection->out_sent += static_cast<size_t>(sent);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            WaitForSocket(connection, WL_SOCKET_WRITEABLE);
        } else if (errno != EINTR) {
            lease->failure = "the connection to the columnar engine broke";
            break;
        }
    }
    const bool complete = connection->out_sent == connection->out.size();
    connection->out.clear();
    connection->out_sent = 0;
    return complete;
}

Received ReceiveFromEngine(EngineLease* lease, Frame** frame, long timeout_ms) {
    EngineConnection* connection = lease->connection;
    while (true) {
        CHECK_FOR_INTERRUPTS();
        if (Guard([&] { return connection->parser.Next(&connection->frame); })) {
            *frame = &connection->frame;
            return Received::kFrame;
        }
        size_t room;
        uint8_t* into = Guard([&] { return connection->parser.Reserve(1, &room); });
        const ssize_t received = recv(connection->fd, into, room, 0);
        if (received > 0) {
            connection->parser.Received(static_cast<size_t>(received));
        } else if (received == 0) {
            Fail(lease, "the columnar engine closed the connection");
            return Received::kClosed;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (!WaitForSocket(connection, WL_SOCKET_READABLE, timeout_ms)) return Received::kTimeout;
        } else if (errno != EINTR) {
            Fail(lease, "the connection to the columnar engine broke");
            return Received::kClosed;
        }
    }
}

}  // namespace ivy::pg
