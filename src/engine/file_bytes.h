// SPDX-License-Identifier: Apache-2.0
//
// ivy_file_bytes(path): the bytes of a file, or of all files of a glob one after the other, in pieces: file VARCHAR, bytes
// BLOB. Compressed files (.gz, .zst) are decompressed. Pieces come in order, with at least one, maybe empty, of each file.
// It is what the server's own COPY reads files at network locations through.
#pragma once

namespace duckdb {
class ExtensionLoader;
}

namespace ivy::engine {

void RegisterFileBytes(duckdb::ExtensionLoader& loader);

}  // namespace ivy::engine
