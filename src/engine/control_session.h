// SPDX-License-Identifier: Apache-2.0
//
// ControlSession: serves one control connection: "status" and "flush".
#pragma once

#include <atomic>
#include <string>

#include "base/status.h"
#include "engine/channel.h"
#include "engine/services.h"
#include "protocol/messages.h"

namespace ivy::engine {

class ControlSession {
  public:
    ControlSession(Channel& channel, Services& services) : channel_(channel), services_(services) {}

    // Returns when the connection has ended.
    void Serve();

  private:
    Result<std::string> Answer(const Control& control);
    Status Probe(const Control& control);
    std::string StatusJson();

    Channel& channel_;
    Services& services_;
    std::atomic<bool> hung_up_{false};
};

}  // namespace ivy::engine
