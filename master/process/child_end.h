// How a run of a worker or of a process child ended.
#pragma once

#include <cstdint>
#include <string>

#include "master/supervision/event.h"

namespace bulkhead::process {

struct ChildEnd {
  supervision::NodeId node = 0;
  supervision::RunId run = 0;
  std::string path;
  int wait_status = 0;
  supervision::ExitReason reason = supervision::ExitReason::abnormal;
  bool start_failed = false;  // it had not become ready: StartFailed, else ChildExited
  bool expected = false;      // asked for, or normal
  std::string failure;        // the known reason, as a predicate; may be empty
  std::uint32_t adopted = 0;  // for a worker: how many connections continue without it
};

}  // namespace bulkhead::process
