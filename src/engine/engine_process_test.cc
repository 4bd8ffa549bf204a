// SPDX-License-Identifier: Apache-2.0
//
// The ivy_engine program as its launcher sees it: starting, being alone in its folder, and ending for every reason.
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "engine/test_client.h"
#include "protocol/engine_process.h"

namespace ivy::engine {
namespace {

// An engine started as the launcher does it. Killed, if it still runs, at the end.
class EngineProcess {
  public:
    explicit EngineProcess(const std::string& folder, const std::string& extra = "--threads=2") {
        int ends[2];
        EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        lifeline_ = ends[0];
        const std::string database = kDatabaseOption + std::to_string(kTestDatabase);
        const std::string folder_option = kFolderOption + folder;
        pid_ = fork();
        if (pid_ == 0) {
            // dup2 onto itself would keep the close-on-exec flag.
            if (ends[1] == kLifelineFd) {
                ends[1] = dup(ends[1]);
            }
            dup2(ends[1], kLifelineFd);
            execl(IVY_ENGINE_PATH, "ivy_engine", database.c_str(), folder_option.c_str(), extra.c_str(), nullptr);
            _exit(127);
        }
        close(ends[1]);
    }
    ~EngineProcess() {
        if (pid_ > 0) {
            kill(pid_, SIGKILL);
            WaitForExit();
        }
        CloseLifeline();
    }

    pid_t pid() const { return pid_; }
    // True once it accepts connections, false if it ended before.
    bool WaitUntilListening() {
        char byte = 0;
        return read(lifeline_, &byte, 1) == 1 && byte == kEngineListening;
    }
    void CloseLifeline() {
        if (lifeline_ >= 0) close(lifeline_);
        lifeline_ = -1;
    }
    // The exit code, or minus the signal's number.
    int WaitForExit() {
        int status = 0;
        EXPECT_EQ(waitpid(pid_, &status, 0), pid_);
        pid_ = -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    }

  private:
    int lifeline_ = -1;
    pid_t pid_ = -1;
};

class EngineProcessTest : public testing::Test {
  protected:
    void SetUp() override {
        folder_ = testing::TempDir() + "/ivy_process_" + std::to_string(getpid());
        std::filesystem::remove_all(folder_);
        socket_ = folder_ + "/" + kEngineSocketName;
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }
    bool Answers() {
        TestClient client(socket_, Role::kQuery);
        return client.Run("SELECT 1::INTEGER", {kInt}).done.has_value();
    }
    // Starts queries that never end, and gives them time to get going.
    std::vector<std::unique_ptr<TestClient>> StartEndlessQueries() {
        std::vector<std::unique_ptr<TestClient>> clients;
        for (int i = 0; i < 3; i++) {
            clients.push_back(std::make_unique<TestClient>(socket_, Role::kQuery));
            clients.back()->SendQuery(kEndlessQuery, {kBigint});
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(200));
        return clients;
    }

    std::string folder_, socket_;
};

TEST_F(EngineProcessTest, StartsAndAnswers) {
    EngineProcess engine(folder_);
    ASSERT_TRUE(engine.WaitUntilListening());
    EXPECT_TRUE(Answers());
    std::string adjustment;
    std::getline(std::ifstream("/proc/" + std::to_string(engine.pid()) + "/oom_score_adj"), adjustment);
    EXPECT_EQ(adjustment, "1000");
    EXPECT_NE(getpgid(engine.pid()), getpgid(0));
}

TEST_F(EngineProcessTest, IsAloneInItsFolder) {
    EngineProcess engine(folder_);
    ASSERT_TRUE(engine.WaitUntilListening());
    EngineProcess second(folder_);
    EXPECT_FALSE(second.WaitUntilListening());
    EXPECT_EQ(second.WaitForExit(), kExitFolderInUse);
    EXPECT_TRUE(Answers());  // the second one took nothing from the first
}

TEST_F(EngineProcessTest, EndsWithItsLauncher) {
    EngineProcess engine(folder_);
    ASSERT_TRUE(engine.WaitUntilListening());
    const auto clients = StartEndlessQueries();
    const auto begin = TestClock::now();
    engine.CloseLifeline();
    EXPECT_EQ(engine.WaitForExit(), 0);
    EXPECT_LT(MillisecondsSince(begin), 1000);
    EXPECT_FALSE(std::filesystem::exists(socket_));
    for (const auto& client : clients) EXPECT_EQ(client->Next().type, 0);
}

TEST_F(EngineProcessTest, EndsAtOnceOnSignals) {
    for (const int signal : {SIGTERM, SIGINT}) {
        EngineProcess engine(folder_);
        ASSERT_TRUE(engine.WaitUntilListening());
        const auto clients = StartEndlessQueries();
        const auto begin = TestClock::now();
        kill(engine.pid(), signal);
        EXPECT_EQ(engine.WaitForExit(), 0);
        EXPECT_LT(MillisecondsSince(begin), 1000);
        EXPECT_FALSE(std::filesystem::exists(socket_));
    }
}

TEST_F(EngineProcessTest, StartsAgainAfterAKill) {
    for (int round = 0; round < 3; round++) {
        EngineProcess engine(folder_);
        ASSERT_TRUE(engine.WaitUntilListening());
        const auto clients = StartEndlessQueries();
        kill(engine.pid(), SIGKILL);
        EXPECT_EQ(engine.WaitForExit(), -SIGKILL);
        EXPECT_TRUE(std::filesystem::exists(socket_));  // stale, to be replaced
    }
    EngineProcess engine(folder_);
    ASSERT_TRUE(engine.WaitUntilListening());
    EXPECT_TRUE(Answers());
}

TEST_F(EngineProcessTest, IgnoresABrokenPipe) {
    EngineProcess engine(folder_);
    ASSERT_TRUE(engine.WaitUntilListening());
    for (int i = 0; i < 20; i++) {
        TestClient client(socket_, Role::kQuery);
        client.SendQuery("SELECT i FROM range(10000000) t(i)", {kBigint});
    }
    EXPECT_TRUE(Answers());
}

TEST_F(EngineProcessTest, RefusesBadOptions) {
    for (const char* option : {"--threads=many", "--nonsense=1", "--threads"}) {
        EngineProcess engine(folder_, option);
        EXPECT_FALSE(engine.WaitUntilListening());
        EXPECT_EQ(engine.WaitForExit(), 2) << option;
    }
    EngineProcess engine("/proc/no/such/folder");
    EXPECT_EQ(engine.WaitForExit(), 1);
}

// A query that needs more memory than there is fails, alone.
TEST_F(EngineProcessTest, StaysWithinItsMemory) {
    EngineProcess engine(folder_, "--memory-limit=100000000");
    ASSERT_TRUE(engine.WaitUntilListening());
    TestClient client(socket_, Role::kQuery);
    const Answer spilled =
        client.Run("SELECT count(DISTINCT repeat('x', 100) || i) FROM range(1000000) t(i)", {kBigint});
    EXPECT_TRUE(spilled.done) << spilled.error->error.message;
    const Answer failed =
        client.Run("SELECT length(string_agg(repeat('x', 1000) || i, ''))::BIGINT FROM range(1000000) t(i)", {kBigint});
    ASSERT_TRUE(failed.error);
    EXPECT_EQ(failed.error->error.sqlstate, "53200") << failed.error->error.message;
    EXPECT_TRUE(Answers());
}

}  // namespace
}  // namespace ivy::engine
