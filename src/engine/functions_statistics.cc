// SPDX-License-Identifier: Apache-2.0
//
// Statistics over floats: ivy_float_* (one argument), ivy_regr_*, ivy_covar_*, ivy_corr (y, x). The sums are kept and merged
// by the method of Youngs and Cramer, as the server does, so that the same rows in the same order give the same bits; what
// is infinite or overflows is told apart in the same way.
#include <duckdb.hpp>

#include <duckdb/main/extension/extension_loader.hpp>

#include <cmath>
#include <limits>
#include <optional>

#include "engine/error_map.h"
#include "engine/functions.h"

namespace ivy::engine {
namespace {

using duckdb::LogicalType;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

[[noreturn]] void Overflow() { ThrowSqlError(sqlstate::kNumericOutOfRange, "value out of range: overflow"); }

// The merged sum of two; an infinity is only right if it was there before.
double Merge(double a, double b, double between) {
    const double sum = a + b + between;
    if (std::isinf(sum) && !std::isinf(a) && !std::isinf(b)) Overflow();
    return sum;
}

// --- one variable ----------------------------------------------------------------------------------------------------------

// Of the values x so far. Zeroed memory at first.
struct Moments {
    double n;
    double sum;      // of x
    double squares;  // of x - sum/n
};

void Add(Moments* m, double x) {
    const Moments before = *m;
    m->n += 1;
    m->sum += x;
    if (before.n == 0) {
        if (!std::isfinite(x)) m->squares = kNaN;
        return;
    }
    const double difference = x * m->n - m->sum;
    m->squares += difference * difference / (m->n * before.n);
    if (std::isinf(m->sum) || std::isinf(m->squares)) {
        if (!std::isinf(before.sum) && !std::isinf(x)) Overflow();
        m->squares = kNaN;
    }
}

void Add(Moments* m, const Moments& other) {
    if (other.n == 0) return;
    if (m->n == 0) {
        *m = other;
        return;
    }
    const double n = m->n + other.n;
    const double difference = m->sum / m->n - other.sum / other.n;
    m->squares = Merge(m->squares, other.squares, m->n * other.n * difference * difference / n);
    m->sum = Merge(m->sum, other.sum, 0);
    m->n = n;
}

using MomentsFn = std::optional<double> (*)(const Moments&);

std::optional<double> VarPop(const Moments& m) {
    if (m.n < 1) return {};
    return m.squares / m.n;
}
std::optional<double> VarSamp(const Moments& m) {
    if (m.n < 2) return {};
    return m.squares / (m.n - 1);
}
template <MomentsFn kVariance>
std::optional<double> RootOf(const Moments& m) {
    const auto variance = kVariance(m);
    if (!variance) return {};
    return std::sqrt(*variance);
}

// --- two variables -----------------------------------------------------------------------------------------------------------

// Of the pairs (y, x) so far. Zeroed memory at first.
struct Pairs {
    double n;
    double sum_x;
    double squares_x;
    double sum_y;
    double squares_y;
    double products;  // of both deviations from the mean
};

void Add(Pairs* p, double y, double x) {
    const Pairs before = *p;
    p->n += 1;
    p->sum_x += x;
    p->sum_y += y;
    if (before.n == 0) {
        if (!std::isfinite(x)) p->squares_x = p->products = kNaN;
        if (!std::isfinite(y)) p->squares_y = p->products = kNaN;
        return;
    }
    const double difference_x = x * p->n - p->sum_x;
    const double difference_y = y * p->n - p->sum_y;
    const double scale = 1.0 / (p->n * before.n);
    p->squares_x += difference_x * difference_x * scale;
    p->squares_y += difference_y * difference_y * scale;
    p->products += difference_x * difference_y * scale;
    const bool finite_x = !std::isinf(before.sum_x) && !std::isinf(x);
    const bool finite_y = !std::isinf(before.sum_y) && !std::isinf(y);
    if (((std::isinf(p->sum_x) || std::isinf(p->squares_x)) && finite_x) ||
        ((std::isinf(p->sum_y) || std::isinf(p->squares_y)) && finite_y) ||
        (std::isinf(p->products) && finite_x && finite_y)) {
        Overflow();
    }
    if (std::isinf(p->squares_x)) p->squares_x = kNaN;
    if (std::isinf(p->squares_y)) p->squares_y = kNaN;
    if (std::isinf(p->products)) p->products = kNaN;
}

void Add(Pairs* p, const Pairs& other) {
    if (other.n == 0) return;
    if (p->n == 0) {
        *p = other;
        return;
    }
    const double n = p->n + other.n;
    const double x = p->sum_x / p->n - other.sum_x / other.n;
    const double y = p->sum_y / p->n - other.sum_y / other.n;
    p->squares_x = Merge(p->squares_x, other.squares_x, p->n * other.n * x * x / n);
    p->squares_y = Merge(p->squares_y, other.squares_y, p->n * other.n * y * y / n);
    p->products = Merge(p->products, other.products, p->n * other.n * x * y / n);
    p->sum_x = Merge(p->sum_x, other.sum_x, 0);
    p->sum_y = Merge(p->sum_y, other.sum_y, 0);
    p->n = n;
}

using PairsFn = std::optional<double> (*)(const Pairs&);

template <double Pairs::* kMember, bool kMean = false>
std::optional<double> SumOf(const Pairs& p) {
    if (p.n < 1) return {};
    return kMean ? p.*kMember / p.n : p.*kMember;
}
std::optional<double> CovarSamp(const Pairs& p) {
    if (p.n < 2) return {};
    return p.products / (p.n - 1);
}
std::optional<double> Correlation(const Pairs& p) {
    if (p.n < 1 || p.squares_x == 0 || p.squares_y == 0) return {};
    return p.products / std::sqrt(p.squares_x * p.squares_y);
}
std::optional<double> Determination(const Pairs& p) {
    if (p.n < 1 || p.squares_x == 0) return {};
    if (p.squares_y == 0) return 1.0;
    return (p.products * p.products) / (p.squares_x * p.squares_y);
}
std::optional<double> Slope(const Pairs& p) {
    if (p.n < 1 || p.squares_x == 0) return {};
    return p.products / p.squares_x;
}
std::optional<double> Intercept(const Pairs& p) {
    if (p.n < 1 || p.squares_x == 0) return {};
    return (p.sum_y - p.sum_x * p.products / p.squares_x) / p.n;
}

// --- as aggregates -------------------------------------------------------------------------------------------------------------

template <typename Sums, auto kResult>
struct Statistic {
    static bool IgnoreNull() { return true; }
    template <class Input, class S, class Op>
    static void Operation(S& state, const Input& x, duckdb::AggregateUnaryInput&) {
        Add(&state, x);
    }
    template <class Input, class S, class Op>
    static void ConstantOperation(S& state, const Input& x, duckdb::AggregateUnaryInput&, duckdb::idx_t count) {
        for (duckdb::idx_t i = 0; i < count; i++) Add(&state, x);
    }
    template <class A, class B, class S, class Op>
    static void Operation(S& state, const A& y, const B& x, duckdb::AggregateBinaryInput&) {
        Add(&state, y, x);
    }
    template <class S, class Op>
    static void Combine(const S& source, S& target, duckdb::AggregateInputData&) {
        Add(&target, source);
    }
    template <class T, class S>
    static void Finalize(S& state, T& target, duckdb::AggregateFinalizeData& data) {
        const std::optional<double> value = kResult(state);
        if (!value) return data.ReturnNull();
        target = *value;
    }
};

void Register(duckdb::ExtensionLoader& loader, const char* name, duckdb::AggregateFunction function) {
    function.SetName(duckdb::Identifier(name));
    function.SetFallible();
    loader.RegisterFunction(std::move(function));
}

template <MomentsFn kResult>
void RegisterMoments(duckdb::ExtensionLoader& loader, const char* name) {
    using Op = Statistic<Moments, kResult>;
    const LogicalType type = LogicalType::DOUBLE;
    Register(loader, name, duckdb::AggregateFunction::UnaryAggregate<Moments, double, double, Op>(type, type));
}

template <PairsFn kResult>
void RegisterPairs(duckdb::ExtensionLoader& loader, const char* name) {
    using Op = Statistic<Pairs, kResult>;
    const LogicalType type = LogicalType::DOUBLE;
    Register(loader, name,
             duckdb::AggregateFunction::BinaryAggregate<Pairs, double, double, double, Op>(type, type, type));
}

}  // namespace

void RegisterStatistics(duckdb::ExtensionLoader& loader) {
    RegisterMoments<VarPop>(loader, "ivy_float_var_pop");
    RegisterMoments<VarSamp>(loader, "ivy_float_var_samp");
    RegisterMoments<RootOf<VarPop>>(loader, "ivy_float_stddev_pop");
    RegisterMoments<RootOf<VarSamp>>(loader, "ivy_float_stddev_samp");
    RegisterPairs<SumOf<&Pairs::squares_x>>(loader, "ivy_regr_sxx");
    RegisterPairs<SumOf<&Pairs::squares_y>>(loader, "ivy_regr_syy");
    RegisterPairs<SumOf<&Pairs::products>>(loader, "ivy_regr_sxy");
    RegisterPairs<SumOf<&Pairs::sum_x, true>>(loader, "ivy_regr_avgx");
    RegisterPairs<SumOf<&Pairs::sum_y, true>>(loader, "ivy_regr_avgy");
    RegisterPairs<SumOf<&Pairs::products, true>>(loader, "ivy_covar_pop");
    RegisterPairs<CovarSamp>(loader, "ivy_covar_samp");
    RegisterPairs<Correlation>(loader, "ivy_corr");
    RegisterPairs<Determination>(loader, "ivy_regr_r2");
    RegisterPairs<Slope>(loader, "ivy_regr_slope");
    RegisterPairs<Intercept>(loader, "ivy_regr_intercept");
}

}  // namespace ivy::engine
