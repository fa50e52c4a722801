// Upgrade in place: the program's file is executed anew, as the same process, with everything that there is
// (upgrade/handover.h). Runs in the master, on the loop, one at a time.
//
//   open the file ──▶ dry run, as a child, with the real state (upgrade/program_check.h)
//                ──▶ wait until nothing is half done ──▶ write the state ──▶ execve
//   in the new program: resume everything ──▶ upgrade_done ──▶ replace the workers one by one
//
// What fails before execve leaves us as we are. What fails behind it, up to upgrade_done, executes the program before,
// whose descriptor came along, once (upgrade/way_back.h); it says `upgrade_rolled_back`, as we do. Up to there the
// new program reaps nothing, starts nothing and reads nothing that would be missed. Connections notice none of it.
#pragma once

#include <sys/types.h>

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "master/config/config.h"
#include "master/control/backend.h"
#include "master/daemon_renewal.h"
#include "master/upgrade/handover.h"
#include "master/upgrade/program_check.h"
#include "worker/loop/loop.h"
#include "worker/sys/fd.h"

namespace bulkhead {

class Daemon;

// The hidden options by which one bulkheadd executes another (master/daemon_adopt.h).
inline constexpr std::string_view kAdopt = "--adopt=";             // STATE,PROGRAM: descriptors
inline constexpr std::string_view kRolledBack = "--rolled-back=";  // the reason
inline constexpr std::string_view kDryRun = "--dry-run";

class DaemonUpgrade {
 public:
  explicit DaemonUpgrade(Daemon& daemon);
  ~DaemonUpgrade();

  // Answers when it is through: {"ok":true,"version":…,"previous":…}, or a refusal with the reason. The answer may be
  // the other program's to give.
  void begin(protocol::Reply reply);
  [[nodiscard]] bool under_way() const noexcept { return stage_ != Stage::none; }
  void go_on();  // with what has waited for the end of a reload
  // Workers are being replaced: a reload has to wait.
  [[nodiscard]] bool renewing() const noexcept { return stage_ == Stage::renewing; }
  [[nodiscard]] const nlohmann::ordered_json& last() const { return *last_; }  // `last_upgrade` of status

  [[nodiscard]] bool knows(pid_t pid) const noexcept { return check_.knows(pid); }  // the dry run
  void reaped(int wait_status) { check_.ended(wait_status); }
  void daemon_stops();

  // In the new program: everything as it was. Returns the problem; then nothing of ours must be destroyed before
  // fall_back().
  [[nodiscard]] std::string resume(upgrade::Handover& from, const std::string& rolled_back);
  // Goes on after that, when the loop is about to run.
  void resumed();

 private:
  enum class Stage : std::uint8_t { none, checking, waiting, renewing };

  void checked(upgrade::ProgramCheck::Outcome outcome);
  void wait_for_quiet();
  void look_whether_quiet();
  [[nodiscard]] std::string busy_with() const;
  void execute();
  [[nodiscard]] upgrade::Handover hand_over() const;
  [[nodiscard]] std::optional<sys::Error> become(upgrade::Handover& handover);
  void done();
  void renewed(const std::string& problem);
  void rolled_back(const std::string& reason);
  void finish(const protocol::Answer& answer);
  void remember(const std::string& problem);
  [[nodiscard]] static protocol::Answer refused(const std::string& why);

  [[nodiscard]] std::string resume_children(const upgrade::Handover& from);
  [[nodiscard]] std::string resume_listener(const net::ListenerHandover& from);

  Daemon& daemon_;
  upgrade::ProgramCheck check_;
  loop::Timer quiet_;
  UpgradeRenewal renewal_;
  Stage stage_ = Stage::none;
  std::string path_;  // of the program, since the first start
  std::uint64_t incarnation_ = 1;
  sys::Fd program_;  // to be executed
  supervision::Instant quiet_deadline_{};
  supervision::Instant readers_deadline_{};
  std::unique_ptr<nlohmann::ordered_json> last_;
  std::vector<protocol::Reply> replies_;
  std::vector<protocol::Reply> behind_reload_;  // not begun yet

  // In a program that has taken over, until it is through.
  std::string previous_version_;
  std::string came_back_;  // it is the program before, once more: why
};

// The command line of a program that is to take over from the state in this descriptor, with the program before in that
// one (-1: none).
[[nodiscard]] std::vector<std::string> adopting_arguments(std::vector<std::string> arguments, int state, int program);

// The configuration that a handover speaks of, and what operators have added to it; `problem`: why there is none.
struct Blueprint {
  std::optional<config::Config> config;
  std::string effective;
  std::vector<config::Node> added;  // as in Handover::added
  std::string problem;
};
[[nodiscard]] Blueprint blueprint_of(const upgrade::Handover& from);
// The dry run: what resume() would do, short of touching anything. Returns the problem.
[[nodiscard]] std::string rehearse_resume(const upgrade::Handover& from, int parent);
// And whether our workers become ready: for each listener with modules, whose libraries they load, and for one of the
// others.
[[nodiscard]] std::string rehearse_workers(const upgrade::Handover& from);

}  // namespace bulkhead
