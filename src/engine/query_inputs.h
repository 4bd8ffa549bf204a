// SPDX-License-Identifier: Apache-2.0
//
// QueryInputs: what {mirror:i} and {rows:i} of a running query stand for.
//
// The session hangs it into its connection's client context; our table functions take what they need from there while
// they are bound, by index, so that no pointer ever appears in SQL. Only the session's thread changes it, between
// queries; what a query holds on to is shared.
#pragma once

#include <duckdb.hpp>

#include <duckdb/main/client_context_state.hpp>

#include <memory>
#include <vector>

#include "delta/read_view.h"

namespace ivy::engine {

// The name of a mirror's column inside the engine: "c" and its field id.
inline std::string EngineColumnName(uint32_t id) { return "c" + std::to_string(id); }

class QueryInputs final : public duckdb::ClientContextState {
  public:
    struct Mirror {
        std::shared_ptr<const delta::ReadView> view;
        std::vector<uint32_t> inexact;  // column ids that must not be read (see Unavailable::kInexact)
    };

    // The inputs of this connection, which live as long as it does; null, or an exception, if it has none because it is
    // not a query session's.
    static QueryInputs* Find(duckdb::ClientContext& context);
    static QueryInputs& Of(duckdb::ClientContext& context);
    // Gives a connection inputs of its own; call once.
    static QueryInputs& Attach(duckdb::ClientContext& context);

    // Throw if there is no such input.
    const Mirror& mirror(int64_t index) const;
    std::shared_ptr<duckdb::ColumnDataCollection> rows(int64_t index) const;

    void Clear();

    std::vector<Mirror> mirrors;
    std::vector<std::shared_ptr<duckdb::ColumnDataCollection>> row_sources;
    // Lake files that the client's user may read or, in a COPY, write: exactly as the query names them.
    std::vector<std::string> files;
    bool may_write = false;
    // The names of the client's secrets, which say whose they are.
    std::string secrets;
    // Set when a query was refused because it reads an inexact column.
    bool reads_inexact = false;
};

}  // namespace ivy::engine
