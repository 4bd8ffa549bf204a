// SPDX-License-Identifier: Apache-2.0
#include "engine/change_mapping.h"

#include <gtest/gtest.h>

namespace ivy::engine {
namespace {

constexpr ColumnType kInt{TypeKind::kInt32, 0, 0};
constexpr ColumnType kText{TypeKind::kText, 0, 0};

// Two rows of columns 1 (int), 3 (text), 7 (decimal(10,2)); the second row's text is an unchanged value.
Changes Sample() {
    ColumnChunkBuilder rows({kInt, kText, {TypeKind::kDecimal, 10, 2}});
    for (int i = 0; i < 2; i++) {
        rows.column(0).AppendFixed<int32_t>(10 + i);
        if (i == 0) {
            rows.column(1).AppendVariable("ten");
        } else {
            rows.column(1).AppendNull();
        }
        rows.column(2).AppendFixed<Int128>(1000 + i);
    }
    Changes changes;
    changes.mirror = 5;
    changes.ops = {'I', 'U'};
    changes.columns = {1, 3, 7};
    changes.unchanged = {{1, 1}};
    ByteWriter out;
    rows.Write(&out);
    changes.rows = out.Take();
    return changes;
}

std::vector<MirrorColumn> Columns(std::vector<std::pair<uint32_t, ColumnType>> columns) {
    std::vector<MirrorColumn> all;
    for (const auto& [id, type] : columns) all.push_back({id, "c" + std::to_string(id), type, false});
    return all;
}

TEST(ChangeMapping, LeavesFittingRowsAlone) {
    const auto mapped = MapColumns(Sample(), Columns({{1, kInt}, {3, kText}, {7, {TypeKind::kDecimal, 10, 2}}}), {});
    ASSERT_TRUE(mapped.ok());
    EXPECT_FALSE(mapped->has_value());
    Changes unnamed = Sample();
    unnamed.columns.clear();
    const auto trusted = MapColumns(unnamed, Columns({{9, kInt}}), {});
    ASSERT_TRUE(trusted.ok());
    EXPECT_FALSE(trusted->has_value());
}

TEST(ChangeMapping, MatchesColumnsById) {
    const auto mapped =
        MapColumns(Sample(), Columns({{7, {TypeKind::kDecimal, 12, 2}}, {8, kInt}, {1, kInt}, {3, kText}}), {});
    ASSERT_TRUE(mapped.ok() && mapped->has_value());
    const Changes& changes = **mapped;
    EXPECT_EQ(changes.ops, Sample().ops);
    ASSERT_EQ(changes.unchanged.size(), 1u);
    EXPECT_EQ(changes.unchanged[0].row, 1u);
    EXPECT_EQ(changes.unchanged[0].column, 3u);
    ByteReader in(changes.rows);
    const auto view = ColumnChunkView::Read(&in);
    ASSERT_TRUE(view.ok());
    ASSERT_EQ(view->columns.size(), 4u);
    EXPECT_EQ(view->columns[0].type.precision, 12);
    EXPECT_EQ(view->columns[0].Get<Int128>(1), Int128{1001});
    EXPECT_TRUE(view->columns[1].IsNull(0));
    EXPECT_EQ(view->columns[2].Get<int32_t>(1), 11);
    EXPECT_EQ(view->columns[3].GetVariable(0), "ten");
    EXPECT_TRUE(view->columns[3].IsNull(1));
}

TEST(ChangeMapping, DropsUnchangedValuesOfDroppedColumns) {
    const auto mapped = MapColumns(Sample(), Columns({{1, kInt}}), {});
    ASSERT_TRUE(mapped.ok() && mapped->has_value());
    EXPECT_TRUE((*mapped)->unchanged.empty());
    const auto none = MapColumns(Sample(), {}, {});
    ASSERT_TRUE(none.ok() && none->has_value());
    ByteReader in((*none)->rows);
    EXPECT_EQ(ColumnChunkView::Read(&in)->rows, 2u);
}

TEST(ChangeMapping, RefusesRowsWithoutACopiedColumn) {
    const auto columns = Columns({{1, kInt}, {3, kText}, {7, {TypeKind::kDecimal, 10, 2}}, {8, kInt}});
    EXPECT_TRUE(MapColumns(Sample(), columns, {1, 3, 7}).ok());
    const auto refused = MapColumns(Sample(), columns, {1, 3, 7, 8});
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().sqlstate, sqlstate::kObjectNotInState);
    EXPECT_TRUE(MapColumns(Sample(), Columns({{1, kInt}}), {1, 8}).ok());  // dropped since
}

TEST(ChangeMapping, RefusesOtherKindsOfTypesAndDamage) {
    EXPECT_FALSE(MapColumns(Sample(), Columns({{1, kText}}), {}).ok());
    EXPECT_FALSE(MapColumns(Sample(), Columns({{7, {TypeKind::kDecimal, 9, 2}}}), {}).ok());
    EXPECT_FALSE(MapColumns(Sample(), Columns({{7, {TypeKind::kDecimal, 12, 3}}}), {}).ok());
    Changes damaged = Sample();
    damaged.columns = {1, 3};
    EXPECT_FALSE(MapColumns(damaged, Columns({{1, kInt}}), {}).ok());
    damaged = Sample();
    damaged.rows.resize(damaged.rows.size() - 1);
    EXPECT_FALSE(MapColumns(damaged, Columns({{1, kInt}}), {}).ok());
    damaged = Sample();
    damaged.unchanged[0].column = 3;
    EXPECT_FALSE(MapColumns(damaged, Columns({{1, kInt}}), {}).ok());
}

}  // namespace
}  // namespace ivy::engine
