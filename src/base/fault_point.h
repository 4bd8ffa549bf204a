// SPDX-License-Identifier: Apache-2.0
//
// Fault points: named places in the code where a test makes the process die, fail or wait.
//
//     IVY_FAULT_POINT("flush-before-publish");    // in a function that returns Status or Result
//
// A specification is "name:action[:count]", several are separated by commas. The action is "kill" (SIGKILL to this
// process), "error" (the function returns an error), "kill-<percent>" or "error-<percent>" (so on some passings, at
// random), "sleep-<milliseconds>", or "off". With a count it acts on that many passings and is then off; without one, on
// every passing; "full" makes the function fail as a full disk does. Specifications come from the environment variable
// IVY_FAULT, read at the first passing, at run time from SetFaults, and from the file that the environment variable
// IVY_FAULT_FILE names, which all processes look at whenever they pass: what it says then is all that is in force. It is
// emptied when a process is about to die, and when a count is used up: so one process does, once, what it says, and the
// test knows. Compiled only with IVY_FAULT_POINTS. Thread-safe.
#pragma once

#include <string>

#include "base/status.h"

namespace ivy {

// Adds to or changes the specifications in force. An error for a bad one, and always in builds without fault points.
Status SetFaults(const std::string& specification);

// Whether any specification named "name" has acted, and how often, since the process started.
int FaultCount(const std::string& name);

// What IVY_FAULT_POINT calls. Cheap while nothing is specified.
Status PassFaultPoint(const char* name);

}  // namespace ivy

#ifdef IVY_FAULT_POINTS
#define IVY_FAULT_POINT(name) IVY_RETURN_IF_ERROR(::ivy::PassFaultPoint(name))
#else
#define IVY_FAULT_POINT(name) \
    do {                      \
    } while (false)
#endif
