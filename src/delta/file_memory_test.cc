// SPDX-License-Identifier: Apache-2.0
#include "delta/file_memory.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <random>
#include <vector>

namespace ivy::delta {
namespace {

TEST(FileMemory, GoesToFilesBeyondItsLimit) {
    FileMemory memory(testing::TempDir() + "file_memory", 1 << 20);
    duckdb::Allocator& allocator = memory.allocator();
    std::minstd_rand random(7);
    struct Piece {
        duckdb::data_ptr_t at;
        size_t size;
        uint8_t fill;
    };
    std::vector<Piece> pieces;
    const auto check = [](const Piece& piece) {
        for (size_t i = 0; i < piece.size; i++) {
            if (piece.at[i] != piece.fill) return false;
        }
        return true;
    };
    for (int i = 0; i < 3000; i++) {
        if (!pieces.empty() && random() % 3 == 0) {
            std::swap(pieces[random() % pieces.size()], pieces.back());
            ASSERT_TRUE(check(pieces.back()));
            allocator.FreeData(pieces.back().at, pieces.back().size);
            pieces.pop_back();
            continue;
        }
        Piece piece{nullptr, 1 + random() % 100000, static_cast<uint8_t>(random())};
        piece.at = allocator.AllocateData(piece.size);
        std::memset(piece.at, piece.fill, piece.size);
        pieces.push_back(piece);
        if (random() % 10 == 0) {
            Piece& grown = pieces.back();
            grown.at = allocator.ReallocateData(grown.at, grown.size, grown.size * 2);
            std::memset(grown.at + grown.size, grown.fill, grown.size);
            grown.size *= 2;
        }
        EXPECT_LE(memory.heap_bytes(), uint64_t{1} << 20);
    }
    EXPECT_GT(memory.file_bytes(), uint64_t{16} << 20);
    for (const Piece& piece : pieces) {
        EXPECT_TRUE(check(piece));
        allocator.FreeData(piece.at, piece.size);
    }
    EXPECT_EQ(memory.heap_bytes(), 0);
    EXPECT_LE(memory.file_bytes(), uint64_t{64} << 20);  // the last one is kept
}

TEST(FileMemory, UsesOrdinaryMemoryWithoutAFolder) {
    FileMemory memory("/proc/nowhere", 100);
    duckdb::data_ptr_t at = memory.allocator().AllocateData(100000);
    std::memset(at, 1, 100000);
    EXPECT_EQ(memory.heap_bytes(), 100000);
    memory.allocator().FreeData(at, 100000);
    EXPECT_EQ(memory.heap_bytes(), 0);
}

}  // namespace
}  // namespace ivy::delta
