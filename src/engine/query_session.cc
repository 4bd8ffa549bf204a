// SPDX-License-Identifier: Apache-2.0
// QuerySession: see the header. DuckDB's exceptions end here, in StatusFromException.
#include "engine/query_session.h"

#include <sys/stat.h>
#include <unistd.h>

#include <duckdb.hpp>

#include <duckdb/main/client_context.hpp>
#include <duckdb/main/profiler/profiler_print_format.hpp>
#include <duckdb/parser/sql_statement.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <thread>

#include "delta/chunk_convert.h"
#include "engine/error_map.h"
#include "engine/instance.h"
#include "engine/mirror.h"
#include "engine/mirror_storage.h"
#include "engine/mirrors.h"
#include "engine/query_inputs.h"
#include "engine/row_source.h"
#include "engine/sql_expand.h"
#include "engine/stored_numeric.h"
#include "engine/watcher.h"

namespace ivy::engine {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kSendBytes = 128 * 1024;         // results are collected up to this before they are sent
constexpr size_t kChunkBytes = 64 * 1024 * 1024;  // rows with long values are cut into chunks of about this size
constexpr std::chrono::seconds kFetchWait{2};     // for values from the network, before the row table is asked
constexpr std::chrono::milliseconds kFetchPoll{2};

// A {mirror:i} or {rows:i} as DuckDB SQL. Parts without rows are left out; an empty mirror is its empty delta.
std::string TableExpression(const QueryInputs& inputs, Placeholder kind, size_t index) {
    const std::string number = std::to_string(index);
    if (kind == Placeholder::kRows) return "ivy_rows(" + number + ")";
    const delta::ReadView& view = *inputs.mirrors[index].view;
    const std::string files = "ivy_files('" + number + "')";
    const std::string delta = "ivy_delta(" + number + ")";
    if (view.files().empty()) return delta;
    const auto& columns = view.columns();
    const bool stored = std::any_of(columns.begin(), columns.end(), [](const auto& one) { return one.numeric_scale; });
    std::string scan = "SELECT * FROM " + files;
    if (stored) {
        std::string list;
        for (const MirrorColumn& column : columns) {
            list += (list.empty() ? "" : ", ") + StoredColumnSql(column) + " AS " + EngineColumnName(column.id);
        }
        scan = "SELECT " + list + " FROM " + files;
    } else if (view.delta_rows() == 0) {
        return files;
    }
    if (view.delta_rows() == 0) return "(" + scan + ")";
    return "(" + scan + " UNION ALL SELECT * FROM " + delta + ")";
}

std::string QuoteLiteral(const std::string& value) {
    std::string quoted = "'";
    for (const char c : value) {
        quoted += c;
        if (c == '\'') quoted += c;
    }
    return quoted + "'";
}

std::string QuoteIdentifier(const std::string& value) {
    std::string quoted = "\"";
    for (const char c : value) {
        quoted += c;
        if (c == '"') quoted += c;
    }
    return quoted + "\"";
}

bool IsRemote(const std::string& path) { return path.find("://") != std::string::npos; }

// The statement in "sql", which must be a single one of that type: nothing else is ever sent, or safe to run.
duckdb::unique_ptr<duckdb::SQLStatement> ParseOne(
    duckdb::Connection& connection, const std::string& sql,
    duckdb::StatementType type = duckdb::StatementType::SELECT_STATEMENT) {
    auto statements = connection.ExtractStatements(sql);
    if (statements.size() != 1 || statements[0]->type != type) {
        throw duckdb::InvalidInputException("a query must be one statement of the announced kind");
    }
    return std::move(statements[0]);
}

// HUGEINT, the type of integer sums, goes as a decimal without scale; precisions may differ, values are 128-bit.
Status CheckTypes(const duckdb::vector<duckdb::LogicalType>& actual, const std::vector<ColumnType>& expected) {
    if (actual.size() != expected.size()) {
        return Status::Internal("query returns " + std::to_string(actual.size()) + " columns instead of " +
                                std::to_string(expected.size()));
    }
    for (size_t i = 0; i < actual.size(); i++) {
        const Result<ColumnType> type = delta::FromDuckType(actual[i]);
        const bool matches = type.ok() && type->kind == expected[i].kind && type->scale == expected[i].scale;
        if (matches) continue;
        return Status::Internal("column " + std::to_string(i + 1) + " of the query is of type " + actual[i].ToString() +
                                " instead of " + expected[i].DuckName());
    }
    return Status::Ok();
}

// Bytes of the long values of some rows.
size_t StringBytes(const duckdb::DataChunk& chunk, size_t offset, size_t count) {
    size_t bytes = 0;
    for (const duckdb::Vector& column : chunk.data) {
        if (column.GetType().InternalType() != duckdb::PhysicalType::VARCHAR) continue;
        duckdb::UnifiedVectorFormat format;
        column.ToUnifiedFormat(format);
        const auto* strings = duckdb::UnifiedVectorFormat::GetData<duckdb::string_t>(format);
        for (size_t row = offset; row < offset + count; row++) {
            const auto at = format.sel->get_index(row);
            if (format.validity.RowIsValid(at)) bytes += strings[at].GetSize();
        }
    }
    return bytes;
}

// Appends kChunk frames with rows [offset, offset + count).
Status AppendChunk(const duckdb::DataChunk& chunk, size_t offset, size_t count, const std::vector<ColumnType>& types,
                   ByteWriter* out) {
    if (count > 1 && StringBytes(chunk, offset, count) > kChunkBytes) {
        IVY_RETURN_IF_ERROR(AppendChunk(chunk, offset, count / 2, types, out));
        return AppendChunk(chunk, offset + count / 2, count - count / 2, types, out);
    }
    const size_t begin = out->size();
    out->U32(0);
    out->U8(static_cast<uint8_t>(MessageType::kChunk));
    IVY_RETURN_IF_ERROR(delta::WriteChunk(chunk, offset, count, types, out));
    const size_t size = out->size() - begin - sizeof(uint32_t);
    if (size > kMaxFrameSize) return Status::Make(sqlstate::kProgramLimit, "row is too large to be sent");
    out->PatchU32(begin, static_cast<uint32_t>(size));
    return Status::Ok();
}

// Whether a damaged file below "location" may be the reason.
bool MayBeDamage(const Error& error, const std::string& location) {
    return error.message.find(location) != std::string::npos || error.sqlstate == sqlstate::kIoError ||
           error.sqlstate == sqlstate::kConnectionFailure || error.sqlstate == sqlstate::kDataCorrupted ||
           error.sqlstate == sqlstate::kInternalError;
}

// Profiling of one connection, for the time of one query.
class Profiling {
  public:
    Profiling(duckdb::Connection& connection, bool enabled) : connection_(connection), enabled_(enabled) {
        if (!enabled_) return;
        connection_.context->config.profiler_print_format = "no_output";  // and not to our standard output
        connection_.EnableProfiling();
    }
    ~Profiling() {
        if (enabled_) connection_.DisableProfiling();
    }
    // The tree of the query that has ended, with times and row counts; empty if not enabled.
    std::string Text() {
        return enabled_ ? connection_.GetProfilingInformation(duckdb::ProfilerPrintFormat::Text()) : "";
    }

