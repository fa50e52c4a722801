// A tree between two steps as plain values, so that another process can continue with it (Tree::state(),
// Tree::restore()). The configuration is not included: specs are found again by path.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "master/supervision/command.h"

namespace bulkhead::supervision {

// Enumerators that are internal to a supervisor are stored as numbers; restore() checks them.
struct MessageRecord {
  std::uint32_t kind = 0;  // its index in Message (node.h)
  NodeId child = 0;
  RunId run = 0;
  ExitReason reason = ExitReason::normal;
};

struct JobRecord {
  std::uint32_t kind = 0;
  NodeId subject = 0;
  Duration delay{};
  Cause cause = Cause::request;
  std::vector<NodeId> stops;
  std::vector<NodeId> starts;
  std::uint64_t next_stop = 0;
  std::uint64_t next_start = 0;
  std::vector<NodeId> awaited;
  bool starting = false;
};

struct SupervisorRecord {
  std::vector<Instant> restarts;  // restarts that may still count
  std::vector<NodeId> children;   // in order of start
  std::vector<MessageRecord> mailbox;
  std::vector<JobRecord> jobs;
};

struct NodeRecord {
  NodeId id = 0;
  NodeId parent = 0;
  std::string name;  // the id in its spec; "root" for the root
  NodeType type = NodeType::process;
  NodeState state = NodeState::stopped;
  Instant since{};
  RunId run = 0;
  std::uint64_t restarts = 0;
  bool exit_pending = false;
  bool dormant = false;
  std::optional<Instant> ready_at;
  std::optional<Duration> ready_for;
  std::optional<Instant> due;
  std::optional<Instant> deadline;
  std::uint32_t backoff = 0;
  std::uint32_t ending = 0;
  std::string how;
  std::vector<std::string> blame;
  std::optional<SupervisorRecord> supervisor;  // present while it runs
};

struct TreeState {
  NodeId last_id = 0;
  RunId last_run = 0;
  std::uint64_t jitter = 0;
  std::vector<NodeRecord> nodes;  // every node comes after its parent
};

}  // namespace bulkhead::supervision
