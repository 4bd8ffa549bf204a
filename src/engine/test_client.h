// SPDX-License-Identifier: Apache-2.0
//
// TestClient: the client's side of a connection, for the engine's tests. Whatever must not fail is an expectation.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/channel.h"
#include "protocol/messages.h"

namespace ivy::engine {

inline constexpr uint32_t kTestDatabase = 16384;
inline constexpr ColumnType kInt{TypeKind::kInt32, 0, 0};
inline constexpr ColumnType kBigint{TypeKind::kInt64, 0, 0};
inline constexpr ColumnType kText{TypeKind::kText, 0, 0};
inline constexpr ColumnType kHuge{TypeKind::kDecimal, 38, 0};
// Runs for hours.
inline constexpr char kEndlessQuery[] =
    "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range + b.range = 7";

using TestClock = std::chrono::steady_clock;

inline double MillisecondsSince(TestClock::time_point begin) {
    return std::chrono::duration<double, std::milli>(TestClock::now() - begin).count();
}

// What a query was answered with.
struct Answer {
    size_t chunks = 0;
    size_t rows = 0;
    std::vector<std::string> values;  // of the first column
    std::optional<QueryDone> done;
    std::optional<ErrorMessage> error;
};

inline std::string ValueText(const ColumnView& column, size_t row) {
    if (column.IsNull(row)) return "NULL";
    switch (column.type.kind) {
        case TypeKind::kInt32: return std::to_string(column.Get<int32_t>(row));
        case TypeKind::kInt64: return std::to_string(column.Get<int64_t>(row));
        case TypeKind::kDecimal: return std::to_string(static_cast<int64_t>(column.Get<Int128>(row)));
        default: return std::string(column.GetVariable(row));
    }
}

class TestClient {
  public:
    // A descriptor connected to the socket, or -1 with errno set.
    static int Connect(const std::string& path) {
        const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path, path.data(), path.size());
        if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return fd;
        close(fd);
        return -1;
    }

    // Without a hello.
    explicit TestClient(const std::string& path) {
        const int fd = Connect(path);
        EXPECT_GE(fd, 0) << std::strerror(errno);
        channel_ = std::make_unique<Channel>(fd);
    }
    TestClient(const std::string& path, Role role) : TestClient(path) {
        Send(MessageType::kHello, Hello{role, kTestDatabase});
        EXPECT_EQ(Next().type, static_cast<uint8_t>(MessageType::kHello));
    }

    Channel& channel() { return *channel_; }
    void Close() { channel_.reset(); }

    template <typename Message>
    void Send(MessageType type, const Message& message) {
        EXPECT_TRUE(channel_->SendMessage(type, message).ok());
    }

    // The next frame; type 0 at the end of the connection.
    Frame Next() {
        Frame frame;
        const Result<bool> read = channel_->Read(&frame);
        if (!read.ok() || !*read) return Frame{};
        return frame;
    }
    ErrorMessage NextError() {
        const Frame frame = Next();
        EXPECT_EQ(frame.type, static_cast<uint8_t>(MessageType::kError));
        const Result<ErrorMessage> error = ErrorMessage::Read(frame);
        return error.ok() ? *error : ErrorMessage{};
    }

    static Query MakeQuery(const std::string& sql, std::vector<ColumnType> result) {
        Query query;
        query.sql = sql;
        query.result = std::move(result);
        return query;
    }
    Answer Run(const std::string& sql, std::vector<ColumnType> result) {
        return Run(MakeQuery(sql, std::move(result)));
    }
    void SendQuery(const std::string& sql, std::vector<ColumnType> result) {
        Send(MessageType::kQuery, MakeQuery(sql, std::move(result)));
    }
    Answer Run(const Query& query) {
        Send(MessageType::kQuery, query);
        return Receive();
    }
    Answer Receive() {
        Answer answer;
        while (true) {
            const Frame frame = Next();
            switch (static_cast<MessageType>(frame.type)) {
                case MessageType::kChunk: AddChunk(frame, &answer); break;
                case MessageType::kQueryDone: answer.done = QueryDone::Read(frame).value(); return answer;
                case MessageType::kError: answer.error = ErrorMessage::Read(frame).value(); return answer;
                default: ADD_FAILURE() << "frame " << int{frame.type}; return answer;
            }
        }
    }

  private:
    static void AddChunk(const Frame& frame, Answer* answer) {
        ByteReader in(frame.payload);
        const Result<ColumnChunkView> chunk = ColumnChunkView::Read(&in);
        ASSERT_TRUE(chunk.ok() && in.left() == 0);
        answer->chunks++;
        answer->rows += chunk->rows;
        if (chunk->columns.empty()) return;
        for (size_t row = 0; row < chunk->rows; row++) answer->values.push_back(ValueText(chunk->columns[0], row));
    }

    std::unique_ptr<Channel> channel_;
};

}  // namespace ivy::engine
