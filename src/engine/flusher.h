// SPDX-License-Identifier: Apache-2.0
//
// Flusher: the thread that gives every mirror its turn (Mirror::Work), tells the capture worker how much of the WAL is
// still needed, and deletes the files of dropped mirrors once nothing reads them.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/snapshot.h"
#include "engine/mirror.h"
#include "engine/mirrors.h"

namespace ivy::engine {

class Flusher {
  public:
    Flusher(Mirrors& mirrors, MirrorContext& context);
    ~Flusher();

    // Something happened that it may act on.
    void Wake();
    // A new capture session must hear again what is persisted.
    void ForgetPersisted();

    // A mirror that is in the registry no more, and is closed: its readers may go on.
    void Bury(std::shared_ptr<Mirror> mirror);
    // Deletes the table under "location" when no buried mirror of that location has readers any more; and, if
    // "index_folder" is not empty, that local folder.
    void RemoveFiles(std::string location, std::string index_folder);

    // What may go from the slot: every commit before it is in published files of all mirrors that need it.
    Lsn PersistedLsn() const;

  private:
    struct Grave {
        std::weak_ptr<Mirror> mirror;
        std::weak_ptr<const void> readers;
        std::string location;
        bool Empty() const { return mirror.expired() && readers.expired(); }
    };
    struct Removal {
        std::string location, index_folder;
    };

    void Run();
    void SendPersisted();
    bool HasReaders(const std::string& location);
    void RemoveDueFiles();

    Mirrors& mirrors_;
    MirrorContext& context_;
    std::mutex mutex_;
    std::condition_variable changed_;
    bool awake_ = false, stop_ = false, forget_persisted_ = false;
    std::vector<Grave> graves_;
    std::vector<Removal> removals_;
    Lsn persisted_ = kInvalidLsn;  // last sent
    std::thread thread_;
};

}  // namespace ivy::engine
