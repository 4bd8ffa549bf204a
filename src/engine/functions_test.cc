// SPDX-License-Identifier: Apache-2.0
//
// Our SQL functions and what we rely on in DuckDB's: results and SQLSTATEs. The expected values are Postgres's.
#include "engine/functions.h"

#include <gtest/gtest.h>

#include <duckdb.hpp>

#include <filesystem>
#include <random>

#include "engine/error_map.h"
#include "engine/instance.h"
#include "engine/number.h"
#include "engine/query_inputs.h"

namespace ivy::engine {
namespace {

class FunctionsTest : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        Instance::Config config;
        config.temp_folder = testing::TempDir() + "/ivy_functions_test";
        auto instance = Instance::Open(config);
        ASSERT_TRUE(instance.ok()) << instance.error().message;
        instance_ = std::move(*instance).release();
    }
    static void TearDownTestSuite() { delete instance_; }

    // The first value as text, or "!" and the SQLSTATE.
    static std::string Query(const std::string& sql, bool as_client = false) {
        const auto connection = instance_->Connect();
        if (as_client) QueryInputs::Attach(*connection->context);
        const auto result = connection->Query(sql);
        if (result->HasError()) return "!" + ErrorFromDuck(result->GetErrorObject()).sqlstate;
        const auto chunk = result->Fetch();
        return chunk ? chunk->GetValue(0, 0).ToString() : "";
    }
    static std::string Eval(const std::string& expression) { return Query("SELECT " + expression); }

    // Calls a function with arguments of one type, as constants and as columns: both must agree.
    static std::string Call(const std::string& function, const std::string& type, const std::string& a,
                            const std::string& b) {
        const auto value = [&type](const std::string& text) {
            return text == "NULL" ? "NULL::" + type : "'" + text + "'::" + type;
        };
        const std::string constant = Eval(function + "(" + value(a) + ", " + value(b) + ")");
        const std::string column = Query("SELECT " + function + "(a, b) FROM (SELECT unnest([" + value(a) +
                                         "]) AS a, unnest([" + value(b) + "]) AS b)");
        EXPECT_EQ(constant, column);
        return column;
    }
    static std::string DateTrunc(const std::string& unit, const std::string& timestamp) {
        const std::string constant = Eval("ivy_date_trunc('" + unit + "', '" + timestamp + "'::TIMESTAMP)::VARCHAR");
        const std::string column = Query("SELECT ivy_date_trunc(u, t)::VARCHAR FROM (SELECT unnest(['" + unit +
                                         "']) AS u, unnest(['" + timestamp + "'::TIMESTAMP]) AS t)");
        EXPECT_EQ(constant, column);
        return column;
    }

    static Instance* instance_;
};
Instance* FunctionsTest::instance_ = nullptr;

TEST_F(FunctionsTest, NumericSums) {
    const auto sum = [](const std::vector<std::string>& numbers) {
        std::string list;
        for (const std::string& number : numbers) list += (list.empty() ? "'" : ", '") + number + "'";
        return Query("SELECT ivy_num_sum(n) FROM (SELECT unnest([" + list + "]) AS n)");
    };
    EXPECT_EQ(sum({"1", "1.00", "-0.5"}), "1.50");
    EXPECT_EQ(sum({"0.00", "0"}), "0.00");
    EXPECT_EQ(sum({"1e2", "-1"}), "99");
    EXPECT_EQ(sum({"999999999999999999", "999999999999999999", "0.00"}), "1999999999999999998.00");
    EXPECT_EQ(sum({"1", "NaN", "2"}), "NaN");
    EXPECT_EQ(sum({"1", "Infinity", "-Infinity"}), "NaN");
    EXPECT_EQ(sum({"1", "x"}), "!22P02");
    EXPECT_EQ(sum({"1", "-"}), "!22P02");
    EXPECT_EQ(sum({"1", ""}), "!22P02");
    EXPECT_EQ(sum({"1", "1.2.3"}), "!22P02");
    std::mt19937_64 random(5);
    for (int round = 0; round < 50; round++) {
        std::vector<std::string> numbers;
        Number expected = Number::FromInteger(0);
        const uint64_t most = 1 + random() % 20;
        for (int i = 0; i < 200; i++) {
            std::string text = random() % 2 ? "-" : "";
            text += static_cast<char>('1' + random() % 9);
            for (uint64_t digits = random() % most; digits > 0; digits--)
                text += static_cast<char>('0' + random() % 10);
            if (const uint64_t scale = random() % most; scale > 0) {
                text += '.';
                for (uint64_t i = 0; i < scale; i++) text += static_cast<char>('0' + random() % 10);
            }
            expected = Add(expected, Number::Parse(text));
            numbers.push_back(text);
        }
        ASSERT_EQ(sum(numbers), expected.Text());
    }
}

