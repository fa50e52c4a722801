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
// A reload may have to be confirmed (confirmation.h). If it is not, the configuration before it is reloaded as if the
// file had it: before other requests, and as far as possible, because the operator may be locked out meanwhile.
//
// A trial that fails is undone in reverse order (steps.h), and the old configuration continues; `status` remembers why.
// A reload that is asked for while the daemon starts begins when it is ready.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "master/config/config.h"
#include "master/config/host.h"
#include "master/host/clock.h"
#include "master/host/service_manager.h"
#include "master/journal/event_ring.h"
#include "master/reload/attempt.h"
#include "master/reload/commit.h"
#include "master/reload/confirmation.h"
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
    std::vector<Difference> left{};           // diff: what operators have made different, and a reload leaves so
    std::vector<std::string> warnings{};      // of the file
    std::optional<double> confirm_seconds{};  // how much time is left to confirm the configuration in effect
    bool went_back = false;  // diff: the file has not been confirmed, and what is in effect is the one before it
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
    Clock clock = now;
    WhyNotStarted why_not_started{};  // may be empty
  };

  // All references must outlive it.
  Reload(loop::Loop& loop, Parts parts, journal::EventRing& events, host::ServiceManager& manager,
         Surroundings surroundings);

  struct Wishes {
    bool reset = false;  // what operators have changed ends, too, so that the tree is what the file says
    std::optional<supervision::Duration> confirm{};  // it goes back after this time, unless confirm() is called
  };
  void begin(Answered answered, const Wishes& wishes);
  void begin(Answered answered) { begin(std::move(answered), {}); }
  [[nodiscard]] Confirmation::Answer confirm();
  // Called by a timer: goes back if nobody has confirmed in time.
  void look_at_the_clock();
  [[nodiscard]] const std::optional<Unconfirmed>& unconfirmed() const noexcept { return confirmation_.unconfirmed(); }
  // None: no reload waits to be confirmed. 0: the configuration before is about to come back.
  [[nodiscard]] std::optional<double> seconds_to_confirm() const;
  // Begins a reload that was requested while something else was in progress.
  void go_on();
  // Changes that have not been applied by now are given up.
  void daemon_stops();

  // Read `file`, the daemon's own if empty: its problems, or what a reload of it would change. Touches nothing.
  [[nodiscard]] Result check(const std::string& file) const;
  [[nodiscard]] Result diff(const std::string& file) const;

  [[nodiscard]] bool under_way() const noexcept { return !askers_.empty(); }
  [[nodiscard]] bool is_asked_for() const noexcept { return !waiting_.empty(); }
  [[nodiscard]] const Wishes& wishes() const noexcept { return wishes_; }  // of those who ask for it
  // `last_reload` of status, and what another program knew of it.
  [[nodiscard]] const nlohmann::ordered_json& last() const noexcept { return last_; }
  void resume(const std::string& last, std::optional<Unconfirmed> unconfirmed);

 private:
  struct Owed {
    Answered answered;
    Result result;  // if what is missing is carried out after all
  };
  [[nodiscard]] config::Loaded load(const std::string& file) const;
  [[nodiscard]] ReloadPlan plan(const std::string& effective, const config::Config& config, bool reset) const;
  [[nodiscard]] Look look() const { return {parts_.engine, parts_.catalogue, parts_.listeners}; }
  [[nodiscard]] std::vector<Leaving> leaving() const;
  void add_wishes(const Wishes& wishes);
  void take_next();
  void run();
  void run_back();
  void keep_what_stays(config::Config& config) const;
  void took_effect();
  void confirmation_begun();
  // Logs the text with the limit, and gives the event's fields.
  [[nodiscard]] nlohmann::ordered_json limit_told(log::Level level, const char* text) const;
  void returned();
  void return_failed(std::vector<std::string>& problems);
  void start_confirm_timer();
  void stop_confirming();
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
  void remember(std::vector<std::string> errors, bool went_back);
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
  Wishes wishes_;                      // of those who wait, all together
  Confirmation confirmation_;
  loop::Timer confirm_timer_;
  std::optional<supervision::Duration> limit_;  // to confirm the present one, until it takes effect
  Former before_;                               // what the present one replaces, until it takes effect
  bool went_back_ = false;                      // the present one has taken effect because nobody confirmed another
  bool completing_ = false;                     // the present one is for those
  bool stopping_ = false;                       // the daemon is
};

inline constexpr const char* kNotConfirmed = "not confirmed in time; the configuration before is in effect again";

// [{"path", "kind", "keys"}, …], as events and answers have it.
[[nodiscard]] nlohmann::ordered_json changes_json(const ReloadPlan& plan);

}  // namespace bulkhead::reload
