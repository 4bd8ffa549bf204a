// SPDX-License-Identifier: Apache-2.0
//
// to_char: ivy_*_format(value, format). Numbers are also given how the session's locale separates digits (number_format.h).
#include "engine/date_format.h"
#include "engine/error_map.h"
#include "engine/functions.h"
#include "engine/number.h"
#include "engine/number_format.h"
#include "engine/scalar_function.h"

#include <limits>

namespace ivy::engine {

using duckdb::interval_t;
using duckdb::timestamp_t;

void RegisterFormats(duckdb::ExtensionLoader& loader) {
    AddScalar(loader, "ivy_timestamp_format", [](timestamp_t value, std::string_view text) -> std::optional<std::string> {
        const auto& format = Known<DateFormat>(text);
        if (text.empty() || !value.IsFinite()) return {};
        return format.Format(DateParts::OfTimestamp(value.value));
    });
    AddScalar(loader, "ivy_interval_format", [](interval_t value, std::string_view text) -> std::optional<std::string> {
        const auto& format = Known<DateFormat>(text);
        if (text.empty() || IntervalInfinity(value) != 0) return {};
        return format.Format(DateParts::OfInterval(value.months, value.days, value.micros));
    });
    AddScalar(loader, "ivy_integer_format", [](int64_t value, std::string_view picture, std::string_view symbols) -> std::string {
        return Known<NumberFormat>(picture).FormatInteger(value, symbols);
    });
    AddScalar(loader, "ivy_num_format",
              [](std::string_view value, std::string_view picture, std::string_view symbols) -> std::string {
                  const auto& format = Known<NumberFormat>(picture);
                  return format.FormatDecimal(Round(Number::Parse(value), format.Decimals()).Text(), symbols);
              });
    AddScalar(loader, "ivy_double_format", [](double value, std::string_view picture, std::string_view symbols) -> std::string {
        return Known<NumberFormat>(picture).FormatFloat(value, std::numeric_limits<double>::digits10, symbols);
    });
    AddScalar(loader, "ivy_float_format", [](float value, std::string_view picture, std::string_view symbols) -> std::string {
        return Known<NumberFormat>(picture).FormatFloat(static_cast<double>(value), std::numeric_limits<float>::digits10, symbols);
    });
}

}  // namespace ivy::engine
