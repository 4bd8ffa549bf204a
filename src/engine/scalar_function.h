// SPDX-License-Identifier: Apache-2.0
//
// SQL functions from plain C++ functions: the types of arguments and result follow from the C++ ones.
//
//   AddScalar(loader, "ivy_left", [](std::string_view text, int32_t count) -> std::string { ... });
//
// Text comes as a view and goes as std::string or a view; std::optional is a result that may be NULL. Functions are strict
// and may throw (ThrowSqlError).
#pragma once

#include <duckdb.hpp>

#include <duckdb/common/vector_operations/variadic_executor.hpp>
#include <duckdb/main/extension/extension_loader.hpp>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace ivy::engine {

// Bytes that need not be text (BLOB).
struct BytesView {
    std::string_view bytes;
};
struct Bytes {
    std::string bytes;
};

namespace scalar {

// How a C++ type travels in vectors: its stored form, and the SQL type that it means by itself.
template <typename T>
struct Carrier {
    using Stored = T;
    static T In(const T& value) { return value; }
    static T Out(duckdb::Vector&, T value) { return value; }
};
template <>
struct Carrier<std::string_view> {
    using Stored = duckdb::string_t;
    static std::string_view In(const duckdb::string_t& text) { return {text.GetData(), text.GetSize()}; }
    static duckdb::string_t Out(duckdb::Vector& result, std::string_view text) {
        return duckdb::StringVector::AddString(result, text.data(), text.size());
    }
};
template <>
struct Carrier<std::string> {
    using Stored = duckdb::string_t;
    static duckdb::string_t Out(duckdb::Vector& result, const std::string& text) {
        return duckdb::StringVector::AddString(result, text.data(), text.size());
    }
};
template <>
struct Carrier<BytesView> {
    using Stored = duckdb::string_t;
    static BytesView In(const duckdb::string_t& text) { return {{text.GetData(), text.GetSize()}}; }
};
template <>
struct Carrier<Bytes> {
    using Stored = duckdb::string_t;
    static duckdb::string_t Out(duckdb::Vector& result, const Bytes& value) {
        return duckdb::StringVector::AddStringOrBlob(result, value.bytes.data(), value.bytes.size());
    }
};

template <typename T>
duckdb::LogicalType TypeOf() {
    using duckdb::LogicalType;
    if constexpr (std::is_same_v<T, bool>)
        return LogicalType::BOOLEAN;
    else if constexpr (std::is_same_v<T, int16_t>)
        return LogicalType::SMALLINT;
    else if constexpr (std::is_same_v<T, int32_t>)
        return LogicalType::INTEGER;
    else if constexpr (std::is_same_v<T, int64_t>)
        return LogicalType::BIGINT;
    else if constexpr (std::is_same_v<T, float>)
        return LogicalType::FLOAT;
    else if constexpr (std::is_same_v<T, double>)
        return LogicalType::DOUBLE;
    else if constexpr (std::is_same_v<T, duckdb::hugeint_t>)
        return LogicalType::HUGEINT;
    else if constexpr (std::is_same_v<T, duckdb::date_t>)
        return LogicalType::DATE;
    else if constexpr (std::is_same_v<T, duckdb::dtime_t>)
        return LogicalType::TIME;
    else if constexpr (std::is_same_v<T, duckdb::timestamp_t>)
        return LogicalType::TIMESTAMP;
    else if constexpr (std::is_same_v<T, duckdb::interval_t>)
        return LogicalType::INTERVAL;
    else if constexpr (std::is_same_v<T, Bytes> || std::is_same_v<T, BytesView>)
        return LogicalType::BLOB;
    else
        return LogicalType::VARCHAR;
}

template <typename T>
struct Unwrapped {
    using Type = T;
    static constexpr bool kOptional = false;
};
template <typename T>
struct Unwrapped<std::optional<T>> {
    using Type = T;
    static constexpr bool kOptional = true;
};

// Runs "function" over the rows of a chunk.
template <typename R, typename... A, typename Function>
void Run(duckdb::DataChunk& args, duckdb::Vector& result, const Function& function) {
    using Value = typename Unwrapped<R>::Type;
    using Stored = typename Carrier<Value>::Stored;
    using Given = std::conditional_t<Unwrapped<R>::kOptional, duckdb::optional<Stored>, Stored>;
    duckdb::VariadicExecutor::Execute<Stored, typename Carrier<A>::Stored...>(
        args, result, [&](typename Carrier<A>::Stored... stored) -> Given {
            if constexpr (Unwrapped<R>::kOptional) {
                R value = function(Carrier<A>::In(stored)...);
                if (!value) return {};
                return Carrier<Value>::Out(result, std::move(*value));
            } else {
                return Carrier<Value>::Out(result, function(Carrier<A>::In(stored)...));
            }
        });
}

template <typename Function, typename R, typename Class, typename... A>
void AddAs(duckdb::ExtensionLoader& loader, const char* name, Function function, R (Class::*)(A...) const) {
    duckdb::ScalarFunction scalar(duckdb::Identifier(name), duckdb::vector<duckdb::LogicalType>{TypeOf<A>()...},
                                  TypeOf<typename Unwrapped<R>::Type>(),
                                  [function](duckdb::DataChunk& args, duckdb::ExpressionState&,
                                             duckdb::Vector& result) { Run<R, A...>(args, result, function); });
    scalar.SetFallible();
    loader.RegisterFunction(std::move(scalar));
}

}  // namespace scalar

// Registers a lambda as a SQL function.
template <typename Function>
void AddScalar(duckdb::ExtensionLoader& loader, const char* name, Function function) {
    scalar::AddAs(loader, name, function, &Function::operator());
}

// What a text that is nearly always the same for all rows means, kept for the next row. T is constructed from the text.
template <typename T>
const T& Known(std::string_view text) {
    thread_local std::string known;
    thread_local std::unique_ptr<T> value;
    if (!value || known != text) {
        value.reset();
        value = std::make_unique<T>(text);
        known = text;
    }
    return *value;
}

}  // namespace ivy::engine
