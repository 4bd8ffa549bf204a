// SPDX-License-Identifier: Apache-2.0
// ExpandSql: what is a placeholder, and what only looks like one.
#include "engine/sql_expand.h"

#include <gtest/gtest.h>

namespace ivy::engine {
namespace {

std::string Name(Placeholder kind, size_t index) {
    return (kind == Placeholder::kMirror ? "M" : "R") + std::to_string(index);
}

std::string Expand(const std::string& sql) {
    const Result<std::string> result = ExpandSql(sql, 2, 11, Name);
    return result.ok() ? *result : "error: " + result.error().message;
}

TEST(SqlExpand, ReplacesPlaceholders) {
    EXPECT_EQ(Expand("SELECT 1"), "SELECT 1");
    EXPECT_EQ(Expand("{mirror:0}"), "M0");
    EXPECT_EQ(Expand("SELECT c1 FROM {mirror:0} a JOIN {mirror:1} b ON (a.c1=b.c1),{rows:10} r"),
              "SELECT c1 FROM M0 a JOIN M1 b ON (a.c1=b.c1),R10 r");
    EXPECT_EQ(Expand("FROM{rows:0}AS x"), "FROMR0AS x");
    EXPECT_EQ(Expand(""), "");
}

TEST(SqlExpand, LeavesQuotedTextAlone) {
    for (const char* sql : {
             "SELECT '{mirror:0}'",
             "SELECT 'it''s {mirror:0}'",
             "SELECT '\\', '{mirror:0}'",
             "SELECT E'\\'{mirror:0}'",
             "SELECT e'\\\\', '{mirror:9}'",
             "SELECT \"{mirror:0}\", \"a\"\"{rows:0}\"",
             "SELECT $${mirror:0}$$, $x$ $$ {rows:0} $x$",
             "SELECT 1 -- {mirror:0}",
             "SELECT /* {mirror:0} /* ' */ {rows:0} */ 1",
             "SELECT {'a': 1}, {a: 2}",
             "SELECT '{mirror:7}",
         }) {
        EXPECT_EQ(Expand(sql), sql);
    }
    EXPECT_EQ(Expand("SELECT 'a' FROM {mirror:1} -- '\nWHERE x = 'b' AND {rows:2}"),
              "SELECT 'a' FROM M1 -- '\nWHERE x = 'b' AND R2");
    EXPECT_EQ(Expand("SELECT somee'x' FROM {mirror:1}"), "SELECT somee'x' FROM M1");
    EXPECT_EQ(Expand("SELECT $1, {mirror:1}, $2"), "SELECT $1, M1, $2");
    EXPECT_EQ(Expand("SELECT '\xc3\xa9' {mirror:1}"), "SELECT '\xc3\xa9' M1");
}

TEST(SqlExpand, RefusesDamagedPlaceholders) {
    for (const char* sql : {"{mirror:2}", "{rows:11}", "{mirror:}", "{mirror:x}", "{mirror:1", "{rows:-1}",
                            "{mirror:", "{mirror:99999999999999999999}", "{mirror:0 }"}) {
        EXPECT_EQ(Expand(sql).substr(0, 5), "error") << sql;
    }
}

}  // namespace
}  // namespace ivy::engine