  private:
    duckdb::Connection& connection_;
    const bool enabled_;
};

}  // namespace

QuerySession::QuerySession(Channel& channel, Services& services)
    : channel_(channel),
      services_(services),
      connection_(services.instance->Connect()),
      inputs_(&QueryInputs::Attach(*connection_->context)) {
    connection_->context->config.use_replacement_scans = false;  // a name is never a file's
}

QuerySession::~QuerySession() = default;

void QuerySession::Serve() {
    Watcher::Watch watch(services_.watcher, channel_.fd(), [this] {
        hung_up_ = true;
        connection_->Interrupt();
    });
    Frame frame;
    while (true) {
        const Result<bool> more = channel_.Read(&frame);
        if (more.ok() && !*more) return;
        const Status status = more.ok() ? Handle(frame) : more.status();
        if (status.ok()) continue;
        (void)channel_.SendError(status.error());
        return;
    }
}

Status QuerySession::Handle(const Frame& frame) {
    switch (static_cast<MessageType>(frame.type)) {
        case MessageType::kRowSource: return StartRowSource(frame);
        case MessageType::kChunk:
            if (!rows_ && rows_status_.ok()) {
                return Status::Make(sqlstate::kProtocolViolation, "chunk without a row source");
            }
            AppendRows(frame);
            return Status::Ok();
        case MessageType::kQuery: {
            IVY_ASSIGN_OR_RETURN(const Query query, Query::Read(frame));
            return Answer(query);
        }
        default:
            return Status::Make(sqlstate::kProtocolViolation,
                                "unexpected message " + std::to_string(frame.type) + " on a query connection");
    }
}

