// SPDX-License-Identifier: Apache-2.0
//
// Runs SQL with the engine's table functions over foreign tables, without a server.
//
//   ivy_lake_tool FOLDER    temporary files go below FOLDER
//
// Takes statements from standard input, one a line, and answers each with a line: "ok" and the rows of its result as
// JSON (lists of texts or null), or "error", the SQLSTATE and the message.
#include <duckdb.hpp>

#include <iostream>
#include <string>

#include "engine/error_map.h"
#include "engine/instance.h"
#include "iceberg/json.h"

namespace {

using ivy::iceberg::Json;

std::string Answer(duckdb::Connection& connection, const std::string& sql) {
    try {
        const auto result = connection.Query(sql);
        if (result->HasError()) {
            const ivy::Error error = ivy::engine::ErrorFromDuck(result->GetErrorObject());
            const std::string detail = error.detail.empty() ? "" : " [" + error.detail + "]";
            return "error " + error.sqlstate + " " + error.message + detail;
        }
        Json rows = Json::array();
        while (auto chunk = result->Fetch()) {
            for (size_t row = 0; row < chunk->size(); row++) {
                Json values = Json::array();
                for (size_t column = 0; column < chunk->ColumnCount(); column++) {
                    const duckdb::Value value = chunk->GetValue(column, row);
                    values.push_back(value.IsNull() ? Json() : Json(std::string(value.ToString())));
                }
                rows.push_back(std::move(values));
            }
        }
        return "ok " + rows.dump(-1, ' ', false, Json::error_handler_t::replace);
    } catch (const std::exception& exception) {
        return "error " + ivy::engine::StatusFromException(exception).error().message;
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    const std::string folder = argv[1];
    ivy::engine::Instance::Config config;
    config.temp_folder = folder + "/temp";
    config.threads = 4;
    auto instance = ivy::engine::Instance::Open(config);
    if (!instance.ok()) return 1;
    const auto connection = (*instance)->Connect();
    for (std::string line; std::getline(std::cin, line);) {
        std::string answer = Answer(*connection, line);
        for (char& c : answer) c = c == '\n' ? ' ' : c;
        std::cout << answer << std::endl;
    }
    return 0;
}
