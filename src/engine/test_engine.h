// SPDX-License-Identifier: Apache-2.0
//
// EngineTest: a whole engine in the test's own process, with an empty folder.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <thread>

#include "engine/ingest.h"
#include "engine/instance.h"
#include "engine/mirrors.h"
#include "engine/server.h"
#include "engine/test_client.h"
#include "engine/watcher.h"

namespace ivy::engine {

class EngineTest : public testing::Test {
  protected:
    void SetUp() override {
        folder_ = testing::TempDir() + "/ivy_engine_test_" + std::to_string(getpid());
        std::filesystem::remove_all(folder_);
        Instance::Config config;
        config.temp_folder = folder_ + "/temp";
        config.threads = 2;
        auto instance = Instance::Open(config);
        ASSERT_TRUE(instance.ok()) << instance.error().message;
        instance_ = std::move(*instance);
        watcher_ = Watcher::Start().value();
        IngestOptions options;
        options.folder = folder_;
        options.snapshot_wait = std::chrono::milliseconds(100);
        ingest_ = std::make_unique<Ingest>(*instance_, options);
        services_.database = kTestDatabase;
        services_.instance = instance_.get();
        services_.mirrors = &ingest_->mirrors();
        services_.ingest = ingest_.get();
        services_.watcher = watcher_.get();
        path_ = folder_ + "/engine.sock";
        auto server = Server::Start(path_, &services_);
        ASSERT_TRUE(server.ok()) << server.error().message;
        server_ = std::move(*server);
    }
    void TearDown() override {
        server_.reset();
        ingest_.reset();
        watcher_.reset();
        instance_.reset();
        std::filesystem::remove_all(folder_);
    }
    // Waits until no query runs; the time that took, or -1 after ten seconds.
    double MillisecondsUntilIdle() {
        const auto begin = TestClock::now();
        while (services_.queries_running.load() > 0) {
            if (MillisecondsSince(begin) > 10000) return -1;
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        return MillisecondsSince(begin);
    }
    void WaitUntilRunning(uint64_t queries) {
        while (services_.queries_running.load() < queries) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }

    std::string folder_, path_;
    std::unique_ptr<Instance> instance_;
    std::unique_ptr<Watcher> watcher_;
    std::unique_ptr<Ingest> ingest_;
    Services services_;
    std::unique_ptr<Server> server_;
};

}  // namespace ivy::engine