Status QuerySession::StartRowSource(const Frame& frame) {
    IVY_ASSIGN_OR_RETURN(RowSource source, RowSource::Read(frame));
    try {
        rows_ = std::make_unique<RowSourceBuilder>(*connection_->context, std::move(source.columns));
        inputs_->row_sources.push_back(rows_->rows());
    } catch (const std::exception& exception) {
        rows_.reset();
        rows_status_ = StatusFromException(exception);
    }
    return Status::Ok();
}

// The client goes on sending after a failure, so the failure has to wait for the query.
void QuerySession::AppendRows(const Frame& frame) {
    if (!rows_status_.ok()) return;
    rows_status_ = rows_->Append(frame.payload);
    if (!rows_status_.ok()) inputs_->Clear();  // gives memory back
}

Status QuerySession::Answer(const Query& query) {
    services_.queries_running++;
    rows_.reset();
    QueryDone done;
    Outcome failure;
    Status sent;
    if (!rows_status_.ok()) {
        failure = FromEngine(rows_status_.error());
    } else {
        std::string sql;
        failure = Prepare(query, &sql, &done);
        if (!failure) failure = Apply(SettingsFor(query));
        if (!failure) failure = ApplySecrets(query.secrets);
        if (!failure) {
            failure = query.mode == QueryMode::kExplain ? Explain(sql, &done) : Execute(query, sql, &done, &sent);
        }
    }
    rows_status_ = Status::Ok();
    inputs_->Clear();
    services_.queries_running--;
    services_.queries_done++;
    if (failure) {
        services_.queries_failed++;
        for (const uint32_t id : query.mirrors) {
            const auto mirror = services_.mirrors->Find(id);
            if (mirror && MayBeDamage(failure->error, mirror->location())) mirror->RequestCheck(failure->error);
        }
    }
    // Complete, perhaps, but too late.
    if ((failure || !sent.ok()) && !query.renamed.empty()) unlink(query.written.c_str());
    services_.instance->ExitIfBroken();
    IVY_RETURN_IF_ERROR(sent);
    if (failure) return channel_.SendError(failure->error, failure->unavailable);
    return query.mode == QueryMode::kExplain ? channel_.SendMessage(MessageType::kQueryDone, done) : Status::Ok();
}

QuerySession::Failure QuerySession::FromEngine(const Error& error) const {
    if (inputs_->reads_inexact) return {error, Unavailable::kInexact};
    if (error.sqlstate == sqlstate::kQueryCanceled) return {error, Unavailable::kNo};
    return {error, Unavailable::kFailed};
}

