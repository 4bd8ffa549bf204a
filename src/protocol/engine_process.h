// SPDX-License-Identifier: Apache-2.0
//
// How the launcher (a Postgres process) starts ivy_engine, and how the two know of each other's end.
//
// The launcher forks and executes
//
//     ivy_engine --database=<oid> --folder=<path> --memory-limit=<bytes> --threads=<count>
//
// with the data directory as the working directory, signals at their defaults and unblocked, standard output and error
// those of the server's log, and no other open file than kLifelineFd. That is one end of a stream socket pair whose
// other end only the launcher holds: end of file there means that the launcher is gone, and the engine must end at once.
// The engine sends the byte kEngineListening there once it accepts connections.
//
// SIGTERM asks the engine to end soon: it refuses new queries, interrupts running ones and exits 0. A second engine for
// the same folder exits kExitFolderInUse.
#pragma once

namespace ivy {

inline constexpr int kLifelineFd = 3;
inline constexpr char kEngineListening = 'L';
inline constexpr int kExitFolderInUse = 3;

// Files below --folder.
// Names of files and folders that begin like this are left out of base backups. What the engine can make again goes there.
inline constexpr char kScratchPrefix[] = "pgsql_tmp_";

inline constexpr char kEngineSocketName[] = "engine.sock";
inline constexpr char kEngineLockName[] = "engine.lock";

// Option names, each followed by its value in the same argument. 0 means "the engine's default".
inline constexpr char kDatabaseOption[] = "--database=";
inline constexpr char kFolderOption[] = "--folder=";             // relative to the data directory: "pg_duckdb/<oid>"
inline constexpr char kMemoryLimitOption[] = "--memory-limit=";  // bytes
inline constexpr char kThreadsOption[] = "--threads=";

}  // namespace ivy
