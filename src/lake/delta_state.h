// SPDX-License-Identifier: Apache-2.0
//
// DeltaState: the replay of a Delta log's actions, one JSON object after another.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "lake/delta_log.h"

namespace ivy::lake {

class DeltaState {
  public:
    explicit DeltaState(std::string table) : table_(std::move(table)) {}

    // Applies one action: {"add": {...}}, {"remove": {...}}, ... Kinds that do not matter to readers are passed over.
    // Sidecars are only collected.
    Status Apply(const Json& action);

    // The sidecar files (names or paths) met since the last call.
    std::vector<std::string> TakeSidecars() { return std::exchange(sidecars_, {}); }

    // What the log says after the last action. An error if the protocol or the schema asks for what is not implemented.
    Result<DeltaSnapshot> Finish(int64_t version) &&;

    // The kinds of actions that a checkpoint's columns are asked for.
    static const std::vector<std::string>& CheckpointColumns();

  private:
    Status Add(const Json& add);
    Status Remove(const Json& remove);
    Result<std::string> KeyOf(const Json& action, const std::string& path,
                              std::optional<DeletionVectorRef>* vector) const;
    Status CheckProtocol() const;

    const std::string table_;
    std::unordered_map<std::string, DeltaFile> files_;  // by path and deletion vector
    std::vector<std::string> sidecars_;
    std::optional<Json> metadata_, protocol_;
};

}  // namespace ivy::lake
