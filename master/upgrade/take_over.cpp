#include "master/upgrade/take_over.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <utility>

#include "master/host/exit_status.h"
#include "master/upgrade/arguments.h"
#include "master/upgrade/handover_descriptors.h"
#include "master/upgrade/program_check.h"
#include "master/upgrade/way_back.h"
#include "worker/log/log.h"
#include "worker/sys/title.h"

namespace bulkhead::upgrade {

namespace {

struct Came {
  int state = -1;
  int program = -1;
};

Came descriptors_of(const std::string& text) {
  Came out;
  return std::sscanf(text.c_str(), "%d,%d", &out.state, &out.program) == 2 ? out : Came{};
}

std::string read(const Came& came, Handover& out) {
  auto text = read_state(came.state);
  return text ? decode(*text, out) : text.error().text();
}

// Every descriptor is passed back as it was received: none has been closed or changed.
[[noreturn]] void fall_back(const std::string& reason) {
  log::Line(log::Level::error, "root").text("cannot take over: ").text(reason).write();
  fmt::print(stderr, "bulkheadd: cannot take over: {}\n", reason);
  take_way_back(reason);
  _exit(kSystemError);
}

int rehearse(const Came& came, const std::string& version) {
  Handover handover;
  std::string problem = read(came, handover);
  if (problem.empty()) problem = rehearse_resume(handover, getppid());
  if (problem.empty()) problem = rehearse_workers(handover);
  if (problem.empty()) {
    fmt::print("{}{}\n", kCheckAnswer, version);
    return kStopped;
  }
  fmt::print(stderr, "{}\n", problem);
  return kBadConfiguration;
}

Inheritance inheritance_of(const Handover& handover) {
  Blueprint blueprint = blueprint_of(handover);
  host::LogTarget log{sys::Fd(handover.log_lines), sys::Fd(handover.log_handlers)};
  host::configure_log(blueprint.config->log, log.lines.get());
  host::PidFile pid_file;
  if (handover.pid_file >= 0) {
    pid_file = host::PidFile::resume(handover.settled.pid_file, sys::Fd(handover.pid_file));
  }
  return {std::move(blueprint), std::move(log), std::move(pid_file)};
}

}  // namespace

void open_way_back_of(const std::vector<std::string>& command_line, char** argv) {
  Came came;
  for (char** argument = argv; *argument != nullptr; ++argument) {
    const std::string_view text = *argument;
    if (text.starts_with(kRolledBack) || text == kDryRun) return;
    if (text.starts_with(kAdopt)) came = descriptors_of(std::string(text.substr(kAdopt.size())));
  }
  if (came.program < 0) return;
  std::vector<std::string> arguments = adopting_arguments(command_line, came.state, -1);
  arguments.emplace_back(kRolledBack);
  open_way_back(came.program, std::move(arguments));
}

int take_over(const Adopting& how, const MakeHeir& make_heir) {
  const Came came = descriptors_of(how.descriptors);
  if (how.dry_run) return rehearse(came, how.version);
  const bool may_go_back = is_way_back_open();  // then this program owns only copies
  Handover handover;
  std::string problem = read(came, handover);
  if (!problem.empty()) fall_back(problem);
  receive_descriptors(handover, came.state, may_go_back);
  Handover came_with;
  came_with.descriptors = handover.descriptors;
  std::unique_ptr<Heir> daemon;  // outlives a failure: its descriptors and files belong to the previous program
  try {
    // Without a way back this is the previous program again, whose descriptors have stayed open.
    if (may_go_back) problem = check_descriptors(handover);
    if (problem.empty() && may_go_back) problem = copy_descriptors(handover);
    if (problem.empty()) problem = rehearse_resume(handover, getpid());
    if (problem.empty()) {
      daemon = make_heir(inheritance_of(handover));
      problem = daemon->resume(handover, how.rolled_back);
    }
  } catch (const std::exception& error) {
    problem = error.what();
  }
  if (!problem.empty()) fall_back(problem);
  close_way_back();
  if (may_go_back) close_originals(came_with);
  ::close(came.state);
  sys::Title::use_environment_too();
  sys::Title::set("bulkheadd: master");
  return daemon->run_on();
}

}  // namespace bulkhead::upgrade