QuerySession::Outcome QuerySession::Prepare(const Query& query, std::string* sql, QueryDone* done) {
    if (!query.mirrors.empty()) {
        const auto begin = Clock::now();
        Unavailable why = Unavailable::kNo;
        const Status applied = services_.mirrors->WaitApplied(
            query.lsn, std::chrono::milliseconds(query.freshness_timeout_ms), [this] { return hung_up_.load(); }, &why);
        const auto waited = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begin);
        done->freshness_wait_us = static_cast<uint64_t>(waited.count());
        if (!applied.ok()) return Failure{applied.error(), why};
    }
    const auto patience = Clock::now() + kFetchWait;
    for (const uint32_t id : query.mirrors) {
        Unavailable why = Unavailable::kNo;
        while (services_.mirrors->IsFetching(id) && Clock::now() < patience && !hung_up_) {
            std::this_thread::sleep_for(kFetchPoll);
        }
        Result<MirrorRead> read = services_.mirrors->Read(id, query.snapshot, &why);
        if (!read.ok()) return Failure{read.error(), why};
        for (const delta::FileView& file : read->view->files()) done->file_rows += static_cast<uint64_t>(file.rows);
        done->files += static_cast<uint32_t>(read->view->files().size());
        done->delta_rows += read->view->delta_rows();
        inputs_->mirrors.push_back({std::move(read->view), std::move(read->inexact)});
    }
    inputs_->files = query.files;
    inputs_->may_write = query.mode == QueryMode::kCopy;
    if (std::any_of(query.files.begin(), query.files.end(), IsRemote)) {
        if (const Status loaded = services_.instance->LoadHttpfs(); !loaded.ok())
            return Failure{loaded.error(), Unavailable::kNo};
    }
    Result<std::string> expanded =
        ExpandSql(query.sql, inputs_->mirrors.size(), inputs_->row_sources.size(),
                  [this](Placeholder kind, size_t index) { return TableExpression(*inputs_, kind, index); });
    if (!expanded.ok()) return FromEngine(expanded.error());
    *sql = std::move(expanded).value();
    return {};
}

// Those of the network only where it is used: they are httpfs's, which may not be loaded. Of others' files nothing hangs on them.
QuerySession::Settings QuerySession::SettingsFor(const Query& query) const {
    const bool network = std::any_of(query.files.begin(), query.files.end(), IsRemote) ||
                         std::any_of(inputs_->mirrors.begin(), inputs_->mirrors.end(), [](const auto& mirror) {
                             const auto& files = mirror.view->files();
                             return !files.empty() && IsRemote(files.front().path);
                         });
    Settings settings = query.settings;
    if (!network) std::erase_if(settings, [](const auto& one) { return one.first.starts_with("http_"); });
    return settings;
}

QuerySession::Outcome QuerySession::Apply(const Settings& settings) {
    if (settings == settings_) return {};
    const auto run = [this](const std::string& sql) { return connection_->Query(sql); };
    for (const auto& [name, value] : settings_) {
        if (const auto result = run("RESET " + QuoteIdentifier(name)); result->HasError()) {
            return FromEngine(ErrorFromDuck(result->GetErrorObject()));
        }
    }
    settings_.clear();
    for (const auto& [name, value] : settings) {
        const auto result = run("SET SESSION " + QuoteIdentifier(name) + " = " + QuoteLiteral(value));
        if (result->HasError()) return FromEngine(ErrorFromDuck(result->GetErrorObject()));
        settings_.emplace_back(name, value);
    }
    return {};
}

QuerySession::Outcome QuerySession::ApplySecrets(const std::vector<Secret>& secrets) {
    if (secrets == secrets_) return {};
    const auto run = [this](const std::string& sql) { return connection_->Query(sql); };
    while (!secrets_.empty()) {
        const auto result = run("DROP SECRET " + QuoteIdentifier(secrets_.back().name) + " FROM connection");
        if (result->HasError()) return Failure{ErrorFromDuck(result->GetErrorObject()), Unavailable::kNo};
        secrets_.pop_back();
    }
    for (const Secret& secret : secrets) {
        const auto result = run(CreateSecretSql(secret));
        if (result->HasError()) {
            const Error error = ErrorFromDuck(result->GetErrorObject());
            return Failure{
                Status::Make(sqlstate::kInvalidParameter, "secret \"" + secret.name + "\" can't be used", error.message)
                    .error(),
                Unavailable::kNo};
        }
        secrets_.push_back(secret);
    }
    inputs_->secrets.clear();
    for (const Secret& secret : secrets_) inputs_->secrets += secret.name + '\n';
    return {};
}

