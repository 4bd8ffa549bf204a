// SPDX-License-Identifier: Apache-2.0
//
// Flusher: the thread that gives every mirror its turn (Mirror::Work), tells the capture worker how much of the WAL is
// still needed, and deletes the files of dropped mirrors once nothing reads them.
#pragma once

#include <condition_variable>
#include <list>
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
    // "index_folder" is not empty, that local folder. The worker is told of the end if the location is on the network.
    void RemoveFiles(uint32_t mirror, std::string location, std::string index_folder);

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
        uint32_t mirror;
        std::string location, index_folder;
    };

    // A mirror on the network has a thread of its own: its server may take its time, or not answer at all.
    struct Lane {
        std::shared_ptr<Mirror> mirror;
        std::thread thread;
        bool ended = false;
    };

    void Run();
    bool WorkOn(Mirror& mirror);
    void TendLanes();
    void RunLane(Lane* lane);
    void RunRemover();
    void Remove(const Removal& removal);
    void SendPersisted();
    bool HasReaders(const std::string& location);
    void RemoveDueFiles();

    Mirrors& mirrors_;
    MirrorContext& context_;
    std::mutex mutex_;
    std::condition_variable changed_;
    bool awake_ = false, stop_ = false, forget_persisted_ = false;
    uint64_t wakes_ = 0;  // calls of Wake, for the lanes
    std::list<Lane> lanes_;
    std::vector<Removal> remote_removals_;  // due, for the remover
    std::vector<Grave> graves_;
    std::vector<Removal> removals_;
    Lsn persisted_ = kInvalidLsn;  // last sent
    std::thread remover_, thread_;
};

}  // namespace ivy::engine