TEST_F(FunctionsTest, IntegerDivision) {
    for (const char* type : {"SMALLINT", "INTEGER", "BIGINT"}) {
        EXPECT_EQ(Call("ivy_div", type, "7", "2"), "3");
        EXPECT_EQ(Call("ivy_div", type, "-7", "2"), "-3");
        EXPECT_EQ(Call("ivy_div", type, "7", "-2"), "-3");
        EXPECT_EQ(Call("ivy_div", type, "7", "-1"), "-7");
        EXPECT_EQ(Call("ivy_div", type, "7", "0"), "!22012");
        EXPECT_EQ(Call("ivy_div", type, "NULL", "0"), "NULL");
        EXPECT_EQ(Call("ivy_mod", type, "7", "2"), "1");
        EXPECT_EQ(Call("ivy_mod", type, "-7", "2"), "-1");
        EXPECT_EQ(Call("ivy_mod", type, "7", "-2"), "1");
        EXPECT_EQ(Call("ivy_mod", type, "7", "0"), "!22012");
        EXPECT_EQ(Call("ivy_mod", type, "7", "NULL"), "NULL");
    }
    const std::pair<const char*, const char*> smallest[] = {
        {"SMALLINT", "-32768"}, {"INTEGER", "-2147483648"}, {"BIGINT", "-9223372036854775808"}};
    for (const auto& [type, value] : smallest) {
        EXPECT_EQ(Call("ivy_div", type, value, "-1"), "!22003");
        EXPECT_EQ(Call("ivy_mod", type, value, "-1"), "0");
        EXPECT_EQ(Eval(std::string("ivy_neg('") + value + "'::" + type + ")"), "!22003");
    }
    EXPECT_EQ(Eval("ivy_neg(5::SMALLINT)"), "-5");
    EXPECT_EQ(Eval("typeof(ivy_neg(5::INTEGER))"), "INTEGER");
    EXPECT_EQ(Eval("typeof(ivy_div(5::BIGINT, 2::BIGINT))"), "BIGINT");
}

TEST_F(FunctionsTest, IntegerOverflowOfDuckDB) {
    EXPECT_EQ(Eval("32767::SMALLINT + 1::SMALLINT"), "!22003");
    EXPECT_EQ(Eval("2147483647::INTEGER + 1::INTEGER"), "!22003");
    EXPECT_EQ(Eval("(-2147483648)::INTEGER - 1::INTEGER"), "!22003");
    EXPECT_EQ(Eval("65536::INTEGER * 65536::INTEGER"), "!22003");
    EXPECT_EQ(Eval("9223372036854775807::BIGINT + 1::BIGINT"), "!22003");
    EXPECT_EQ(Eval("9223372036854775807::BIGINT * 2::BIGINT"), "!22003");
    EXPECT_EQ(Eval("70000::INTEGER::SMALLINT"), "!22003");
    EXPECT_EQ(Eval("'abc'::INTEGER"), "!22P02");
    EXPECT_EQ(Eval("'abc'::DATE"), "!22007");
    EXPECT_EQ(Eval("'2020-13-13'::TIMESTAMP"), "!22008");
    EXPECT_EQ(Eval("5 // 0"), "!22012");
    EXPECT_EQ(Query("SELECT * FROM nosuch"), "!XX000");
}

