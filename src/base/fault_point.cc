// SPDX-License-Identifier: Apache-2.0
// Fault points: parsing of specifications and acting on them.
#include "base/fault_point.h"

#ifdef IVY_FAULT_POINTS

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <map>
#include <mutex>
#include <random>
#include <thread>

namespace ivy {
namespace {

struct Fault {
    enum class Action { kOff, kKill, kError, kFull, kSleep } action = Action::kOff;
    int sleep_ms = 0;
    int percent = 100;
    int left = -1;  // passings to act on; negative: all
    int acted = 0;
};

class Faults {
  public:
    static Faults& Get() {
        static Faults faults;
        return faults;
    }

    Status Set(const std::string& specification) {
        std::lock_guard guard(mutex_);
        return SetLocked(specification);
    }
    Status SetLocked(const std::string& specification) {
        for (size_t begin = 0; begin <= specification.size();) {
            size_t end = specification.find(',', begin);
            if (end == std::string::npos) end = specification.size();
            IVY_RETURN_IF_ERROR(SetOne(specification.substr(begin, end - begin)));
            begin = end + 1;
        }
        return Status::Ok();
    }

    Status Pass(const char* name) {
        if (!any_.load(std::memory_order_relaxed) && !file_) return Status::Ok();
        int sleep_ms = 0;
        {
            std::lock_guard guard(mutex_);
            if (file_) ReadFile();
            const auto found = faults_.find(name);
            if (found == faults_.end()) return Status::Ok();
            Fault& fault = found->second;
            if (fault.action == Fault::Action::kOff || fault.left == 0) return Status::Ok();
            if (fault.percent < 100 && static_cast<int>(random_() % 100) >= fault.percent) return Status::Ok();
            if (fault.left > 0) fault.left--;
            fault.acted++;
            if (file_ && (fault.left == 0 || fault.action == Fault::Action::kKill)) (void)truncate(file_, 0);
            if (fault.action == Fault::Action::kKill) kill(getpid(), SIGKILL);
            if (fault.action == Fault::Action::kFull) {
                return Status::FromErrno(std::string("fault point \"") + name + "\" was reached", ENOSPC);
            }
            if (fault.action == Fault::Action::kError) {
                return Status::Make(sqlstate::kIoError, std::string("fault point \"") + name + "\" was reached");
            }
            sleep_ms = fault.sleep_ms;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(sleep_ms));
        return Status::Ok();
    }

    int Count(const std::string& name) {
        std::lock_guard guard(mutex_);
        const auto found = faults_.find(name);
        return found == faults_.end() ? 0 : found->second.acted;
    }

  private:
    Faults() {
        const char* specification = std::getenv("IVY_FAULT");
        // A mistake in the variable must not go unnoticed: the test would pass without testing anything.
        if (specification && *specification && !Set(specification).ok()) std::abort();
        file_ = std::getenv("IVY_FAULT_FILE");
    }

    void ReadFile() {
        std::ifstream in(file_);
        std::string specification;
        std::getline(in, specification);
        if (specification == read_) return;
        read_ = specification;
        for (auto& [name, fault] : faults_) fault.action = Fault::Action::kOff;
        if (!specification.empty() && !SetLocked(specification).ok()) std::abort();
    }

    Status SetOne(const std::string& one) {
        const Status bad =
            Status::Make(sqlstate::kInvalidParameter, "invalid fault specification \"" + one + "\"",
                         "It must be name:kill[-percent], name:error[-percent], name:full[-percent], name:sleep-<ms> "
                         "or name:off, and may end in :count.");
        const size_t colon = one.find(':');
        if (colon == std::string::npos || colon == 0) return bad;
        const size_t second = one.find(':', colon + 1);
        const std::string action = one.substr(colon + 1, second == std::string::npos ? second : second - colon - 1);
        Fault fault;
        const size_t dash = action.find('-');
        const std::string verb = action.substr(0, dash);
        if (verb == "kill" || verb == "error" || verb == "full") {
            fault.action = verb == "kill"    ? Fault::Action::kKill
                           : verb == "error" ? Fault::Action::kError
                                             : Fault::Action::kFull;
            if (dash != std::string::npos) fault.percent = std::atoi(action.c_str() + dash + 1);
            if (fault.percent <= 0 || fault.percent > 100) return bad;
        } else if (action.rfind("sleep-", 0) == 0) {
            fault.action = Fault::Action::kSleep;
            fault.sleep_ms = std::atoi(action.c_str() + 6);
        } else if (action != "off") {
            return bad;
        }
        if (second != std::string::npos) {
            fault.left = std::atoi(one.c_str() + second + 1);
            if (fault.left <= 0) return bad;
        }
        Fault& slot = faults_[one.substr(0, colon)];
        fault.acted = slot.acted;
        slot = fault;
        any_.store(true, std::memory_order_relaxed);
        return Status::Ok();
    }

    std::mutex mutex_;
    const char* file_ = nullptr;
    std::string read_;  // last line read from it
    std::map<std::string, Fault> faults_;
    std::minstd_rand random_{std::random_device{}()};
    std::atomic<bool> any_{false};
};

}  // namespace

Status SetFaults(const std::string& specification) { return Faults::Get().Set(specification); }
int FaultCount(const std::string& name) { return Faults::Get().Count(name); }
Status PassFaultPoint(const char* name) { return Faults::Get().Pass(name); }

}  // namespace ivy

#else

namespace ivy {

Status SetFaults(const std::string&) {
    return Status::Make(sqlstate::kFeatureNotSupported, "this build has no fault points");
}
int FaultCount(const std::string&) { return 0; }
Status PassFaultPoint(const char*) { return Status::Ok(); }

}  // namespace ivy

#endif
