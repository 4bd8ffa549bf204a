// SPDX-License-Identifier: Apache-2.0
#include "engine/file_bytes.h"

#include <duckdb.hpp>

#include <duckdb/common/file_system.hpp>
#include <duckdb/main/extension/extension_loader.hpp>

#include "engine/error_map.h"

namespace ivy::engine {
namespace {

constexpr int64_t kPieceBytes = 1024 * 1024;

struct BindData final : public duckdb::TableFunctionData {
    std::string path;

    duckdb::unique_ptr<duckdb::FunctionData> Copy() const override {
        auto copy = duckdb::make_uniq<BindData>();
        copy->path = path;
        return copy;
    }
    bool Equals(const duckdb::FunctionData& other) const override { return path == other.Cast<BindData>().path; }
    bool SupportStatementCache() const override { return false; }
};

struct GlobalState final : public duckdb::GlobalTableFunctionState {
    duckdb::vector<duckdb::OpenFileInfo> files;
    size_t next = 0;
    duckdb::unique_ptr<duckdb::FileHandle> file;  // files[next], or null: not open yet
    std::vector<char> piece = std::vector<char>(kPieceBytes);
};

duckdb::unique_ptr<duckdb::FunctionData> Bind(duckdb::ClientContext&, duckdb::TableFunctionBindInput& input,
                                              duckdb::vector<duckdb::LogicalType>& types,
                                              duckdb::vector<duckdb::Identifier>& names) {
    if (input.inputs[0].IsNull()) ThrowSqlError(sqlstate::kInvalidParameter, "the path of a file must not be NULL");
    names = {duckdb::Identifier("file"), duckdb::Identifier("bytes")};
    types = {duckdb::LogicalType::VARCHAR, duckdb::LogicalType::BLOB};
    auto data = duckdb::make_uniq<BindData>();
    data->path = input.inputs[0].ToString();
    return data;
}

duckdb::unique_ptr<duckdb::GlobalTableFunctionState> InitGlobal(duckdb::ClientContext& context,
                                                                duckdb::TableFunctionInitInput& input) {
    auto state = duckdb::make_uniq<GlobalState>();
    state->files = duckdb::FileSystem::GetFileSystem(context).GlobFiles(input.bind_data->Cast<BindData>().path,
                                                                        duckdb::FileGlobOptions::DISALLOW_EMPTY);
    return state;
}

// Reads until the buffer is full or the file ends.
int64_t Fill(duckdb::FileHandle& file, std::vector<char>* piece) {
    int64_t size = 0;
    while (size < kPieceBytes) {
        const int64_t count = file.Read(piece->data() + size, static_cast<duckdb::idx_t>(kPieceBytes - size));
        if (count <= 0) break;
        size += count;
    }
    return size;
}

void Scan(duckdb::ClientContext& context, duckdb::TableFunctionInput& input, duckdb::DataChunk& output) {
    auto& state = input.global_state->Cast<GlobalState>();
    while (state.next < state.files.size()) {
        const duckdb::OpenFileInfo& info = state.files[state.next];
        const bool first = !state.file;
        if (first) {
            const duckdb::FileOpenFlags flags = duckdb::FileFlags::FILE_FLAGS_READ;
            state.file = duckdb::FileSystem::GetFileSystem(context).OpenFile(
                info, flags | duckdb::FileOpenFlags(duckdb::FileCompressionType::AUTO_DETECT));
        }
        const int64_t size = Fill(*state.file, &state.piece);
        if (size == 0) {
            state.file.reset();
            state.next++;
            if (!first) continue;
        }
        output.data[0].Append(duckdb::Value(info.path));
        output.data[1].Append(duckdb::Value::BLOB(reinterpret_cast<duckdb::const_data_ptr_t>(state.piece.data()),
                                                  static_cast<duckdb::idx_t>(size)));
        output.SetCardinalityUnsafe(1);
        return;
    }
}

}  // namespace

void RegisterFileBytes(duckdb::ExtensionLoader& loader) {
    loader.RegisterFunction(duckdb::TableFunction(duckdb::Identifier("ivy_file_bytes"), {duckdb::LogicalType::VARCHAR},
                                                  Scan, Bind, InitGlobal));
}

}  // namespace ivy::engine