TEST_F(FunctionsTest, Floats) {
    EXPECT_EQ(Call("ivy_add", "DOUBLE", "1.5", "2.25"), "3.75");
    EXPECT_EQ(Call("ivy_add", "DOUBLE", "1e308", "1e308"), "!22003");
    EXPECT_EQ(Call("ivy_add", "DOUBLE", "Infinity", "1"), "inf");
    EXPECT_EQ(Eval("isnan(ivy_add('Infinity'::DOUBLE, '-Infinity'::DOUBLE))"), "true");
    EXPECT_EQ(Call("ivy_sub", "DOUBLE", "-1e308", "1e308"), "!22003");
    EXPECT_EQ(Call("ivy_sub", "DOUBLE", "NULL", "1"), "NULL");
    EXPECT_EQ(Call("ivy_mul", "DOUBLE", "1e200", "1e200"), "!22003");
    EXPECT_EQ(Call("ivy_mul", "DOUBLE", "1e-200", "1e-200"), "!22003");
    EXPECT_EQ(Call("ivy_mul", "DOUBLE", "0", "1e-200"), "0.0");
    EXPECT_EQ(Eval("isnan(ivy_mul(0::DOUBLE, 'Infinity'::DOUBLE))"), "true");
    EXPECT_EQ(Call("ivy_fdiv", "DOUBLE", "1", "4"), "0.25");
    EXPECT_EQ(Call("ivy_fdiv", "DOUBLE", "1", "0"), "!22012");
    EXPECT_EQ(Call("ivy_fdiv", "DOUBLE", "0", "0"), "!22012");
    EXPECT_EQ(Call("ivy_fdiv", "DOUBLE", "Infinity", "0"), "!22012");
    EXPECT_EQ(Call("ivy_fdiv", "DOUBLE", "NaN", "0"), "nan");
    EXPECT_EQ(Call("ivy_fdiv", "DOUBLE", "1", "Infinity"), "0.0");
    EXPECT_EQ(Call("ivy_fdiv", "DOUBLE", "1e-300", "1e300"), "!22003");
    EXPECT_EQ(Call("ivy_fdiv", "DOUBLE", "1e300", "1e-300"), "!22003");
    EXPECT_EQ(Call("ivy_add", "FLOAT", "3e38", "3e38"), "!22003");
    EXPECT_EQ(Call("ivy_mul", "FLOAT", "1e-30", "1e-30"), "!22003");
    EXPECT_EQ(Call("ivy_fdiv", "FLOAT", "1", "3"), "0.33333334");
    EXPECT_EQ(Call("ivy_fdiv", "FLOAT", "1", "-0"), "!22012");
}

TEST_F(FunctionsTest, Rounding) {
    EXPECT_EQ(Eval("ivy_round_half_even(0.5::DOUBLE)"), "0.0");
    EXPECT_EQ(Eval("ivy_round_half_even(1.5::DOUBLE)"), "2.0");
    EXPECT_EQ(Eval("ivy_round_half_even((-2.5)::DOUBLE)"), "-2.0");
    EXPECT_EQ(Eval("ivy_round_half_even(NULL::DOUBLE)"), "NULL");
    EXPECT_EQ(Eval("ivy_round(2.5::DECIMAL(10,2), 0)"), "3");
    EXPECT_EQ(Eval("ivy_round((-2.5)::DECIMAL(10,2), 0)"), "-3");
    EXPECT_EQ(Eval("ivy_round(1.005::DECIMAL(4,3), 2)"), "1.01");
    EXPECT_EQ(Eval("ivy_round(9.999::DECIMAL(4,3), 2)"), "10.00");
    EXPECT_EQ(Eval("ivy_round(1.5::DECIMAL(4,1), 4)"), "1.5000");
    EXPECT_EQ(Eval("ivy_round(1555::DECIMAL(4,0), -1)"), "1560");
    EXPECT_EQ(Eval("ivy_round(9555::DECIMAL(4,0), -3)"), "10000");
    EXPECT_EQ(Eval("ivy_round(555::DECIMAL(4,0), -4)"), "0");
    EXPECT_EQ(Eval("ivy_round(5555::DECIMAL(4,0), -4)"), "10000");
    EXPECT_EQ(Eval("ivy_round(1::DECIMAL(38,0), -39)"), "0");
    EXPECT_EQ(Eval("ivy_round(NULL::DECIMAL(4,1), 0)"), "NULL");
    EXPECT_EQ(Eval("ivy_round(99999999999999999999999999999999999999::DECIMAL(38,0), 1)"), "!22003");
    EXPECT_EQ(Eval("ivy_round(99999999999999999999999999999999999999::DECIMAL(38,0), -1)"), "!22003");
    EXPECT_EQ(Eval("ivy_round(0::DECIMAL(38,0), 10)"), "0.0000000000");
    EXPECT_EQ(Eval("typeof(ivy_round(1::DECIMAL(10,2), 1))"), "DECIMAL(10,1)");
    EXPECT_EQ(Eval("ivy_trunc((-2.59)::DECIMAL(10,2), 1)"), "-2.5");
    EXPECT_EQ(Eval("ivy_trunc(2999::DECIMAL(10,0), -3)"), "2000");
    EXPECT_EQ(Query("SELECT sum(ivy_round(x::DECIMAL(10,3), 2)) FROM (SELECT unnest([1.005, -1.005, 2.5]) AS x)"),
              "2.50");
}

