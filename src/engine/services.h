// SPDX-License-Identifier: Apache-2.0
//
// Services: what the engine's sessions share. Owned by main (or a test), outlives every session.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

namespace ivy::engine {

class Ingest;
class Instance;
class Mirrors;
class Watcher;

struct Services {
    uint32_t database = 0;  // OID of the Postgres database that this engine serves
    Instance* instance = nullptr;
    Mirrors* mirrors = nullptr;
    Ingest* ingest = nullptr;
    Watcher* watcher = nullptr;

    // For "status".
    std::atomic<uint64_t> connections{0};  // open now
    std::atomic<uint64_t> queries_running{0};
    std::atomic<uint64_t> queries_done{0};  // since the start, failed ones included
    std::atomic<uint64_t> queries_failed{0};
};

}  // namespace ivy::engine
