// SPDX-License-Identifier: Apache-2.0
// QueryInputs: the way from a session to its table functions.
#include "engine/query_inputs.h"

namespace ivy::engine {
namespace {
constexpr char kStateName[] = "ivy_query_inputs";
}

QueryInputs* QueryInputs::Find(duckdb::ClientContext& context) {
    return context.registered_state->Get<QueryInputs>(kStateName).get();
}

QueryInputs& QueryInputs::Of(duckdb::ClientContext& context) {
    QueryInputs* inputs = Find(context);
    if (!inputs) throw duckdb::BinderException("mirrors can be read in query sessions only");
    return *inputs;
}

QueryInputs& QueryInputs::Attach(duckdb::ClientContext& context) {
    return *context.registered_state->GetOrCreate<QueryInputs>(kStateName);
}

const QueryInputs::Mirror& QueryInputs::mirror(int64_t index) const {
    if (index < 0 || static_cast<size_t>(index) >= mirrors.size()) {
        throw duckdb::BinderException("query has no mirror " + std::to_string(index));
    }
    return mirrors[static_cast<size_t>(index)];
}

std::shared_ptr<duckdb::ColumnDataCollection> QueryInputs::rows(int64_t index) const {
    if (index < 0 || static_cast<size_t>(index) >= row_sources.size()) {
        throw duckdb::BinderException("query has no row source " + std::to_string(index));
    }
    return row_sources[static_cast<size_t>(index)];
}

void QueryInputs::Clear() {
    mirrors.clear();
    row_sources.clear();
    files.clear();
    may_write = false;
    reads_inexact = false;
}

}  // namespace ivy::engine