TEST_F(FunctionsTest, Sums) {
    EXPECT_EQ(Query("SELECT sum(x) FROM (SELECT unnest([9223372036854775807, 9223372036854775807]) AS x)"),
              "18446744073709551614");
    EXPECT_EQ(Query("SELECT typeof(sum(x)) FROM (SELECT 1::INTEGER AS x)"), "HUGEINT");
    EXPECT_EQ(Query("SELECT typeof(sum(x)) FROM (SELECT 1::DECIMAL(10,2) AS x)"), "DECIMAL(38,2)");
    EXPECT_EQ(Query("SELECT sum(x) FROM (SELECT unnest(['99999999999999999999999999999999999999'::DECIMAL(38,0),"
                    " '99999999999999999999999999999999999999'::DECIMAL(38,0)]) AS x)"),
              "!22003");
}

TEST_F(FunctionsTest, Percentiles) {
    EXPECT_EQ(Eval("ivy_percentile_row(0.5::DOUBLE, 4)"), "2");
    EXPECT_EQ(Eval("ivy_percentile_row(0.51::DOUBLE, 4)"), "3");
    EXPECT_EQ(Eval("ivy_percentile_row(0::DOUBLE, 4)"), "1");
    EXPECT_EQ(Eval("ivy_percentile_row(0.5::DOUBLE, 0)"), "NULL");
    EXPECT_EQ(Eval("ivy_percentile_row('nan'::DOUBLE, 0)"), "!22003");
    EXPECT_EQ(Eval("ivy_percentile_cont(0.25::DOUBLE, [1, 2, 4]::DOUBLE[])"), "1.5");
    EXPECT_EQ(Eval("ivy_percentile_cont(1::DOUBLE, [1, 2, 4]::DOUBLE[])"), "4.0");
    EXPECT_EQ(Eval("ivy_percentile_cont(0.5::DOUBLE, []::DOUBLE[])"), "NULL");
    EXPECT_EQ(Eval("ivy_percentile_cont(1.5::DOUBLE, []::DOUBLE[])"), "!22003");
}

TEST_F(FunctionsTest, Modes) {
    EXPECT_EQ(Eval("ivy_mode_row(['a', 'b', 'b', 'c', 'c'])"), "2");
    EXPECT_EQ(Eval("ivy_mode_row([1])"), "1");
    EXPECT_EQ(Eval("ivy_mode_row([]::INTEGER[])"), "NULL");
    // Neighbours in different lists are not the same run; lists that share a child vector.
    EXPECT_EQ(Query("SELECT string_agg(ivy_mode_row(l)::VARCHAR, ' ' ORDER BY i) FROM (VALUES (1, [1, 1, 2]), (2, [2, "
                    "2, 1, 1, 1]), "
                    "(3, [1, 3]), (4, []), (5, NULL)) t(i, l)"),
              "1 3 1");
    // Lists longer than a vector: runs over its borders, and of texts that don't fit into the vector itself.
    EXPECT_EQ(Query("SELECT ivy_mode_row(list(i // 7 ORDER BY i)) FROM range(100000) t(i)"), "1");
    EXPECT_EQ(Query("SELECT ivy_mode_row(list(CASE WHEN i BETWEEN 4000 AND 4200 THEN 4000 ELSE i END ORDER BY i)) FROM "
                    "range(9000) t(i)"),
              "4001");
    EXPECT_EQ(Query("SELECT sum(m) FROM (SELECT ivy_mode_row(list('a long text that is not inlined ' || (i // 3) ORDER "
                    "BY i)) AS m "
                    "FROM range(60000) t(i) GROUP BY i % 2)"),
              "3");
}

TEST_F(FunctionsTest, NumericOfAList) {
    EXPECT_EQ(Eval("ivy_num_at(['1', '2.0', '2.0', '3'], 2)"), "2.0");
    EXPECT_EQ(Eval("ivy_num_at(['1', '2.0', '2.00', '3'], 2)"), "!0A000");
    EXPECT_EQ(Eval("ivy_num_at(['1.0', '1', '2'], 2)"), "!0A000");
    EXPECT_EQ(Eval("ivy_num_at(['1.0', '1', '2'], 3)"), "2");
    EXPECT_EQ(Eval("ivy_num_at(['1'], NULL)"), "NULL");
}

