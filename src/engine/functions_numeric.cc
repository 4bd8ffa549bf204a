// SPDX-License-Identifier: Apache-2.0
//
// SQL functions over numerics in their text form (see number.h): ivy_num_*. An order or an equality of such texts is that
// of their ivy_num_key. Aggregates of text forms give text forms.
#include <duckdb.hpp>

#include <duckdb/main/extension/extension_loader.hpp>

#include <limits>
#include <memory>

#include "engine/error_map.h"
#include "engine/functions.h"
#include "engine/number.h"
#include "engine/scalar_function.h"

namespace ivy::engine {
namespace {

using duckdb::LogicalType;
using duckdb::string_t;

Number Read(const string_t& text) { return Number::Parse({text.GetData(), text.GetSize()}); }
string_t Write(duckdb::Vector& result, const Number& number) {
    return duckdb::StringVector::AddString(result, number.Text());
}

using UnaryFn = Number (*)(const Number&);
using BinaryFn = Number (*)(const Number&, const Number&);
using DigitsFn = Number (*)(const Number&, int);

template <UnaryFn kFunction>
void Unary(duckdb::DataChunk& args, duckdb::ExpressionState&, duckdb::Vector& result) {
    duckdb::UnaryExecutor::Execute<string_t, string_t>(args.data[0], result, args.size(),
                                                       [&](string_t a) { return Write(result, kFunction(Read(a))); });
}

template <BinaryFn kFunction>
void Binary(duckdb::DataChunk& args, duckdb::ExpressionState&, duckdb::Vector& result) {
    duckdb::BinaryExecutor::Execute<string_t, string_t, string_t>(
        args.data[0], args.data[1], result, args.size(),
        [&](string_t a, string_t b) { return Write(result, kFunction(Read(a), Read(b))); });
}

template <DigitsFn kFunction>
void ToDigits(duckdb::DataChunk& args, duckdb::ExpressionState&, duckdb::Vector& result) {
    duckdb::BinaryExecutor::Execute<string_t, int32_t, string_t>(
        args.data[0], args.data[1], result, args.size(),
        [&](string_t a, int32_t digits) { return Write(result, kFunction(Read(a), digits)); });
}

Number NegateOf(const Number& a) { return Negate(a); }
Number Absolute(const Number& a) { return a.Sign() < 0 ? Negate(a) : a; }
Number SignOf(const Number& a) { return a.IsNaN() ? a : Number::FromInteger(a.Sign()); }

void Key(duckdb::DataChunk& args, duckdb::ExpressionState&, duckdb::Vector& result) {
    duckdb::UnaryExecutor::Execute<string_t, string_t>(args.data[0], result, args.size(), [&](string_t a) {
        const std::string key = Read(a).Key();
        return duckdb::StringVector::AddStringOrBlob(result, key.data(), key.size());
    });
}

void Scale(duckdb::DataChunk& args, duckdb::ExpressionState&, duckdb::Vector& result) {
    duckdb::UnaryExecutor::Execute<string_t, int32_t>(args.data[0], result, args.size(),
                                                      [](string_t a) -> duckdb::optional<int32_t> {
                                                          const Number number = Read(a);
                                                          if (!number.IsFinite()) return {};
                                                          return number.scale;
                                                      });
}

template <typename T>
void ToInteger(duckdb::DataChunk& args, duckdb::ExpressionState&, duckdb::Vector& result) {
    constexpr const char* kName = sizeof(T) == 2 ? "smallint" : sizeof(T) == 4 ? "integer" : "bigint";
    duckdb::UnaryExecutor::Execute<string_t, T>(args.data[0], result, args.size(), [](string_t a) {
        return static_cast<T>(Read(a).ToInteger(std::numeric_limits<T>::min(), std::numeric_limits<T>::max(), kName));
    });
}

template <typename T>
void ToFloat(duckdb::DataChunk& args, duckdb::ExpressionState&, duckdb::Vector& result) {
    duckdb::UnaryExecutor::Execute<string_t, T>(args.data[0], result, args.size(),
                                                [](string_t a) { return Read(a).ToFloat<T>(); });
}

template <typename T>
void OfFloat(duckdb::DataChunk& args, duckdb::ExpressionState&, duckdb::Vector& result) {
    constexpr int kDigits = std::numeric_limits<T>::digits10;
    duckdb::UnaryExecutor::Execute<T, string_t>(args.data[0], result, args.size(), [&](T value) {
        return Write(result, Number::FromDouble(static_cast<double>(value), kDigits));
    });
}

// ivy_num_fit(number, precision, scale): the number as a value of numeric(precision, scale).
void Fit(duckdb::DataChunk& args, duckdb::ExpressionState&, duckdb::Vector& result) {
    duckdb::TernaryExecutor::Execute<string_t, int32_t, int32_t, string_t>(
        args.data[0], args.data[1], args.data[2], result, [&](string_t a, int32_t precision, int32_t scale) {
            const Number number = Read(a);
            if (number.IsNaN()) return Write(result, number);
            const Number rounded = Round(number, scale);
            const std::string text = rounded.Text();
            const size_t sign = text.starts_with('-') ? 1 : 0;
            size_t before = std::min(text.find('.'), text.size()) - sign;
            if (before == 1 && text[sign] == '0') before = 0;
            if (!number.IsFinite() || static_cast<int>(before) > precision - scale) {
                ThrowSqlError(sqlstate::kNumericOutOfRange, "numeric field overflow");
            }
            return Write(result, rounded);
        });
}

// ivy_num_variance and so on of (count, sum, sum of squares).
template <bool kSample, bool kRoot>
void DeviationOf(duckdb::DataChunk& args, duckdb::ExpressionState&, duckdb::Vector& result) {
    duckdb::TernaryExecutor::Execute<int64_t, string_t, string_t, string_t>(
        args.data[0], args.data[1], args.data[2], result, [&](int64_t count, string_t sum, string_t squares) {
            return Write(result, Deviation(Number::FromInteger(count), Read(sum), Read(squares), kSample, kRoot));
        });
}

// --- aggregates --------------------------------------------------------------------------------------------------------

// A state owns what it points to; it is zeroed memory at first.
template <typename T>
struct Owner {
    T* value;
};

struct AggregateBase {
    static bool IgnoreNull() { return true; }
    template <class Input, class State, class Op>
    static void ConstantOperation(State& state, const Input& input, duckdb::AggregateUnaryInput& unary,
                                  duckdb::idx_t count) {
        for (duckdb::idx_t i = 0; i < count; i++) Op::template Operation<Input, State, Op>(state, input, unary);
    }
    template <class State>
    static void Destroy(State& state, duckdb::AggregateInputData&) {
        delete state.value;
        state.value = nullptr;
    }
};

// value * 10^digits, as long as it fits.
bool Rescale(int64_t value, int digits, int64_t* out) {
    for (; digits > 0; digits--) {
        if (__builtin_mul_overflow(value, int64_t{10}, &value)) return false;
    }
    *out = value;
    return true;
}

// A number of at most 18 digits, written plainly, as an integer times 10^-scale.
bool ReadShort(const string_t& text, int64_t* value, int* scale) {
    const char* at = text.GetData();
    const char* const end = at + text.GetSize();
    if (text.GetSize() == 0 || text.GetSize() > 20) return false;
    const bool negative = *at == '-';
    const char* point = nullptr;
    int digits = 0;
    *value = 0;
    for (at += negative; at < end; at++) {
        if (*at == '.' && !point) {
            point = at;
        } else if (*at >= '0' && *at <= '9' && digits++ < 18) {
            *value = *value * 10 + (*at - '0');
        } else {
            return false;
        }
    }
    *scale = point ? static_cast<int>(end - point) - 1 : 0;
    if (negative) *value = -*value;
    return digits > 0;
}

// The scale of a sum is the largest of all summands', NaN and infinities left out. Short numbers are summed up as integers
// of 64 bits, which are added to the sum when they would overflow.
struct SumAggregate : AggregateBase {
    struct State {
        Number* value;  // owned; null: none yet
        int64_t small;  // times 10^-small_scale: not in value yet
        int32_t small_scale;
        bool has_small;
    };
    static void AddTo(State& state, const Number& number) {
        if (state.value == nullptr) {
            state.value = new Number(number);
        } else {
            *state.value = Add(*state.value, number);
        }
    }
    static void Settle(State& state) {
        if (!state.has_small) return;
        AddTo(state, {Number::Kind::kFinite, state.small_scale, mpz_class(static_cast<long>(state.small))});
        state.has_small = false;
    }
    static void AddSmall(State& state, int64_t value, int scale) {
        if (state.has_small) {
            int64_t sum = state.small, summand = value;
            const bool fits = scale > state.small_scale ? Rescale(sum, scale - state.small_scale, &sum)
                                                        : Rescale(summand, state.small_scale - scale, &summand);
            if (fits && !__builtin_add_overflow(sum, summand, &sum)) {
                state.small = sum;
                state.small_scale = std::max(scale, static_cast<int>(state.small_scale));
                return;
            }
            Settle(state);
        }
        state.small = value;
        state.small_scale = scale;
        state.has_small = true;
    }
    template <class Input, class S, class Op>
    static void Operation(S& state, const Input& input, duckdb::AggregateUnaryInput&) {
        int64_t value;
        int scale;
        if (ReadShort(input, &value, &scale)) {
            AddSmall(state, value, scale);
        } else {
            AddTo(state, Read(input));
        }
    }
    template <class S, class Op>
    static void Combine(const S& source, S& target, duckdb::AggregateInputData&) {
        if (source.has_small) AddSmall(target, source.small, source.small_scale);
        if (source.value != nullptr) AddTo(target, *source.value);
    }
    template <class T, class S>
    static void Finalize(S& state, T& target, duckdb::AggregateFinalizeData& data) {
        Settle(state);
        if (state.value == nullptr) {
            data.ReturnNull();
        } else {
            target = Write(data.result, *state.value);
        }
    }
};

// One of several values. Which of equal values with different display scales Postgres would give depends on the order in
// which it reads rows: then it has to say so itself.
struct Chosen {
    std::string key;
    std::string text;
    bool ambiguous = false;
};

struct Smaller {
    static bool Replaces(const std::string& candidate, const std::string& current) { return candidate < current; }
};
struct Larger {
    static bool Replaces(const std::string& candidate, const std::string& current) { return candidate > current; }
};
struct Any {
    static bool Replaces(const std::string&, const std::string&) { return false; }
};

template <typename Order>
struct ChooseAggregate : AggregateBase {
    using State = Owner<Chosen>;
    static void Offer(State& state, const Chosen& offered) {
        if (state.value == nullptr) {
            state.value = new Chosen(offered);
        } else if (offered.key == state.value->key) {
            state.value->ambiguous |= offered.ambiguous || offered.text != state.value->text;
        } else if (Order::Replaces(offered.key, state.value->key)) {
            *state.value = offered;
        }
    }
    template <class Input, class S, class Op>
    static void Operation(S& state, const Input& input, duckdb::AggregateUnaryInput&) {
        Offer(state, {Read(input).Key(), std::string(input.GetData(), input.GetSize()), false});
    }
    template <class S, class Op>
    static void Combine(const S& source, S& target, duckdb::AggregateInputData&) {
        if (source.value != nullptr) Offer(target, *source.value);
    }
    template <class T, class S>
    static void Finalize(S& state, T& target, duckdb::AggregateFinalizeData& data) {
        if (state.value == nullptr) return data.ReturnNull();
        if (state.value->ambiguous) {
            ThrowSqlError(sqlstate::kFeatureNotSupported, "display scale depends on the order of rows");
        }
        target = duckdb::StringVector::AddString(data.result, state.value->text);
    }
};

template <typename Op>
void RegisterAggregate(duckdb::ExtensionLoader& loader, const char* name) {
    auto function = duckdb::AggregateFunction::UnaryAggregate<typename Op::State, string_t, string_t, Op>(
        LogicalType::VARCHAR, LogicalType::VARCHAR);
    function.SetName(duckdb::Identifier(name));
    function.SetFallible();
    function.SetOrderDependent(duckdb::AggregateOrderDependent::NOT_ORDER_DEPENDENT);
    loader.RegisterFunction(std::move(function));
}

}  // namespace

void RegisterNumeric(duckdb::ExtensionLoader& loader) {
    const LogicalType text = LogicalType::VARCHAR;
    const LogicalType integer = LogicalType::INTEGER;
    const auto add = [&](const char* name, duckdb::vector<LogicalType> arguments, const LogicalType& result,
                         duckdb::scalar_function_t execute) {
        duckdb::ScalarFunction function(duckdb::Identifier(name), std::move(arguments), result, std::move(execute));
        function.SetFallible();
        loader.RegisterFunction(std::move(function));
    };
    add("ivy_num_add", {text, text}, text, Binary<Add>);
    add("ivy_num_sub", {text, text}, text, Binary<Subtract>);
    add("ivy_num_mul", {text, text}, text, Binary<Multiply>);
    add("ivy_num_mul_exact", {text, text}, text, Binary<MultiplyExactly>);
    add("ivy_num_div", {text, text}, text, Binary<Divide>);
    add("ivy_num_idiv", {text, text}, text, Binary<DivideToInteger>);
    add("ivy_num_mod", {text, text}, text, Binary<Modulo>);
    add("ivy_num_neg", {text}, text, Unary<NegateOf>);
    add("ivy_num_abs", {text}, text, Unary<Absolute>);
    add("ivy_num_sign", {text}, text, Unary<SignOf>);
    add("ivy_num_ceil", {text}, text, Unary<Ceiling>);
    add("ivy_num_floor", {text}, text, Unary<Floor>);
    add("ivy_num_sqrt", {text}, text, Unary<SquareRoot>);
    add("ivy_num_round", {text, integer}, text, ToDigits<Round>);
    add("ivy_num_trunc", {text, integer}, text, ToDigits<Truncate>);
    add("ivy_num_fit", {text, integer, integer}, text, Fit);
    add("ivy_num_key", {text}, LogicalType::BLOB, Key);
    add("ivy_num_scale", {text}, integer, Scale);
    add("ivy_num_int2", {text}, LogicalType::SMALLINT, ToInteger<int16_t>);
    add("ivy_num_int4", {text}, integer, ToInteger<int32_t>);
    add("ivy_num_int8", {text}, LogicalType::BIGINT, ToInteger<int64_t>);
    add("ivy_num_double", {text}, LogicalType::DOUBLE, ToFloat<double>);
    add("ivy_num_float", {text}, LogicalType::FLOAT, ToFloat<float>);
    add("ivy_num_of_double", {LogicalType::DOUBLE}, text, OfFloat<double>);
    add("ivy_num_of_float", {LogicalType::FLOAT}, text, OfFloat<float>);
    add("ivy_num_var_samp", {LogicalType::BIGINT, text, text}, text, DeviationOf<true, false>);
    add("ivy_num_var_pop", {LogicalType::BIGINT, text, text}, text, DeviationOf<false, false>);
    add("ivy_num_stddev_samp", {LogicalType::BIGINT, text, text}, text, DeviationOf<true, true>);
    add("ivy_num_stddev_pop", {LogicalType::BIGINT, text, text}, text, DeviationOf<false, true>);
    AddScalar(loader, "ivy_num_trim_scale",
              [](std::string_view a) -> std::string { return TrimScale(Number::Parse(a)).Text(); });
    AddScalar(loader, "ivy_num_min_scale", [](std::string_view a) -> std::optional<int32_t> {
        const Number number = TrimScale(Number::Parse(a));
        if (!number.IsFinite()) return {};
        return number.scale;
    });
    add("ivy_num_gcd", {text, text}, text, Binary<GreatestCommonDivisor>);
    add("ivy_num_lcm", {text, text}, text, Binary<LeastCommonMultiple>);
    AddScalar(loader, "ivy_factorial", [](int64_t n) -> std::string { return Factorial(n).Text(); });
    AddScalar(loader, "ivy_num_width_bucket",
              [](std::string_view value, std::string_view low, std::string_view high, int32_t count) -> int32_t {
                  const int64_t bucket =
                      WidthBucket(Number::Parse(value), Number::Parse(low), Number::Parse(high), count);
                  if (bucket > std::numeric_limits<int32_t>::max())
                      ThrowSqlError(sqlstate::kNumericOutOfRange, "integer out of range");
                  return static_cast<int32_t>(bucket);
              });
    RegisterAggregate<SumAggregate>(loader, "ivy_num_sum");
    RegisterAggregate<ChooseAggregate<Smaller>>(loader, "ivy_num_min");
    RegisterAggregate<ChooseAggregate<Larger>>(loader, "ivy_num_max");
    RegisterAggregate<ChooseAggregate<Any>>(loader, "ivy_num_one");
}

}  // namespace ivy::engine
