// SPDX-License-Identifier: Apache-2.0
//
// Options: the command line of ivy_engine, which the launcher writes (see
// protocol/engine_process.h) and which people and tests may write in a more usual way.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "engine/ingest.h"

namespace ivy::engine {

struct Options {
    uint32_t database = 0;      // --database OID (required)
    std::string folder;         // --folder PATH (required): lock file, socket, spilled data, key index
    std::string socket;         // --socket PATH; default: in the folder
    int parent_fd = -1;         // --parent-fd N: the launcher's lifeline; default kLifelineFd if that is open; -1: none
    uint64_t memory_limit = 0;  // --memory-limit BYTES; 0: DuckDB's default
    uint64_t temp_limit = 0;    // --temp-limit BYTES; 0: DuckDB's default
    int threads = 0;            // --threads N; 0: one a core
    // --flush-rows N, --flush-bytes N, --flush-age MS, --force-bytes N, --copy-file-bytes N, --keep-snapshots N
    IngestOptions ingest;

    // "arguments" are those after the program's name; before them come the words of the environment variable
    // IVY_ENGINE_OPTIONS, by which tests change what the launcher does not set. "--name value" and "--name=value" both work; a repeated option's
    // last value counts. An error names the option.
    static Result<Options> Parse(const std::vector<std::string>& arguments);
    static const char* Usage();
};

}  // namespace ivy::engine
