#include "master/process/worker_logs.h"

#include <fmt/format.h>

#include <cerrno>
#include <utility>

#include "master/host/log_target.h"
#include "worker/ipc/channel.h"

namespace bulkhead::process {

sys::Result<std::shared_ptr<NodeLog>> WorkerLogs::opened(net::Listener& listener) {
  if (const auto found = logs_.find(&listener); found != logs_.end()) return found->second;
  auto log = std::make_shared<NodeLog>();
  if (auto error = log->use(daemon_, listener.config().log)) return *error;
  listener.log_to(log->sink());
  return logs_[&listener] = std::move(log);
}

std::shared_ptr<NodeLog> WorkerLogs::log_of(net::Listener& listener) {
  auto log = opened(listener);
  if (log) return std::move(*log);
  log::Line(log::Level::error, listener.path()).text("logs to the daemon's log: ").text(log.error().text()).write();
  auto& out = logs_[&listener] = std::make_shared<NodeLog>();
  (void)out->use(daemon_, {});
  return out;
}

NodeLog& WorkerLogs::of(net::Listener& listener) {
  return *log_of(listener);
}

// The lines of a worker that cannot have a socket of its own to the log daemon go through ours.
sys::Result<WorkerLogs::End> WorkerLogs::open(net::Listener& listener, const std::string& worker) {
  auto log = opened(listener);
  if (!log) return log.error();
  const std::string& target = (*log)->config().target;
  const log::Transport transport = host::transport_of(target);
  if (transport != log::Transport::stream) {
    if (auto own = host::connect_to_log_daemon(target)) return End{std::move(*own), {}, transport};
  }
  auto lines = std::make_unique<WorkerLines>(loop_, worker, std::move(*log));
  auto end = lines->open();
  if (!end) return end.error();
  return End{std::move(*end), std::move(lines), log::Transport::stream};
}

std::vector<std::string> WorkerLogs::use(const config::Log& daemon) {
  std::vector<std::string> problems;
  daemon_ = daemon;
  for (auto& [listener, log] : logs_) {
    const auto error = log->use(daemon_, log->own());
    if (error) problems.push_back(fmt::format("{} still logs as before: {}", listener->path(), error->text()));
    listener->log_to(log->sink());
  }
  return problems;
}

sys::Result<bool> WorkerLogs::use(net::Listener& listener, const config::OwnLog& own) {
  const auto found = logs_.find(&listener);
  if (found == logs_.end() || found->second->own() == own) return false;
  if (auto error = found->second->use(daemon_, own)) return *error;
  listener.log_to(found->second->sink());
  return true;
}

void WorkerLogs::forget(const net::Listener& listener) {
  std::erase_if(logs_, [&listener](const auto& one) { return one.first == &listener; });
}

ipc::Log WorkerLogs::message(const config::Log& config) {
  ipc::Log out;
  out.format = config.format;
  out.level = config.level;
  out.addresses = config.addresses;
  out.transport = host::transport_of(config.target);
  out.facility = static_cast<std::uint16_t>(config.facility);
  const int moments = (config.connection_start ? ipc::kLogStart : 0) | (config.connection_end ? ipc::kLogEnd : 0);
  out.moments = static_cast<std::uint8_t>(moments);
  config.identity.copy(out.identity, sizeof out.identity - 1);
  return out;
}

std::optional<sys::Error> WorkerLogs::replace(net::Listener& listener, const std::string& worker, int channel,
                                              std::unique_ptr<WorkerLines>& lines) {
  ipc::Log news = message(of(listener).config());
  const auto sent = [&](int fd) {
    return ipc::send(channel, news, fd) ? std::nullopt : std::optional(sys::Error{"send", "to the worker", errno});
  };
  if (lines && news.transport == log::Transport::stream) return sent(-1);
  auto log = open(listener, worker);
  if (!log) return log.error();
  news.transport = log->transport;
  if (auto error = sent(log->end.get())) return error;
  if (lines) keep(std::move(lines));
  lines = std::move(log->lines);
  return std::nullopt;
}

void WorkerLogs::keep(std::unique_ptr<WorkerLines> lines) {
  kept_.push_back(std::move(lines));
}

void WorkerLogs::forget_ended() {
  std::erase_if(kept_, [](const auto& lines) { return lines->at_end(); });
}

std::vector<LinesHandover> WorkerLogs::hand_over() const {
  std::vector<LinesHandover> out;
  for (const auto& lines : kept_) {
    if (!lines->at_end()) out.push_back(lines->hand_over());
  }
  return out;
}

std::unique_ptr<WorkerLines> WorkerLogs::resumed(const LinesHandover& from, net::Listener* listener) {
  auto lines = std::make_unique<WorkerLines>(loop_, from.path, listener != nullptr ? log_of(*listener) : nullptr);
  lines->resume(from);
  return lines;
}

void WorkerLogs::resume(const LinesHandover& from, net::Listener* listener) {
  keep(resumed(from, listener));
}

}  // namespace bulkhead::process
