#include "master/daemon_adopt.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <utility>

#include "master/daemon.h"
#include "master/daemon_upgrade.h"
#include "master/upgrade/handover_descriptors.h"
#include "master/upgrade/way_back.h"
#include "worker/log/log.h"
#include "worker/sys/title.h"

namespace bulkhead {

namespace {

using upgrade::Handover;

struct Came {
  int state = -1;
  int program = -1;
};

Came descriptors_of(const std::string& text) {
  Came out;
  return std::sscanf(text.c_str(), "%d,%d", &out.state, &out.program) == 2 ? out : Came{};
}

std::string read(const Came& came, Handover& out) {
  auto text = upgrade::read_state(came.state);
  return text ? upgrade::decode(*text, out) : text.error().text();
}

// As everything came, so it goes: nothing of it has been closed or changed.
[[noreturn]] void fall_back(const std::string& reason) {
  log::Line(log::Level::error, "root").text("cannot take over: ").text(reason).write();
  fmt::print(stderr, "bulkheadd: cannot take over: {}\n", reason);
  upgrade::take_way_back(reason);
  _exit(kSystemError);
}

int rehearse(const Came& came, const std::string& version) {
  Handover handover;
  std::string problem = read(came, handover);
  if (problem.empty()) problem = rehearse_resume(handover, getppid());
  if (problem.empty()) problem = rehearse_workers(handover);
  if (problem.empty()) {
    fmt::print("{}{}\n", upgrade::kCheckAnswer, version);
    return kStopped;
  }
  fmt::print(stderr, "{}\n", problem);
  return kBadConfiguration;
}

std::unique_ptr<Daemon> make_daemon(const Adopting& how, const Handover& handover, Blueprint blueprint) {
  host::LogTarget target{sys::Fd(handover.log_lines), sys::Fd(handover.log_handlers)};
  host::configure_log(blueprint.config->log, target.lines.get());
  DaemonOptions options;
  options.version = how.version;
  options.arguments = how.command_line;
  options.overrule = how.overrule;
  if (handover.pid_file >= 0) {
    options.pid_file = host::PidFile::resume(handover.settled.pid_file, sys::Fd(handover.pid_file));
  }
  return std::make_unique<Daemon>(std::move(*blueprint.config), std::move(blueprint.effective), std::move(options),
                                  std::move(target));
}

}  // namespace

bool is_adopting_option(const std::string& argument) {
  return argument.starts_with(kAdopt) || argument.starts_with(kRolledBack) || argument == kDryRun;
}

void open_way_back(const std::vector<std::string>& command_line, char** argv) {
  Came came;
  for (char** argument = argv; *argument != nullptr; ++argument) {
    const std::string_view text = *argument;
    if (text.starts_with(kRolledBack) || text == kDryRun) return;
    if (text.starts_with(kAdopt)) came = descriptors_of(std::string(text.substr(kAdopt.size())));
  }
  if (came.program < 0) return;
  std::vector<std::string> arguments = adopting_arguments(command_line, came.state, -1);
  arguments.emplace_back(kRolledBack);
  upgrade::open_way_back(came.program, std::move(arguments));
}

int adopt(const Adopting& how) {
  const Came came = descriptors_of(how.descriptors);
  if (how.dry_run) return rehearse(came, how.version);
  const bool may_go_back = upgrade::is_way_back_open();  // then only copies are ours
  Handover handover;
  std::string problem = read(came, handover);
  if (!problem.empty()) fall_back(problem);
  upgrade::receive_descriptors(handover, came.state, may_go_back);
  Handover came_with;
  came_with.descriptors = handover.descriptors;
  std::unique_ptr<Daemon> daemon;  // outlives a failure: its descriptors and files are not ours to end
  try {
    if (may_go_back) problem = upgrade::check_descriptors(handover);  // what it was ours cannot have become another's
    if (problem.empty() && may_go_back) problem = upgrade::copy_descriptors(handover);
    if (problem.empty()) problem = rehearse_resume(handover, getpid());
    if (problem.empty()) {
      daemon = make_daemon(how, handover, blueprint_of(handover));
      problem = daemon->resume(handover, how.rolled_back);
    }
  } catch (const std::exception& error) {
    problem = error.what();
  }
  if (!problem.empty()) fall_back(problem);
  upgrade::close_way_back();
  if (may_go_back) upgrade::close_originals(came_with);
  ::close(came.state);
  sys::Title::use_environment_too();
  sys::Title::set("bulkheadd: master");
  return daemon->run_on();
}

}  // namespace bulkhead
