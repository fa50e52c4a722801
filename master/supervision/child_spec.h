// The description of a child before it runs: OTP's child spec and supervisor flags, as plain values.
// Source of the words and rules: OTP 25, stdlib, supervisor(3), "Child specification" and "Supervisor flags".
// Pure: no clock, no process, no file. Every duration is a std::chrono nanosecond count on the steady clock.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bulkhead::supervision {

using Duration = std::chrono::nanoseconds;
using Instant = std::chrono::time_point<std::chrono::steady_clock, Duration>;

// supervisor and listener supervise (a listener supervises its workers); process and worker are leaves.
enum class NodeType : std::uint8_t { supervisor, listener, process, worker };
enum class Strategy : std::uint8_t { one_for_one, one_for_all, rest_for_one };
enum class Restart : std::uint8_t { permanent, transient, temporary };
enum class AutoShutdown : std::uint8_t { never, any_significant, all_significant };

struct Shutdown {
  enum class Kind : std::uint8_t { brutal_kill, timeout, infinity };
  Kind kind = Kind::timeout;
  Duration timeout = std::chrono::seconds(5);  // Kind::timeout only
};

// An addition to OTP: how long a crashing child waits before its next start. The first restart is immediate; then the
// delay grows by `factor` from `min` to `max`, is changed by a random part of up to ±`jitter` of itself, and starts
// over after a run of `reset_after`. When `immediate_after_ready` is set (workers), a child that was ready for at least
// `stable_run` restarts immediately.
struct RestartDelay {
  bool enabled = false;
  Duration min = std::chrono::seconds(1);
  Duration max = std::chrono::seconds(30);
  double factor = 2.0;
  double jitter = 0.1;
  Duration reset_after = std::chrono::seconds(60);
  bool immediate_after_ready = false;
  Duration stable_run = std::chrono::seconds(1);

  bool operator==(const RestartDelay&) const = default;
};

// Two more additions: `manual`, a child that only operations start, and `start_delay`, a pause before the start that a
// starting supervisor makes; the child counts as starting meanwhile. Neither concerns restarts. Both are for leaves.

struct SupervisorFlags {
  Strategy strategy = Strategy::one_for_one;
  std::optional<std::uint32_t> max_restarts = 3;  // nothing: unlimited
  Duration max_seconds = std::chrono::seconds(5);
  AutoShutdown auto_shutdown = AutoShutdown::never;
};

struct ChildSpec {
  std::string id;
  NodeType type = NodeType::process;
  Restart restart = Restart::permanent;
  bool significant = false;
  Shutdown shutdown;
  RestartDelay restart_delay;
  bool manual = false;
  Duration start_delay{};
  SupervisorFlags flags;            // supervisor and listener only
  std::vector<ChildSpec> children;  // supervisor and listener only, in start order
  std::uint32_t tag = 0;            // belongs to the edge: carried along and never used by the rules
};

// A listener supervises its workers, so the rules treat it as a supervisor.
[[nodiscard]] constexpr bool supervises(NodeType type) {
  return type == NodeType::supervisor || type == NodeType::listener;
}

}  // namespace bulkhead::supervision
