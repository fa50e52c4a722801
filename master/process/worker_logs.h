// Where the workers' log lines go: to a socket of their own to the log daemon, or through the master (worker_lines.h).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "master/config/config.h"
#include "master/process/handover.h"
#include "master/process/worker_lines.h"
#include "worker/ipc/message.h"
#include "worker/log/log.h"
#include "worker/loop/loop.h"
#include "worker/sys/fd.h"
#include "worker/sys/result.h"

namespace bulkhead::process {

class WorkerLogs {
 public:
  WorkerLogs(loop::Loop& loop, config::Log config) : loop_(loop), config_(std::move(config)) {}

  struct End {
    sys::Fd end;                         // the worker's descriptor 2
    std::unique_ptr<WorkerLines> lines;  // null: it writes to a log daemon by itself
    log::Transport transport = log::Transport::stream;
  };
  [[nodiscard]] sys::Result<End> open(const std::string& worker);

  // Applies to workers that are started from now on; the existing ones get it with replace() and message().
  void use(const config::Log& config) { config_ = config; }
  [[nodiscard]] const config::Log& config() const noexcept { return config_; }
  [[nodiscard]] ipc::Log message() const;
  // Tells a worker where it writes from now on. A worker that writes to us continues to, whatever we have opened: it
  // gets the new form of its lines only. An error means that it continues as before.
  [[nodiscard]] std::optional<sys::Error> replace(const std::string& worker, int channel,
                                                  std::unique_ptr<WorkerLines>& lines);

  // The worker is gone; its modules' connections may still write lines.
  void keep(std::unique_ptr<WorkerLines> lines);
  void forget_ended();
  [[nodiscard]] std::vector<LinesHandover> hand_over() const;  // what was kept
  void resume(const LinesHandover& from);

 private:
  loop::Loop& loop_;
  config::Log config_;
  std::vector<std::unique_ptr<WorkerLines>> kept_;
};

}  // namespace bulkhead::process