TEST_F(FunctionsTest, ArrayTexts) {
    EXPECT_EQ(Eval("ivy_array(['a', NULL, '', 'NuLL', 'nullx', 'a b', '{', '\"', '\\', ','])"),
              R"({a,NULL,"","NuLL",nullx,"a b","{","\"","\\",","})");
    EXPECT_EQ(Eval("ivy_array([]::VARCHAR[])"), "{}");
}

// Of constants, of values whose sum overflows, of infinities; of several states that are merged.
TEST_F(FunctionsTest, FloatStatistics) {
    const auto of = [](const char* aggregate, const char* values) {
        return Query(std::string("SELECT ") + aggregate + " FROM (VALUES " + values + ") t(y, x)");
    };
    EXPECT_EQ(of("ivy_float_var_pop(y)", "(1::DOUBLE, 1::DOUBLE), (3, 1)"), "1.0");
    EXPECT_EQ(of("ivy_float_stddev_samp(y)", "(1::DOUBLE, 1::DOUBLE)"), "NULL");
    EXPECT_EQ(of("isnan(ivy_float_stddev_samp(y))", "('inf'::DOUBLE, 1::DOUBLE), (1, 1)"), "true");
    EXPECT_EQ(of("isnan(ivy_float_var_pop(y))", "('inf'::DOUBLE, 1::DOUBLE)"), "true");
    EXPECT_EQ(of("ivy_float_var_samp(y)", "(1e308::DOUBLE, 1::DOUBLE), (-1e308, 1)"), "!22003");
    EXPECT_EQ(of("ivy_corr(y, x)", "(1::DOUBLE, 5::DOUBLE), (2, 5)"), "NULL");
    EXPECT_EQ(of("ivy_regr_r2(y, x)", "(1::DOUBLE, 5::DOUBLE), (1, 6)"), "1.0");
    EXPECT_EQ(of("ivy_regr_slope(y, x)", "(1::DOUBLE, 2::DOUBLE), (3, 4), (5, NULL)"), "1.0");
    EXPECT_EQ(of("ivy_regr_intercept(y, x)", "(1::DOUBLE, 2::DOUBLE), (3, 4)"), "-1.0");
    EXPECT_EQ(of("isnan(ivy_covar_samp(y, x))", "(1::DOUBLE, 2::DOUBLE), (3, 'inf')"), "true");
    // The integers to 1,000,000 in many states: variance (n * n - 1) / 12.
    EXPECT_EQ(Query("SELECT round(ivy_float_var_pop(i::DOUBLE), 3) FROM range(1000000) t(i)"), "83333333333.25");
    EXPECT_EQ(Query("SELECT round(ivy_covar_pop(i::DOUBLE, -i::DOUBLE), 3) FROM range(1000000) t(i)"),
              "-83333333333.25");
}

