// SPDX-License-Identifier: Apache-2.0
//
// to_char: ivy_*_format(value, format). Numbers are also given how the session's locale separates digits (number_format.h).
// And to_date and to_timestamp of texts that look just like their format: ivy_by_format(text, format). The server takes more, such
// as fewer digits or other separators; that is left to it.
#include "engine/calendar.h"
#include "engine/date_format.h"
#include "engine/error_map.h"
#include "engine/functions.h"
#include "engine/number.h"
#include "engine/number_format.h"
#include "engine/scalar_function.h"

#include <algorithm>
#include <limits>

namespace ivy::engine {

using duckdb::interval_t;
using duckdb::timestamp_t;

namespace {

// The fields of a text by a format of fixed width, as a timestamp. Only fields that the translator lets pass are known here.
timestamp_t ByFormat(std::string_view text, std::string_view format) {
    struct Field {
        std::string_view name;
        int64_t value;
    };
    Field fields[] = {{"YYYY", 1}, {"MM", 1}, {"DD", 1}, {"HH24", 0}, {"MI", 0}, {"SS", 0}};
    const std::string_view whole = text;
    const auto unknown = [whole] {
        ThrowSqlError(sqlstate::kFeatureNotSupported,
                      "date that is not just as its format: \"" + std::string(whole) + "\"");
    };
    while (!format.empty()) {
        Field* field = nullptr;
        for (Field& known : fields) {
            if (format.starts_with(known.name)) field = &known;
        }
        if (field == nullptr) {
            if (!text.starts_with(format[0])) unknown();
            text.remove_prefix(1);
            format.remove_prefix(1);
            continue;
        }
        const size_t digits = field->name == "YYYY" ? 4 : 2;
        const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
        if (text.size() < digits ||
            !std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(digits), is_digit))
            unknown();
        field->value = 0;
        for (size_t i = 0; i < digits; i++) field->value = field->value * 10 + (text[i] - '0');
        text.remove_prefix(digits);
        format.remove_prefix(field->name.size());
    }
    const Date date{fields[0].value, fields[1].value, fields[2].value};
    if (!text.empty() || date.year == 0) unknown();
    const int64_t hour = fields[3].value;
    const int64_t minute = fields[4].value;
    const int64_t second = fields[5].value;
    if (date.month < 1 || date.month > 12 || date.day < 1 || date.day > DaysInMonth(date.year, date.month) ||
        hour > 23 || minute > 59 || second > 59) {
        ThrowSqlError(sqlstate::kDatetimeOverflow,
                      "date/time field value out of range: \"" + std::string(whole) + "\"");
    }
    return timestamp_t(ToDays(date) * kDayMicros + ((hour * 60 + minute) * 60 + second) * 1000000);
}

}  // namespace

void RegisterFormats(duckdb::ExtensionLoader& loader) {
    AddScalar(loader, "ivy_timestamp_format",
              [](timestamp_t value, std::string_view text) -> std::optional<std::string> {
                  const auto& format = Known<DateFormat>(text);
                  if (text.empty() || !value.IsFinite()) return {};
                  return format.Format(DateParts::OfTimestamp(value.value));
              });
    AddScalar(loader, "ivy_by_format",
              [](std::string_view text, std::string_view format) -> timestamp_t { return ByFormat(text, format); });
    AddScalar(loader, "ivy_interval_format", [](interval_t value, std::string_view text) -> std::optional<std::string> {
        const auto& format = Known<DateFormat>(text);
        if (text.empty() || IntervalInfinity(value) != 0) return {};
        return format.Format(DateParts::OfInterval(value.months, value.days, value.micros));
    });
    AddScalar(loader, "ivy_integer_format",
              [](int64_t value, std::string_view picture, std::string_view symbols) -> std::string {
                  return Known<NumberFormat>(picture).FormatInteger(value, symbols);
              });
    AddScalar(loader, "ivy_num_format",
              [](std::string_view value, std::string_view picture, std::string_view symbols) -> std::string {
                  const auto& format = Known<NumberFormat>(picture);
                  return format.FormatDecimal(Round(Number::Parse(value), format.Decimals()).Text(), symbols);
              });
    AddScalar(loader, "ivy_double_format",
              [](double value, std::string_view picture, std::string_view symbols) -> std::string {
                  return Known<NumberFormat>(picture).FormatFloat(value, std::numeric_limits<double>::digits10,
                                                                  symbols);
              });
    AddScalar(loader, "ivy_float_format",
              [](float value, std::string_view picture, std::string_view symbols) -> std::string {
                  return Known<NumberFormat>(picture).FormatFloat(static_cast<double>(value),
                                                                  std::numeric_limits<float>::digits10, symbols);
              });
}

}  // namespace ivy::engine
