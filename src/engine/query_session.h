// SPDX-License-Identifier: Apache-2.0
//
// QuerySession: serves one backend's connection: row sources and queries in, chunks out.
//
// A query waits until everything that its snapshot may see has been applied, takes one read view of each mirror, and
// runs while its result is sent, no faster than the client reads. It ends early when the client hangs up, within the
// time that DuckDB takes between two looks at its interrupt flag (one vector's work).
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "engine/channel.h"
#include "engine/services.h"
#include "protocol/messages.h"

namespace duckdb {
class Connection;
class SQLStatement;
}  // namespace duckdb

namespace ivy::engine {

class QueryInputs;
class RowSourceBuilder;

class QuerySession {
  public:
    QuerySession(Channel& channel, Services& services);
    ~QuerySession();

    // Returns when the connection has ended.
    void Serve();

  private:
    using Settings = std::vector<std::pair<std::string, std::string>>;

    // An error to send, and why the row table may still have the answer.
    struct Failure {
        Error error;
        Unavailable unavailable;
    };
    using Outcome = std::optional<Failure>;  // nothing: success

    // Handles one frame; an error ends the connection.
    Status Handle(const Frame& frame);
    Status StartRowSource(const Frame& frame);
    void AppendRows(const Frame& frame);
    Status Answer(const Query& query);

    Outcome Prepare(const Query& query, std::string* sql, QueryDone* done);
    Settings SettingsFor(const Query& query) const;
    Outcome Apply(const Settings& settings);
    // Gives the connection the credentials of this query, and takes away those of the last.
    Outcome ApplySecrets(const std::vector<Secret>& secrets);
    Outcome Explain(const std::string& sql, QueryDone* done);
    // Sends the result; *connection_lost is set if that failed, which needs no answer.
    Outcome Execute(const Query& query, const std::string& sql, QueryDone* done, Status* sent);

    // Gives the file that a COPY has written its name. An error if the client has gone.
    Status FinishFile(const Query& query);

    Failure FromEngine(const Error& error) const;

    Channel& channel_;
    Services& services_;
    std::atomic<bool> hung_up_{false};
    std::unique_ptr<duckdb::Connection> connection_;
    QueryInputs* inputs_;                     // owned by the connection
    std::unique_ptr<RowSourceBuilder> rows_;  // the row source that chunks go to
    Status rows_status_;                      // first failure of the row sources of the next query
    Settings settings_;                       // in force on the connection
    std::vector<Secret> secrets_;             // known to it
};

}  // namespace ivy::engine
