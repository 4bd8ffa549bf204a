// SPDX-License-Identifier: Apache-2.0
// LocalFileIo on a real folder.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "iceberg/file_io.h"
#include "iceberg/test_support.h"

namespace ivy::iceberg {
namespace {

class LocalFileIoTest : public testing::Test {
  protected:
    LocalFileIoTest() {
        std::string pattern = (std::filesystem::temp_directory_path() / "ivy-iceberg-XXXXXX").string();
        folder_ = mkdtemp(pattern.data());
    }
    ~LocalFileIoTest() override { std::filesystem::remove_all(folder_); }
    std::string folder_;
    std::unique_ptr<FileIo> io_ = MakeLocalFileIo();
};

TEST_F(LocalFileIoTest, WriteReadReplace) {
    const std::string path = folder_ + "/a/b c/ü'\"file";
    ASSERT_TRUE(io_->WriteFile(path, ToBytes("one"), true).ok());
    EXPECT_EQ(*io_->ReadFile(path), ToBytes("one"));
    EXPECT_FALSE(io_->WriteFile(path, ToBytes("two"), true).ok());
    EXPECT_EQ(*io_->ReadFile("file://" + path), ToBytes("one"));
    ASSERT_TRUE(io_->WriteFile("file:" + path, ToBytes("three"), false).ok());
    EXPECT_EQ(*io_->ReadFile(path), ToBytes("three"));
    EXPECT_EQ(*io_->ReadRange(path, 1, 3), ToBytes("hre"));
    EXPECT_EQ(io_->ReadRange(path, 5, 0)->size(), 0u);
    EXPECT_EQ(*io_->FileSize(path), 5);
    ASSERT_TRUE(io_->WriteFile(path, {}, false).ok());
    EXPECT_EQ(io_->ReadFile(path)->size(), 0u);
    // No temporary files are left, of the refused write neither.
    EXPECT_EQ(*io_->List(folder_ + "/a/b c"), std::vector<std::string>{path});
    EXPECT_TRUE(io_->List(folder_ + "/a")->empty());  // folders are not files
    EXPECT_TRUE(io_->List(folder_ + "/none")->empty());
}

TEST_F(LocalFileIoTest, Errors) {
    const std::string path = folder_ + "/file";
    EXPECT_EQ(io_->ReadFile(path).error().sqlstate, sqlstate::kUndefinedFile);
    EXPECT_EQ(io_->FileSize(path).error().sqlstate, sqlstate::kUndefinedFile);
    EXPECT_FALSE(*io_->Exists(path));
    EXPECT_TRUE(io_->DeleteFile(path).ok());
    ASSERT_TRUE(io_->WriteFile(path, ToBytes("12345"), false).ok());
    EXPECT_TRUE(*io_->Exists(path));
    EXPECT_FALSE(io_->ReadRange(path, 3, 3).ok());
    EXPECT_FALSE(io_->ReadRange(path, 6, 0).ok());
    EXPECT_FALSE(io_->ReadRange(path, 0, int64_t{1} << 60).ok());
    EXPECT_FALSE(io_->ReadRange(path, INT64_MAX, INT64_MAX).ok());
    EXPECT_FALSE(io_->ReadRange(path, -1, 1).ok());
    EXPECT_FALSE(io_->WriteFile(path + "/under-a-file", {}, false).ok());
    EXPECT_FALSE(io_->ReadFile(folder_).ok());
    EXPECT_FALSE(*io_->Exists(path + "/under-a-file"));
    EXPECT_TRUE(io_->DeleteFile(path + "/under-a-file").ok());
    EXPECT_TRUE(io_->DeleteFile(path).ok());
    EXPECT_FALSE(*io_->Exists(path));
}

}  // namespace
}  // namespace ivy::iceberg
