// Reload: check, diff, try, apply, or leave everything as it was. Runs in the master, on the loop, one at a time; a
// request during a reload gets the next one.
//
//   read and check the file ──▶ plan (plan.h)
//     trial   what may fail, with its undoing (trial.h)
//     commit  what does not: flags and specs in the tree, limits in the tables, the other workers one by one, the end
//             of what was removed, reload_signal to processes that stay (commit.h)
//
// A reload that waits for the end of a node that it replaces gives that up as soon as another reload is requested,
// which may want the node back. Its clients are then answered with the result of the other one. What it still owes is
// carried out by the other one, or after the other one if that is refused. A reload also owes nodes that have left the
// tree since it was planned, except those that operators have removed.
//
// A trial that fails is undone in reverse order (steps.h), and the old configuration continues; `status` remembers why.
// A reload that is asked for while the daemon starts begins when it is ready.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "master/config/config.h"
#include "master/config/host.h"
#include "master/host/service_manager.h"
#include "master/journal/event_ring.h"
#include "master/reload/attempt.h"
#include "master/reload/commit.h"
#include "master/reload/differences.h"
#include "master/reload/plan.h"
#include "worker/loop/loop.h"

namespace bulkhead::reload {

class Reload {
 public:
  // The result of a reload. If `problems` is not empty, it was refused or only partly carried out.
  struct Result {
    std::vector<std::string> problems;
    ReloadPlan plan;
    std::vector<Difference> left{};       // diff: what operators have made different, and a reload leaves so
    std::vector<std::string> warnings{};  // of the file
  };
  using Answered = std::function<void(const Result&)>;
  // Why the node at `path` has not started since the event with that number; empty: nobody knows.
  using WhyNotStarted = std::function<std::string(const std::string& path, std::uint64_t since)>;
  struct Surroundings {
    std::function<bool()> may_begin;                // not while the daemon starts, or an upgrade is under way
    std::function<void(config::Config&)> overrule;  // applies the command line; may be empty
    std::function<void()> taken_over;               // the new configuration is in effect
    std::function<void()> on_change;                // begun or over
    config::Overridden overridden{};                // by the command line
    WhyNotStarted why_not_started{};                // may be empty
  };

  // All references must outlive it.
  Reload(loop::Loop& loop, Parts parts, journal::EventRing& events, host::ServiceManager& manager,
         Surroundings surroundings);

  // `reset`: what operators have changed ends, too, so that the tree is what the file says.
  void begin(Answered answered, bool reset = false);
  // Begins a reload that was requested while something else was in progress.
  void go_on();
  // Changes that have not been applied by now are given up.
  void daemon_stops();

  // Read `file`, the daemon's own if empty: its problems, or what a reload of it would change. Touches nothing.
  [[nodiscard]] Result check(const std::string& file) const;
  [[nodiscard]] Result diff(const std::string& file) const;

  [[nodiscard]] bool under_way() const noexcept { return !askers_.empty(); }
  [[nodiscard]] bool is_asked_for() const noexcept { return !waiting_.empty(); }
  // `last_reload` of status, and what another program knew of it.
  [[nodiscard]] const nlohmann::ordered_json& last() const noexcept { return last_; }
  void resume(const std::string& last);

 private:
  struct Owed {
    Answered answered;
    Result result;  // if what is missing is carried out after all
  };
  [[nodiscard]] config::Loaded load(const std::string& file) const;
  [[nodiscard]] ReloadPlan plan(const std::string& effective, const config::Config& config, bool reset) const;
  [[nodiscard]] Look look() const { return {parts_.engine, parts_.catalogue, parts_.listeners}; }
  [[nodiscard]] std::vector<Leaving> leaving() const;
  void run();
  // What an earlier reload owes: the file in effect, once more.
  void complete();
  [[nodiscard]] ReloadPlan missing() const;
  void attempt(std::shared_ptr<config::Config> config, std::string effective, ReloadPlan planned, bool reset);
  [[nodiscard]] std::string why_not_started(const std::string& path) const;
  void take_back_generation();
  void give_way();
  void owe(const Result& result);
  void settle(const Result& end);
  void over(const Steps::End& end);
  void reject(std::vector<std::string> problems);
  void finished(std::vector<std::string> problems);
  void remember(const std::vector<std::string>& errors);
  void answer(const Result& result);

  Parts parts_;
  journal::EventRing& events_;
  host::ServiceManager& manager_;
  Surroundings surroundings_;
  Steps steps_;
  Attempt attempt_;
  Commit commit_;
  nlohmann::ordered_json last_;
  std::vector<std::string> warnings_;  // of the file that is in effect or tried
  std::vector<Answered> askers_;       // of the present reload
  std::vector<Answered> waiting_;      // of the next
  std::vector<Owed> owing_;            // of reloads in effect that have given something up
  std::uint64_t began_ = 0;            // the number of the last event before the present one
  bool reset_ = false;                 // some asker of the next reload wants it
  bool completing_ = false;            // the present one is for those
  bool stopping_ = false;              // the daemon is
};

// [{"path", "kind", "keys"}, …], as events and answers have it.
[[nodiscard]] nlohmann::ordered_json changes_json(const ReloadPlan& plan);

}  // namespace bulkhead::reload