TEST_F(FunctionsTest, DateTrunc) {
    const std::string when = "2001-02-16 20:38:40.123456";
    EXPECT_EQ(DateTrunc("microseconds", when), "2001-02-16 20:38:40.123456");
    EXPECT_EQ(DateTrunc("milliseconds", when), "2001-02-16 20:38:40.123");
    EXPECT_EQ(DateTrunc("second", when), "2001-02-16 20:38:40");
    EXPECT_EQ(DateTrunc("MINUTE", when), "2001-02-16 20:38:00");
    EXPECT_EQ(DateTrunc("hour", when), "2001-02-16 20:00:00");
    EXPECT_EQ(DateTrunc("day", when), "2001-02-16 00:00:00");
    EXPECT_EQ(DateTrunc("week", when), "2001-02-12 00:00:00");
    EXPECT_EQ(DateTrunc("month", when), "2001-02-01 00:00:00");
    EXPECT_EQ(DateTrunc("quarter", "2001-12-31 23:59:59"), "2001-10-01 00:00:00");
    EXPECT_EQ(DateTrunc("year", when), "2001-01-01 00:00:00");
    EXPECT_EQ(DateTrunc("decade", when), "2000-01-01 00:00:00");
    EXPECT_EQ(DateTrunc("century", "2000-06-01"), "1901-01-01 00:00:00");
    EXPECT_EQ(DateTrunc("century", when), "2001-01-01 00:00:00");
    EXPECT_EQ(DateTrunc("millennium", "2000-12-31"), "1001-01-01 00:00:00");
    EXPECT_EQ(DateTrunc("millennium", when), "2001-01-01 00:00:00");
    EXPECT_EQ(DateTrunc("week", "2005-01-01"), "2004-12-27 00:00:00");
    EXPECT_EQ(DateTrunc("week", "1969-12-28 12:00:00"), "1969-12-22 00:00:00");
    EXPECT_EQ(DateTrunc("day", "1969-12-31 23:59:59.999999"), "1969-12-31 00:00:00");
    EXPECT_EQ(DateTrunc("month", "2000-02-29"), "2000-02-01 00:00:00");
    EXPECT_EQ(DateTrunc("mons", "1900-02-28"), "1900-02-01 00:00:00");
    EXPECT_EQ(DateTrunc("century", "0055-08-10 (BC)"), "0100-01-01 (BC) 00:00:00");
    EXPECT_EQ(DateTrunc("decade", "0002-12-31 (BC)"), "0011-01-01 (BC) 00:00:00");
    EXPECT_EQ(DateTrunc("century", "infinity"), "infinity");
    EXPECT_EQ(DateTrunc("century", "-infinity"), "-infinity");
    EXPECT_EQ(DateTrunc("fortnight", when), "!22023");
    EXPECT_EQ(DateTrunc("timezone", when), "!0A000");
    EXPECT_EQ(DateTrunc("timezone", "infinity"), "!0A000");
    EXPECT_EQ(DateTrunc("millennium", "4700-01-01 (BC)"), "!22008");
    EXPECT_EQ(Eval("ivy_date_trunc('day', NULL::TIMESTAMP)"), "NULL");
    EXPECT_EQ(Eval("ivy_date_trunc(NULL, now()::TIMESTAMP)"), "NULL");
}

TEST_F(FunctionsTest, ConfigurationIsClosed) {
    EXPECT_EQ(Query("SET threads = 1").substr(0, 1), "!");
    EXPECT_EQ(Query("SET enable_external_access = true").substr(0, 1), "!");
    EXPECT_EQ(Query("SET lock_configuration = false").substr(0, 1), "!");
    EXPECT_EQ(Query("SET SESSION \"TimeZone\" = 'Asia/Shanghai'"), "");
    EXPECT_EQ(Query("SET SESSION \"TimeZone\" = 'No/Where'").substr(0, 1), "!");
}

TEST_F(FunctionsTest, Expect) {
    EXPECT_EQ(Eval("ivy_expect(1, 'INTEGER')"), "1");
    EXPECT_EQ(Eval("ivy_expect(NULL::DECIMAL(4,1), 'DECIMAL(4,1)')"), "NULL");
    EXPECT_EQ(Eval("ivy_expect({'a': [1]}, 'STRUCT(a INTEGER[])')"), "{'a': [1]}");
    EXPECT_EQ(Eval("ivy_expect('nan'::DOUBLE, 'DOUBLE')"), "nan");
    EXPECT_EQ(Eval("ivy_expect(NULL::FLOAT, 'FLOAT')"), "NULL");
    EXPECT_EQ(Eval("ivy_expect(1::FLOAT, 'DOUBLE')"), "!55000");
    EXPECT_EQ(Eval("ivy_expect(1, 'BIGINT')"), "!55000");
}

// What a client's query may not do, whatever its SQL says.
TEST_F(FunctionsTest, ClientsReadOnlyAnnouncedFiles) {
    for (const char* sql :
         {"SELECT * FROM read_text('/etc/passwd')", "SELECT * FROM glob('/etc/*')",
          "SELECT * FROM read_csv('/etc/passwd')", "SELECT 1 WHERE EXISTS (FROM read_csv('/etc/passwd'))",
          "WITH w AS MATERIALIZED (FROM read_csv(['/etc/passwd'])) SELECT (SELECT count(*) FROM w)",
          "COPY (SELECT 1) TO '/tmp/ivy_should_not_exist.csv'", "ATTACH '/tmp/ivy_should_not_exist.db'"}) {
        EXPECT_EQ(Query(sql, true), "!42501") << sql;
    }
}