QuerySession::Outcome QuerySession::Explain(const std::string& sql, QueryDone* done) {
    try {
        const auto result =
            connection_->Query(ParseOne(*connection_, "EXPLAIN " + sql, duckdb::StatementType::EXPLAIN_STATEMENT));
        if (result->HasError()) return FromEngine(ErrorFromDuck(result->GetErrorObject()));
        while (const auto chunk = result->Fetch()) {
            for (size_t row = 0; row < chunk->size(); row++) done->plan += chunk->GetValue(1, row).ToString();
        }
        return {};
    } catch (const std::exception& exception) {
        return FromEngine(StatusFromException(exception).error());
    }
}

Status QuerySession::FinishFile(const Query& query) {
    if (query.renamed.empty()) return Status::Ok();
    if (!channel_.PeerClosed()) {
        if (chmod(query.written.c_str(), query.permissions) == 0 &&
            rename(query.written.c_str(), query.renamed.c_str()) == 0) {
            return Status::Ok();
        }
        return Status::FromErrno("could not write file \"" + query.renamed + "\"", errno);
    }
    return Status::Make(sqlstate::kQueryCanceled, "client closed the connection");
}

QuerySession::Outcome QuerySession::Execute(const Query& query, const std::string& sql, QueryDone* done, Status* sent) {
    try {
        Profiling profiling(*connection_, query.mode == QueryMode::kProfile);
        ByteWriter out;
        {
            const auto type = query.mode == QueryMode::kCopy ? duckdb::StatementType::COPY_STATEMENT
                                                             : duckdb::StatementType::SELECT_STATEMENT;
            auto result = connection_->Submit(ParseOne(*connection_, sql, type));
            if (hung_up_) connection_->Interrupt();  // DuckDB has forgotten an interruption from before
            if (result->HasError()) return FromEngine(ErrorFromDuck(result->GetErrorObject()));
            duckdb::QueryResultStream<> stream(std::move(result));
            if (const Status types = CheckTypes(stream.GetTypes(), query.result); !types.ok()) {
                return FromEngine(types.error());
            }
            while (true) {
                duckdb::unique_ptr<duckdb::DataChunk> chunk;
                stream.TryFetch(chunk);
                if (!chunk) {
                    // About to wait for DuckDB: what is there should be with the client.
                    if (out.size() > 0) {
                        *sent = channel_.Send(out.bytes());
                        if (!sent->ok()) return {};
                        out.Clear();
                    }
                    if (!stream.HasError()) chunk = stream.Fetch();
                }
                if (stream.HasError()) return FromEngine(ErrorFromDuck(stream.GetErrorObject()));
                if (!chunk) break;
                if (chunk->size() == 0) continue;
                done->rows += chunk->size();
                const Status written = AppendChunk(*chunk, 0, chunk->size(), query.result, &out);
                if (!written.ok()) return FromEngine(written.error());
                if (out.size() >= kSendBytes) {
                    *sent = channel_.Send(out.bytes());
                    if (!sent->ok()) return {};
                    out.Clear();
                }
            }
        }
        if (const Status finished = FinishFile(query); !finished.ok()) return FromEngine(finished.error());
        done->plan = profiling.Text();
        Bytes last = out.Take();
        AppendMessage(MessageType::kQueryDone, *done, &last);
        *sent = channel_.Send(last);
        return {};
    } catch (const std::exception& exception) {
        return FromEngine(StatusFromException(exception).error());
    }
}

}  // namespace ivy::engine
