// SPDX-License-Identifier: Apache-2.0
//
// ivy_engine: the columnar engine of one Postgres database, a program with threads and without any Postgres code.
//
// It holds nothing that it can't get back from the warehouse and the replication slot. So it ends at once, without
// unwinding, when it is told to or when the launcher is gone; running queries end with it, and a crash at any point is
// the same thing.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "engine/ingest.h"
#include "engine/instance.h"
#include "engine/log.h"
#include "engine/options.h"
#include "engine/server.h"
#include "engine/watcher.h"
#include "protocol/engine_process.h"

namespace ivy::engine {
namespace {

// The kernel is to kill the engine before any server process. Not every system lets us say so.
void OfferToOomKiller() {
    const int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0) return;
    [[maybe_unused]] const ssize_t written = write(fd, "1000", 4);
    close(fd);
}

// Keeps a second engine away from the folder until this process ends. The descriptor stays open on purpose.
Status LockFolder(const std::string& folder, int* exit_code) {
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (error) return Status::FromErrno("could not create folder \"" + folder + "\"", error.value());
    const std::string path = folder + "/" + kEngineLockName;
    const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return Status::FromErrno("could not open \"" + path + "\"", errno);
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) return Status::Ok();
    const int lock_error = errno;
    close(fd);
    if (lock_error == EWOULDBLOCK) {
        *exit_code = kExitFolderInUse;
        return Status::Make(sqlstate::kObjectNotInState, "another engine is using folder \"" + folder + "\"");
    }
    return Status::FromErrno("could not lock \"" + path + "\"", lock_error);
}

// All signals are blocked in all threads; the ones that end the engine are read from the descriptor.
Result<int> BlockSignals() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, nullptr);
    sigset_t ending;
    sigemptyset(&ending);
    for (const int number : {SIGTERM, SIGINT, SIGQUIT, SIGHUP}) sigaddset(&ending, number);
    const int fd = signalfd(-1, &ending, SFD_CLOEXEC);
    if (fd < 0) return Status::FromErrno("could not create a signal descriptor", errno);
    return fd;
}

// Returns why the engine has to end.
std::string WaitForEnd(int signal_fd, int parent_fd) {
    pollfd wait[2] = {{signal_fd, POLLIN, 0}, {parent_fd, POLLIN, 0}};  // a negative descriptor is ignored
    while (true) {
        if (poll(wait, 2, -1) < 0) {
            if (errno == EINTR) continue;
            return std::string("poll failed: ") + std::strerror(errno);
        }
        if (wait[0].revents) {
            signalfd_siginfo info{};
            if (read(signal_fd, &info, sizeof info) != sizeof info) continue;
            return "signal " + std::to_string(info.ssi_signo);
        }
        if (wait[1].revents) {
            char bytes[64];
            const ssize_t count = read(parent_fd, bytes, sizeof bytes);
            if (count > 0 || (count < 0 && (errno == EINTR || errno == EAGAIN))) continue;
            return "the launcher is gone";
        }
    }
}

// Credentials of whoever started the server are not for its users' queries.
void ForgetCredentials() {
    std::vector<std::string> names;
    for (char** entry = environ; *entry; entry++) {
        const std::string_view text = *entry;
        if (text.starts_with("AWS_")) names.emplace_back(text.substr(0, text.find('=')));
    }
    for (const std::string& name : names) unsetenv(name.c_str());
}

// Returns only if the engine could not be started.
Status Run(const Options& options, int* exit_code) {
    setsid();  // fails, harmlessly, if this is a process group's leader already
    OfferToOomKiller();
    ForgetCredentials();
    IVY_ASSIGN_OR_RETURN(const int signal_fd, BlockSignals());
    IVY_RETURN_IF_ERROR(LockFolder(options.folder, exit_code));

    Instance::Config config;
    config.temp_folder = options.folder + "/" + kScratchPrefix + "duckdb";
    config.memory_limit = options.memory_limit;
    config.temp_limit = options.temp_limit;
    config.threads = options.threads;
    IVY_ASSIGN_OR_RETURN(const auto instance, Instance::Open(config));
    IVY_ASSIGN_OR_RETURN(const auto watcher, Watcher::Start());
    Ingest ingest(*instance, options.ingest);

    Services services;
    services.database = options.database;
    services.instance = instance.get();
    services.mirrors = &ingest.mirrors();
    services.ingest = &ingest;
    services.watcher = watcher.get();
    IVY_ASSIGN_OR_RETURN(const auto server, Server::Start(options.socket, &services));

    Log(LogLevel::kLog, "ready, process " + std::to_string(getpid()));
    if (options.parent_fd >= 0) {
        // The launcher may be gone already; then WaitForEnd will see that.
        [[maybe_unused]] const ssize_t sent = send(options.parent_fd, &kEngineListening, 1, MSG_NOSIGNAL);
    }
    const std::string reason = WaitForEnd(signal_fd, options.parent_fd);
    Log(LogLevel::kLog, "ending: " + reason);
    unlink(options.socket.c_str());
    _exit(0);
}

}  // namespace
}  // namespace ivy::engine

int main(int argc, char** argv) {
    using namespace ivy::engine;
    const auto options = Options::Parse(std::vector<std::string>(argv + 1, argv + argc));
    if (!options.ok()) {
        std::fprintf(stderr, "ivy_engine: %s\n%s", options.error().message.c_str(), Options::Usage());
        return 2;
    }
    SetLogPrefix("ivy_engine[" + std::to_string(options->database) + "]");
    int exit_code = 1;
    const ivy::Status status = Run(*options, &exit_code);
    LogError(LogLevel::kFatal, "could not start", status.error());
    return exit_code;
}
