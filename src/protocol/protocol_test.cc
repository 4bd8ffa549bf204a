// SPDX-License-Identifier: Apache-2.0
// Unit tests of src/protocol: chunks, frames and messages round-trip, and damaged input is refused, never followed.
#include <gtest/gtest.h>

#include <random>

#include "protocol/messages.h"

namespace ivy {
namespace {

const ColumnType kText{TypeKind::kText, 0, 0};
const ColumnType kInt{TypeKind::kInt32, 0, 0};
const ColumnType kDecimal{TypeKind::kDecimal, 20, 4};

Bytes SampleChunk() {
    ColumnChunkBuilder chunk({kText, kInt, kDecimal});
    for (int i = 0; i < 20; i++) {
        if (i % 3 == 0) {
            chunk.column(0).AppendNull();
        } else {
            chunk.column(0).AppendVariable(std::string(static_cast<size_t>(i), 'x'));
        }
        chunk.column(1).AppendFixed<int32_t>(i);
        chunk.column(2).AppendFixed<Int128>(Int128{i} << 70);
    }
    ByteWriter out;
    chunk.Write(&out);
    return out.Take();
}

TEST(ColumnChunk, RoundTrip) {
    const Bytes bytes = SampleChunk();
    ByteReader in(bytes);
    auto view = ColumnChunkView::Read(&in);
    ASSERT_TRUE(view.ok());
    EXPECT_TRUE(in.Finish("chunk").ok());
    ASSERT_EQ(view->rows, 20u);
    EXPECT_TRUE(view->columns[0].IsNull(0));
    EXPECT_FALSE(view->columns[0].IsNull(19));
    EXPECT_EQ(view->columns[0].GetVariable(19), std::string(19, 'x'));
    EXPECT_EQ(view->columns[1].Get<int32_t>(7), 7);
    EXPECT_TRUE(view->columns[2].Get<Int128>(7) == Int128{7} << 70);
    EXPECT_EQ(view->columns[1].validity, nullptr);
}

TEST(ColumnChunk, EveryTruncationIsRefused) {
    const Bytes bytes = SampleChunk();
    for (size_t size = 0; size < bytes.size(); size++) {
        ByteReader in(bytes.data(), size);
        EXPECT_FALSE(ColumnChunkView::Read(&in).ok()) << size;
    }
}

// Any single damaged byte either is refused or gives a chunk whose every value can be read (checked by ASAN).
TEST(ColumnChunk, DamagedBytesAreHarmless) {
    const Bytes good = SampleChunk();
    std::mt19937 random(1);
    for (int round = 0; round < 20000; round++) {
        Bytes bytes = good;
        bytes[random() % bytes.size()] ^= static_cast<uint8_t>(1 + random() % 255);
        ByteReader in(bytes);
        auto view = ColumnChunkView::Read(&in);
        if (!view.ok()) continue;
        size_t total = 0;
        for (const ColumnView& column : view->columns) {
            if (!column.type.IsVariable()) continue;
            for (size_t row = 0; row < view->rows; row++) total += column.GetVariable(row).size();
        }
        EXPECT_LE(total, bytes.size() * view->columns.size());
    }
}

TEST(Frame, ArbitraryCutsOfTheStream) {
    Bytes stream;
    for (uint8_t i = 0; i < 50; i++) AppendFrame(i, Bytes(i * 1000u, i), &stream);
    std::mt19937 random(2);
    FrameParser parser;
    Frame frame;
    uint8_t expected = 0;
    for (size_t at = 0; at < stream.size();) {
        size_t available;
        uint8_t* to = parser.Reserve(1, &available);
        const size_t count = std::min({available, stream.size() - at, size_t{1 + random() % 5000}});
        std::memcpy(to, stream.data() + at, count);
        parser.Received(count);
        at += count;
        while (*parser.Next(&frame)) {
            ASSERT_EQ(frame.type, expected);
            ASSERT_EQ(frame.payload, Bytes(expected * 1000u, expected));
            expected++;
        }
    }
    EXPECT_EQ(expected, 50);
    EXPECT_FALSE(parser.Partial());
}

TEST(Frame, ImpossibleSizesAreErrors) {
    for (const uint32_t size : {0u, 0x80000000u}) {
        FrameParser parser;
        size_t available;
        std::memcpy(parser.Reserve(4, &available), &size, 4);
        parser.Received(4);
        Frame frame;
        EXPECT_FALSE(parser.Next(&frame).ok());
    }
}

template <typename Message>
Frame ToFrame(MessageType type, const Message& message) {
    ByteWriter out;
    message.Write(&out);
    return Frame{static_cast<uint8_t>(type), out.Take()};
}

// Writes, reads and writes again: equal bytes. Every shorter payload must be refused.
template <typename Message>
void ExpectRoundTrip(MessageType type, const Message& message) {
    const Frame frame = ToFrame(type, message);
    auto read = Message::Read(frame);
    ASSERT_TRUE(read.ok()) << read.error().message;
    EXPECT_EQ(ToFrame(type, *read).payload, frame.payload);
    for (size_t size = 0; size < frame.payload.size(); size++) {
        Frame cut{frame.type, Bytes(frame.payload.begin(), frame.payload.begin() + static_cast<ptrdiff_t>(size))};
        EXPECT_FALSE(Message::Read(cut).ok()) << size;
    }
}

TEST(Messages, RoundTrips) {
    const Snapshot snapshot{5, 9, {5, 7}};
    ExpectRoundTrip(MessageType::kHello, Hello{Role::kCopy, 16384});
    ExpectRoundTrip(MessageType::kError, ErrorMessage{{"22012", "division by zero", "d", "h"}, Unavailable::kFailed});
    ExpectRoundTrip(MessageType::kRowSource, RowSource{{kText, kDecimal}});
    ExpectRoundTrip(MessageType::kQuery, Query{"SELECT 1",
                                               {1, 2},
                                               {kInt},
                                               {{"TimeZone", "UTC"}},
                                               snapshot,
                                               77,
                                               1000,
                                               QueryMode::kProfile,
                                               {"/a", "s3://b/*"},
                                               {{"k", "s3", {"s3://b"}, {{"KEY_ID", "x"}, {"USE_SSL", "false"}}}}});
    ExpectRoundTrip(MessageType::kQueryDone, QueryDone{1, 2, 3, 4, 5, "plan"});
    MirrorOpen open{16400,    7,    "public", "t", {{1, "id", kInt, true}, {3, "x", kText, false}},
                    {1},      "/w", "/w/m",   88,  true,
                    snapshot, 3,    {3}};
    open.secrets = {{"k", "s3", {"s3://b"}, {{"KEY_ID", "x"}}}};
    open.columns[1].numeric_scale = 38;
    ExpectRoundTrip(MessageType::kMirrorOpen, open);
    auto opened = MirrorOpen::Read(ToFrame(MessageType::kMirrorOpen, open));
    ASSERT_TRUE(opened.ok());
    EXPECT_EQ(opened->columns[0].numeric_scale, std::nullopt);
    EXPECT_EQ(opened->columns[1].numeric_scale, 38);
    for (const uint8_t scale : {39, 254}) {
        open.columns[1].numeric_scale = scale;
        EXPECT_FALSE(MirrorOpen::Read(ToFrame(MessageType::kMirrorOpen, open)).ok());
    }
    open.columns[1].numeric_scale.reset();
    open.columns[0].numeric_scale = 2;  // an int
    EXPECT_FALSE(MirrorOpen::Read(ToFrame(MessageType::kMirrorOpen, open)).ok());
    ExpectRoundTrip(MessageType::kMirrorClose, MirrorClose{1, true, "/w", open.secrets});
    ExpectRoundTrip(MessageType::kFilesRemoved, FilesRemoved{1, "s3://b/w", {"58030", "m", "d", ""}});
    ExpectRoundTrip(MessageType::kChanges,
                    Changes{1, 2, 3, {'I', 'U'}, {{0, 1}}, {3}, SampleChunk(), {1, 2, 3}, {1, 2}});
    ExpectRoundTrip(MessageType::kCopyEnd, CopyEnd{{2, 5}});
    ExpectRoundTrip(MessageType::kCommit, Commit{1, 2, 3, -4});
    ExpectRoundTrip(MessageType::kFlushSettings, FlushSettings{1, uint64_t{1} << 40, 3, 4});
    ExpectRoundTrip(MessageType::kAbort, Abort{1, 2});
    ExpectRoundTrip(MessageType::kProgress, Progress{1, 2});
    ExpectRoundTrip(MessageType::kFlushReady, FlushReady{1, "a", "b", 5, true, snapshot, 6, 7});
    ExpectRoundTrip(MessageType::kPublished, Published{1, "a"});
    ExpectRoundTrip(MessageType::kMirrorFailed, MirrorFailed{1, 7, {"XX000", "m", "", ""}, {2}});
    ExpectRoundTrip(MessageType::kPersisted, Persisted{4});
    ExpectRoundTrip(MessageType::kCopyBegin, CopyBegin{1, 9, snapshot, 100, 8192, true, {1, 3}});
    ExpectRoundTrip(MessageType::kCopyScanned, CopyScanned{1ull << 40});
    ExpectRoundTrip(MessageType::kControl, Control{"probe", 1, 5, "s3://b", open.secrets});
}

TEST(Messages, ForeignHelloIsRefused) {
    Frame frame = ToFrame(MessageType::kHello, Hello{Role::kQuery, 1});
    frame.payload[4] = 99;  // the version
    EXPECT_FALSE(Hello::Read(frame).ok());
}

}  // namespace
}  // namespace ivy
