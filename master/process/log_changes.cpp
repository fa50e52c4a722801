// How the logs of running workers and processes change: after a rotation, or with a configuration.
#include <fmt/format.h>

#include <cerrno>
#include <utility>

#include "master/host/log_target.h"
#include "master/process/processes.h"
#include "master/process/workers.h"
#include "worker/ipc/channel.h"

namespace bulkhead::process {

std::vector<std::string> Workers::replace_log(const config::Log& log, int handler_error_fd) {
  std::vector<std::string> problems = logs_.use(log);
  handler_error_fd_ = handler_error_fd;
  for (auto& [run, worker] : workers_) tell_of_log(worker, problems);
  return problems;
}

std::vector<std::string> Workers::replace_log(net::Listener& listener, const config::OwnLog& own) {
  auto changed = logs_.use(listener, own);
  if (!changed) return {fmt::format("{} still logs as before: {}", listener.path(), changed.error().text())};
  std::vector<std::string> problems;
  if (!*changed) return problems;
  for (auto& [run, worker] : workers_) {
    if (worker.listener == &listener) tell_of_log(worker, problems);
  }
  return problems;
}

void Workers::tell_of_log(WorkerProcess& worker, std::vector<std::string>& problems) {
  auto error = logs_.replace(*worker.listener, worker.path, worker.channel.get(), worker.lines);
  if (!error) error = replace_inherited(worker);
  if (error) problems.push_back(fmt::format("{} still writes to the old log: {}", worker.path, error->text()));
}

sys::Fd Workers::inherited_log(net::Listener& listener) {
  const int own = logs_.of(listener).handlers();
  return host::open_again(own >= 0 ? own : handler_error_fd_);
}

std::optional<sys::Error> Workers::replace_inherited(const WorkerProcess& worker) {
  if (worker.listener->config().child.standard_error != config::StandardError::inherit) return std::nullopt;
  const sys::Fd own = inherited_log(*worker.listener);
  if (!own) return std::nullopt;  // it cannot be opened twice: its handlers' errors are logged
  ipc::Log message = WorkerLogs::message(logs_.of(*worker.listener).config());
  message.use = ipc::LogUse::handlers;
  if (ipc::send(worker.channel.get(), message, own.get())) return std::nullopt;
  return sys::Error{"send", "to the worker", errno};
}

std::optional<sys::Error> Processes::open_log(ProcessChild& child) const {
  child.log = nullptr;
  if (!config::has_own_log(child.config.log)) return std::nullopt;
  auto log = std::make_shared<NodeLog>();
  if (auto error = log->use(daemon_log_, child.config.log)) return error;
  child.log = std::move(log);
  return std::nullopt;
}

std::vector<std::string> Processes::use_log(const config::Log& log, int error_fd) {
  std::vector<std::string> problems;
  daemon_log_ = log;
  error_fd_ = error_fd;
  for (auto& [run, child] : children_) {
    const auto error = child.log ? child.log->use(daemon_log_, child.log->own()) : std::nullopt;
    if (error) problems.push_back(child.path + " still writes to its old log: " + error->text());
  }
  return problems;
}

std::vector<std::string> Processes::reopen_outputs() {
  std::vector<std::string> problems;
  for (auto& [run, child] : children_) {
    for (std::string& problem : child.output->reopen()) problems.push_back(std::move(problem));
  }
  return problems;
}

void Processes::change_log(ProcessChild& child, const config::OwnLog& log) {
  if (child.config.log == log) return;
  child.config.log = log;
  if (auto error = open_log(child)) {
    log::Line(log::Level::error, child.path).text("logs to the daemon's log: ").text(error->text()).write();
  }
  child.output->log_to(child.log);
}

}  // namespace bulkhead::process
