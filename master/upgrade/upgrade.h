// Upgrade in place: the program's file is executed again, as the same process, with everything that it holds
// (handover.h). Runs in the master, on the loop, one at a time.
//
//   open the file ──▶ dry run, as a child, with the real state (program_check.h)
//                ──▶ wait until nothing is half done ──▶ write the state ──▶ execve
//
// What operators have asked for and is not over travels with the state (procedure/handover.h); a reload waits. If the
// state has changed since its dry run in what that depends on, the dry run is repeated, and in the end given up.
//
//   in the new program: resume everything (take_over.h, resume.h) ──▶ upgrade_done ──▶ replace the workers one by one
//
// A failure before execve leaves the daemon as it is. A failure after it, up to upgrade_done, executes the previous
// program again, once, through the descriptor that was passed on (way_back.h); it reports `upgrade_rolled_back`, as
// this one would. Until then the new program reaps nothing, starts nothing and reads nothing that the previous one
// would miss. Connections notice nothing of an upgrade.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "master/host/pid_file.h"
#include "master/journal/event_ring.h"
#include "master/journal/narrator.h"
#include "master/procedure/endings.h"
#include "master/procedure/log_keeper.h"
#include "master/procedure/operations.h"
#include "master/procedure/readiness.h"
#include "master/procedure/renewal.h"
#include "master/procedure/service_reports.h"
#include "master/reload/reload.h"
#include "master/running/catalogue.h"
#include "master/running/children.h"
#include "master/running/engine.h"
#include "master/running/later.h"
#include "master/running/listeners.h"
#include "master/running/pool_users.h"
#include "master/upgrade/handover.h"
#include "master/upgrade/program_check.h"
#include "worker/loop/loop.h"
#include "worker/sys/fd.h"

namespace bulkhead::upgrade {

// Everything that another program continues with.
struct Estate {
  running::Engine& engine;
  running::Catalogue& catalogue;
  running::PoolUsers& users;
  running::Listeners& listeners;
  running::Children& children;
  running::Later& later;
  procedure::Endings& endings;
  procedure::Operations& operations;
  procedure::Readiness& readiness;
  procedure::LogKeeper& log;
  procedure::ServiceReports& services;
  reload::Reload& reload;
  journal::EventRing& events;
  journal::Narrator& narrator;
  net::InheritedSockets& inherited;
  host::PidFile& pid_file;
  supervision::Instant& started;
};

class Upgrade {
 public:
  struct Result {
    std::string problem;  // empty: none; else the previous program continues, or not all workers were replaced
    std::string version;
    std::string previous;
  };
  using Answered = std::function<void(const Result&)>;
  struct Surroundings {
    std::string version;                 // of this program
    std::vector<std::string> arguments;  // its command line
    std::string program;                 // own_program_path()
    std::function<bool()> is_stopping;
    std::function<ServerHandover()> hand_over_clients;  // of the control socket
    std::function<bool()> clients_wait;                 // true if some client is in the middle of an answer
    std::function<void()> on_change;                    // begun or over
  };

  // All references must outlive it.
  Upgrade(loop::Loop& loop, Estate estate, Surroundings surroundings);

  // Why no upgrade can begin now; empty: one can.
  [[nodiscard]] std::string why_not() const;
  // Answers when the upgrade is over. The other program may have to give the answer (await()).
  void begin(Answered answered);
  void go_on();  // begins an upgrade that has waited for the end of a reload
  void daemon_stops();
  [[nodiscard]] bool under_way() const noexcept { return stage_ != Stage::none; }  // then a reload waits
  [[nodiscard]] bool is_renewing() const noexcept { return stage_ == Stage::renewing; }
  [[nodiscard]] const nlohmann::ordered_json& last() const noexcept { return last_; }  // `last_upgrade` of status

  [[nodiscard]] bool knows(pid_t pid) const noexcept { return check_.knows(pid); }  // the dry run
  void reaped(int wait_status) { check_.ended(wait_status); }

  // In the new program: restores everything; `rolled_back`: this is the previous program, executed again, and why.
  // Returns the problem; then nothing that was handed over may be destroyed, because it belongs to the other program.
  [[nodiscard]] std::string resume(Handover& from, const std::string& rolled_back);
  // Adds a client that had asked the other program and waits for the answer.
  void await(Answered answered) { askers_.push_back(std::move(answered)); }
  // Continues after resume(), when the loop is about to run.
  void resumed();

 private:
  enum class Stage : std::uint8_t { none, checking, waiting, renewing };

  [[nodiscard]] std::optional<sys::Error> check();
  void check_again();
  void checked(const ProgramCheck::Outcome& outcome);
  void wait_for_quiet();
  void look_whether_quiet();
  [[nodiscard]] std::string busy_with() const;
  void execute();
  [[nodiscard]] Handover hand_over() const;
  [[nodiscard]] static std::string essence_of(const Handover& state);
  void add_settings(Handover& out) const;
  void add_reload(Handover& out) const;
  void add_descriptors(Handover& out) const;
  [[nodiscard]] sys::Error become(Handover& handover);
  void done();
  void renewed(const procedure::Outcome& outcome);
  void rolled_back(const std::string& reason);
  void finish(const std::string& problem);
  void remember(const std::string& problem);

  [[nodiscard]] std::string resume_children(const Handover& from);

  Estate estate_;
  Surroundings surroundings_;
  ProgramCheck check_;
  loop::Timer quiet_;
  procedure::UpgradeRenewal renewal_;
  Stage stage_ = Stage::none;
  std::string path_;  // of the program, since the first start
  std::uint64_t incarnation_ = 1;
  sys::Fd program_;      // to be executed
  std::string checked_;  // what the dry run has seen: see essence_of()
  int checks_left_ = 0;
  supervision::Instant quiet_deadline_{};
  supervision::Instant readers_deadline_{};
  nlohmann::ordered_json last_;
  std::vector<Answered> askers_;
  std::vector<Answered> behind_reload_;  // not begun yet

  // In a program that has taken over, until the upgrade is over.
  std::string previous_version_;
  std::optional<reload::Reload::Wishes> reload_asked_;
  std::string came_back_;  // not empty: this is the previous program, executed again, and why
};

}  // namespace bulkhead::upgrade
