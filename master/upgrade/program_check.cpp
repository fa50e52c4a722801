#include "master/upgrade/program_check.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "master/journal/exit_text.h"
#include "master/process/process_launch.h"
#include "worker/ipc/channel.h"
#include "worker/sys/signal.h"

namespace bulkhead::upgrade {

namespace {

constexpr std::size_t kMaxText = 400;

// Reads what is in the pipe; never waits, because strays may keep the other end open.
std::string read_all(int fd) {
  char buffer[4096];
  fcntl(fd, F_SETFL, O_NONBLOCK);
  const ssize_t got = ::read(fd, buffer, sizeof buffer);
  std::string out(buffer, got > 0 ? static_cast<std::size_t>(got) : 0);
  while (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

std::string last_line(const std::string& text) {
  return text.substr(text.rfind('\n') + 1).substr(0, kMaxText);
}

}  // namespace

ProgramCheck::ProgramCheck(loop::Loop& loop, std::function<void(Outcome)> on_done)
    : on_done_(std::move(on_done)),
      patience_(loop, [this] { cancel(fmt::format("did not answer within {} s", kPatience.count())); }) {}

std::optional<sys::Error> ProgramCheck::start(int program, int state, std::vector<std::string> argv,
                                              std::vector<std::string> environment) {
  auto answer = process::make_pipe("for a program's answer");
  if (!answer) return answer.error();
  auto complaints = process::make_pipe("for a program's standard error");
  if (!complaints) return complaints.error();
  auto report = process::make_pipe("for the report of a start");
  if (!report) return report.error();
  const sys::Fd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  process::SpawnRequest request;
  request.program = program;
  request.argv = std::move(argv);
  request.environment = std::move(environment);
  request.descriptors = {{null.get(), STDIN_FILENO},
                         {answer->write.get(), STDOUT_FILENO},
                         {complaints->write.get(), STDERR_FILENO},
                         {state, kCheckedStateFd}};
  request.report = report->write.get();
  request.parent_death_signal = SIGKILL;
  auto pid = process::spawn(request);
  if (!pid) return pid.error();
  pid_ = *pid;
  answer_ = std::move(answer->read);
  complaints_ = std::move(complaints->read);
  report_ = std::move(report->read);
  why_killed_.clear();
  patience_.start(kPatience);
  return std::nullopt;
}

void ProgramCheck::cancel(std::string why) {
  if (pid_ < 0) return;
  why_killed_ = std::move(why);
  sys::signal_child(pid_, SIGKILL, true);
}

void ProgramCheck::ended(int wait_status) {
  pid_ = -1;
  patience_.stop();
  const std::string said = last_line(read_all(answer_.get()));
  const std::string complaint = last_line(read_all(complaints_.get()));
  const std::optional<ipc::Fail> not_executed = ipc::read_failure(report_.get()).failure;
  answer_.reset();
  complaints_.reset();
  report_.reset();
  Outcome outcome;
  if (!why_killed_.empty()) {
    outcome.problem = why_killed_;
  } else if (not_executed) {
    const char* const words = strerrordesc_np(not_executed->error);
    outcome.problem = fmt::format("cannot be executed: {}", words != nullptr ? words : "unknown error");
  } else if (!WIFEXITED(wait_status) || WEXITSTATUS(wait_status) != 0) {
    outcome.problem = fmt::format("{}{}{}", journal::exit_text(wait_status), complaint.empty() ? "" : ": ", complaint);
  } else if (!said.starts_with(kCheckAnswer)) {
    outcome.problem = "cannot take over from another program";
  } else {
    outcome.version = said.substr(kCheckAnswer.size());
  }
  on_done_(std::move(outcome));
}

}  // namespace bulkhead::upgrade
