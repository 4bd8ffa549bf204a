// SPDX-License-Identifier: Apache-2.0
#include "lake/paths.h"

#include <gtest/gtest.h>

namespace ivy::lake {
namespace {

TEST(Paths, Normal) {
    EXPECT_EQ(NormalPath("file:/a/b"), "/a/b");
    EXPECT_EQ(NormalPath("file:///a/b"), "/a/b");
    EXPECT_EQ(NormalPath("file://localhost/a"), "/a");
    EXPECT_EQ(NormalPath("s3n://b/k"), "s3://b/k");
    EXPECT_EQ(NormalPath("a/b"), "a/b");
    EXPECT_TRUE(IsLocal("/a") && IsLocal("a") && IsLocal("file:///a"));
    EXPECT_FALSE(IsLocal("s3://a") || IsLocal("https://a/b"));
    EXPECT_TRUE(IsPlainHttp("http://a") && IsPlainHttp("HTTPS://a/b"));
    EXPECT_FALSE(IsPlainHttp("s3://http://a") || IsPlainHttp("http") || IsPlainHttp("/http://"));
    EXPECT_EQ(WithoutSlash("/a//"), "/a");
    EXPECT_EQ(WithoutSlash("/"), "/");
    EXPECT_EQ(BaseName("a/b.c"), "b.c");
}

TEST(Paths, PercentEncoding) {
    EXPECT_EQ(PercentDecoded("a%20b%2525"), "a b%25");
    EXPECT_EQ(PercentDecoded("%zz%4"), "%zz%4");
    EXPECT_EQ(PercentDecoded("%C3%BC"), "ü");
}

TEST(Paths, Resolve) {
    const auto resolve = [](const char* table, std::string_view path) {
        const auto found = ResolvePath(table, path);
        return found.ok() ? *found : "!" + found.error().sqlstate;
    };
    EXPECT_EQ(resolve("/t", "k=1/f"), "/t/k=1/f");
    EXPECT_EQ(resolve("t/", "f"), "t/f");
    EXPECT_EQ(resolve("/t", "file:///u/f"), "/u/f");
    EXPECT_EQ(resolve("s3://b/t", "f"), "s3://b/t/f");
    EXPECT_EQ(resolve("s3://b/t", "s3a://c/f"), "s3://c/f");
    for (const char* local : {"/etc/passwd", "file:/etc/passwd", "file:///etc/passwd"}) {
        EXPECT_EQ(resolve("s3://b/t", local), "!0A000") << local;
    }
    EXPECT_EQ(resolve("/t", "https://h/f"), "!0A000");
    EXPECT_EQ(resolve("/t", ""), "!XX001");
    EXPECT_EQ(resolve("/t", std::string_view("a\0b", 3)), "!XX001");
}

}  // namespace
}  // namespace ivy::lake
