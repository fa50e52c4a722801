// One accepted connection on its way to a child, or to a refusal, and what has been decided about it.
#pragma once

#include <cstdint>
#include <string>

#include "worker/admission/pipeline.h"
#include "worker/ipc/peer.h"
#include "worker/ipc/slot.h"
#include "worker/sys/fd.h"

namespace bulkhead::worker {

struct Arrival {
  sys::Fd connection;
  std::uint32_t socket = 0;           // index of the listening socket it came from
  std::uint32_t slot = ipc::kNoSlot;  // claimed before the accept, or on admission
  ipc::Peer transport;                // the other end of the connection
  ipc::Peer client;                   // the client: the same, unless a trusted PROXY header names another
  ipc::Peer local;                    // its local end according to the header; AF_UNSPEC: its own
  std::string header;                 // the PROXY header as far as it has arrived; empty: none
  std::uint32_t rule = admission::kNoRule;
  std::uint32_t handler = 0;             // number in the plan
  std::int64_t source_connections = -1;  // how many its source had before it; -1: not counted
};

}  // namespace bulkhead::worker
