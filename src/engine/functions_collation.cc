// SPDX-License-Identifier: Apache-2.0
//
// Text under collations that don't sort by bytes. The last argument, a constant, names the collation (collation.h).
//
//   ivy_collation_compare(a, b, name)   -1, 0 or 1
//   ivy_collation_key(a, name)          a BLOB that sorts as a does
//   ivy_collation_min, ivy_collation_max(a, name)   aggregates
#include <duckdb.hpp>

#include <duckdb/main/extension/extension_loader.hpp>

#include <string>

#include "engine/collation.h"
#include "engine/functions.h"

namespace ivy::engine {
namespace {

using duckdb::LogicalType;
using duckdb::string_t;

std::string_view View(const string_t& text) { return {text.GetData(), text.GetSize()}; }

// The collation of a call: the same for all rows, so it is looked up when the name changes.
class Cached {
  public:
    const Collation& Get(const string_t& name) {
        if (collation_ == nullptr || name_ != View(name)) {
            name_ = View(name);
            collation_ = &Collation::Get(name_);
        }
        return *collation_;
    }

  private:
    std::string name_;
    const Collation* collation_ = nullptr;
};

void Compare(duckdb::DataChunk& args, duckdb::ExpressionState&, duckdb::Vector& result) {
    Cached cached;
    duckdb::TernaryExecutor::Execute<string_t, string_t, string_t, int32_t>(
        args.data[0], args.data[1], args.data[2], result, [&](string_t a, string_t b, string_t name) {
            const int order = cached.Get(name).Compare(View(a), View(b));
            return order < 0 ? -1 : order > 0 ? 1 : 0;
        });
}

void Key(duckdb::DataChunk& args, duckdb::ExpressionState&, duckdb::Vector& result) {
    Cached cached;
    duckdb::BinaryExecutor::Execute<string_t, string_t, string_t>(
        args.data[0], args.data[1], result, args.size(), [&](string_t a, string_t name) {
            const std::string key = cached.Get(name).Key(View(a));
            return duckdb::StringVector::AddStringOrBlob(result, key.data(), key.size());
        });
}

struct Best {
    const Collation* collation;
    std::string text;
};

// A state owns what it points to; it is zeroed memory at first.
struct State {
    Best* best;
};

template <int kSign>
struct ExtremeAggregate {
    static bool IgnoreNull() { return true; }
    static void Offer(State& state, const Collation& collation, std::string_view text) {
        if (state.best == nullptr) {
            state.best = new Best{&collation, std::string(text)};
        } else if (collation.Compare(text, state.best->text) * kSign > 0) {
            state.best->text = text;
        }
    }
    template <class A, class B, class S, class Op>
    static void Operation(S& state, const A& text, const B& name, duckdb::AggregateBinaryInput&) {
        Offer(state, state.best != nullptr ? *state.best->collation : Collation::Get(View(name)), View(text));
    }
    template <class S, class Op>
    static void Combine(const S& source, S& target, duckdb::AggregateInputData&) {
        if (source.best != nullptr) Offer(target, *source.best->collation, source.best->text);
    }
    template <class T, class S>
    static void Finalize(S& state, T& target, duckdb::AggregateFinalizeData& data) {
        if (state.best == nullptr) return data.ReturnNull();
        target = duckdb::StringVector::AddString(data.result, state.best->text);
    }
    template <class S>
    static void Destroy(S& state, duckdb::AggregateInputData&) {
        delete state.best;
        state.best = nullptr;
    }
};

template <int kSign>
void RegisterExtreme(duckdb::ExtensionLoader& loader, const char* name) {
    using Op = ExtremeAggregate<kSign>;
    auto function = duckdb::AggregateFunction::BinaryAggregate<State, string_t, string_t, string_t, Op>(
        LogicalType::VARCHAR, LogicalType::VARCHAR, LogicalType::VARCHAR);
    function.SetName(duckdb::Identifier(name));
    function.SetStateDestructorCallback(duckdb::AggregateFunction::StateDestroy<State, Op>);
    function.SetFallible();
    function.SetOrderDependent(duckdb::AggregateOrderDependent::NOT_ORDER_DEPENDENT);
    loader.RegisterFunction(std::move(function));
}

}  // namespace

void RegisterCollation(duckdb::ExtensionLoader& loader) {
    const LogicalType text = LogicalType::VARCHAR;
    duckdb::ScalarFunction compare(duckdb::Identifier("ivy_collation_compare"),
                                   duckdb::vector<LogicalType>{text, text, text}, LogicalType::INTEGER, Compare);
    compare.SetFallible();
    loader.RegisterFunction(std::move(compare));
    duckdb::ScalarFunction key(duckdb::Identifier("ivy_collation_key"), duckdb::vector<LogicalType>{text, text},
                               LogicalType::BLOB, Key);
    key.SetFallible();
    loader.RegisterFunction(std::move(key));
    RegisterExtreme<-1>(loader, "ivy_collation_min");
    RegisterExtreme<1>(loader, "ivy_collation_max");
}

}  // namespace ivy::engine