TEST_F(FunctionsTest, FloatsAreShownWithTheirShortestDigits) {
    EXPECT_EQ(Eval("ivy_double_text(0.1, '1')"), "0.1");
    EXPECT_EQ(Eval("ivy_double_text('-0'::DOUBLE, '1')"), "-0");
    EXPECT_EQ(Eval("ivy_double_text(1e15, '1')"), "1e+15");
    EXPECT_EQ(Eval("ivy_double_text(123456789012345, '1')"), "123456789012345");
    EXPECT_EQ(Eval("ivy_double_text(0.0001, '1')"), "0.0001");
    EXPECT_EQ(Eval("ivy_double_text(0.00001, '1')"), "1e-05");
    EXPECT_EQ(Eval("ivy_double_text(0.1::DOUBLE + 0.2::DOUBLE, '1')"), "0.30000000000000004");
    EXPECT_EQ(Eval("ivy_double_text(0.1::DOUBLE + 0.2::DOUBLE, '0')"), "0.3");
    // Halfway between this double and the next: the server doesn't take such digits.
    EXPECT_EQ(Eval("ivy_double_text(1e23::DOUBLE, '1')"), "9.999999999999999e+22");
    EXPECT_EQ(Eval("ivy_float_text('inf'::FLOAT, '1')"), "Infinity");
    EXPECT_EQ(Eval("ivy_float_text(16777216::FLOAT, '1')"), "1.6777216e+07");
}

TEST_F(FunctionsTest, TextThatIsNoValueIsAnError) {
    EXPECT_EQ(Eval("ivy_int4_of_text(' -0x1F ')"), "-31");
    EXPECT_EQ(Eval("ivy_int4_of_text('1.5')"), "!22P02");
    EXPECT_EQ(Eval("ivy_int4_of_text('2147483648')"), "!22003");
    EXPECT_EQ(Eval("ivy_int8_of_text('-9223372036854775808')"), "-9223372036854775808");
    EXPECT_EQ(Eval("ivy_num_of_text('1_000.50e-2')"), "10.0050");
    EXPECT_EQ(Eval("ivy_num_of_text('1__0')"), "!22P02");
    EXPECT_EQ(Eval("ivy_bool_of_text(' YeS ')"), "true");
    EXPECT_EQ(Eval("ivy_bool_of_text('o')"), "!22P02");
    EXPECT_EQ(Eval("ivy_date_of_text('2024-02-30')"), "!22008");
    EXPECT_EQ(Eval("ivy_date_of_text('30.1.2024')"), "!0A000");
    EXPECT_EQ(Eval("ivy_uuid_of_text('123')"), "!22P02");
}

TEST_F(FunctionsTest, FormatsFollowTheServer) {
    EXPECT_EQ(
        Eval("ivy_timestamp_format('2024-02-29 13:05:06.789'::TIMESTAMP, 'FMDay DDth Mon YYYY HH12:MI:SS.MS am IW Q')"),
        "Thursday 29th Feb 2024 01:05:06.789 pm 09 1");
    EXPECT_EQ(Eval("ivy_timestamp_format('infinity'::TIMESTAMP, 'YYYY')"), "NULL");
    EXPECT_EQ(Eval("ivy_timestamp_format('2024-01-01'::TIMESTAMP, 'TMMon')"), "!0A000");
    EXPECT_EQ(Eval("ivy_num_format('-1234.567', '9G999D99', '1.234,5')"), "-1.234,57");
    EXPECT_EQ(Eval("ivy_integer_format(1234, 'FM999', '1,234.5')"), "###");
    EXPECT_EQ(Eval("ivy_integer_format(1, '9.9.9', '1,234.5')"), "!42601");
}

TEST_F(FunctionsTest, ArraysAreReadFromTheirText) {
    EXPECT_EQ(Eval("ivy_array_elements('[0:1]={\"a\\\"b\",NULL}')"), "['a\"b', NULL]");
    EXPECT_EQ(Eval("ivy_array_element('[0:1]={7,8}', 0)"), "7");
    EXPECT_EQ(Eval("ivy_array_length('{{1,2,3},{4,5,6}}', 2)"), "3");
    EXPECT_EQ(Eval("ivy_array_any('{1,NULL}', '2')"), "NULL");
    EXPECT_EQ(Eval("ivy_array_elements('{1')"), "!22000");
}

}  // namespace
}  // namespace ivy::engine
