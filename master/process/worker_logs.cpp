#include "master/process/worker_logs.h"

#include <cerrno>
#include <utility>

#include "master/host/log_target.h"
#include "worker/ipc/channel.h"

namespace bulkhead::process {

// The lines of a worker that cannot have a socket of its own to the log daemon go through ours.
sys::Result<WorkerLogs::End> WorkerLogs::open(const std::string& worker) {
  const log::Transport transport = host::transport_of(config_.target);
  if (transport != log::Transport::stream) {
    if (auto own = host::connect_to_log_daemon(config_.target)) return End{std::move(*own), {}, transport};
  }
  auto lines = std::make_unique<WorkerLines>(loop_, worker);
  auto end = lines->open();
  if (!end) return end.error();
  return End{std::move(*end), std::move(lines), log::Transport::stream};
}

ipc::Log WorkerLogs::message() const {
  ipc::Log out;
  out.format = config_.format;
  out.level = config_.level;
  out.transport = host::transport_of(config_.target);
  out.facility = config_.facility;
  out.moments = (config_.connection_start ? ipc::kLogStart : 0) | (config_.connection_end ? ipc::kLogEnd : 0);
  config_.identity.copy(out.identity, sizeof out.identity - 1);
  return out;
}

std::optional<sys::Error> WorkerLogs::replace(const std::string& worker, int channel,
                                              std::unique_ptr<WorkerLines>& lines) {
  ipc::Log news = message();
  const auto sent = [&](int fd) {
    return ipc::send(channel, news, fd) ? std::nullopt : std::optional(sys::Error{"send", "to the worker", errno});
  };
  if (lines && news.transport == log::Transport::stream) return sent(-1);
  auto log = open(worker);
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

void WorkerLogs::resume(const LinesHandover& from) {
  keep(std::make_unique<WorkerLines>(loop_, from.path));
  kept_.back()->resume(from);
}

}  // namespace bulkhead::process
