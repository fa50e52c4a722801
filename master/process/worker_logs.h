// Where the workers' log lines go: to a socket of their own to the log daemon, or through the master (worker_lines.h)
// to the log of their listener.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "master/config/config.h"
#include "master/net/listener.h"
#include "master/process/handover.h"
#include "master/process/node_log.h"
#include "master/process/worker_lines.h"
#include "worker/ipc/message.h"
#include "worker/log/log.h"
#include "worker/loop/loop.h"
#include "worker/sys/fd.h"
#include "worker/sys/result.h"

namespace bulkhead::process {

class WorkerLogs {
 public:
  WorkerLogs(loop::Loop& loop, config::Log daemon) : loop_(loop), daemon_(std::move(daemon)) {}

  struct End {
    sys::Fd end;                         // the worker's descriptor 2
    std::unique_ptr<WorkerLines> lines;  // null: it writes to a log daemon by itself
    log::Transport transport = log::Transport::stream;
  };
  // Opens the listener's log with its first worker.
  [[nodiscard]] sys::Result<End> open(net::Listener& listener, const std::string& worker);
  // That log. Where it cannot be opened, which is logged, the daemon's.
  [[nodiscard]] NodeLog& of(net::Listener& listener);

  // The daemon's log is another one or was opened once more, and so are all others, which `own` may change. Returns a
  // sentence for each that stays as it was. The workers get it with replace() and message().
  [[nodiscard]] std::vector<std::string> use(const config::Log& daemon);
  // One listener's. True: it has changed.
  [[nodiscard]] sys::Result<bool> use(net::Listener& listener, const config::OwnLog& own);
  void forget(const net::Listener& listener);
  [[nodiscard]] static ipc::Log message(const config::Log& config);
  // Tells a worker where it writes from now on. A worker that writes to us continues to, whatever we have opened: it
  // gets the new form of its lines only. An error means that it continues as before.
  [[nodiscard]] std::optional<sys::Error> replace(net::Listener& listener, const std::string& worker, int channel,
                                                  std::unique_ptr<WorkerLines>& lines);

  // The worker is gone; its modules' connections may still write lines.
  void keep(std::unique_ptr<WorkerLines> lines);
  void forget_ended();
  [[nodiscard]] std::vector<LinesHandover> hand_over() const;  // what was kept
  void resume(const LinesHandover& from, net::Listener* listener);
  [[nodiscard]] std::unique_ptr<WorkerLines> resumed(const LinesHandover& from, net::Listener* listener);

 private:
  [[nodiscard]] std::shared_ptr<NodeLog> log_of(net::Listener& listener);
  [[nodiscard]] sys::Result<std::shared_ptr<NodeLog>> opened(net::Listener& listener);

  loop::Loop& loop_;
  config::Log daemon_;
  std::map<net::Listener*, std::shared_ptr<NodeLog>> logs_;  // their lines may outlive listeners
  std::vector<std::unique_ptr<WorkerLines>> kept_;
};

}  // namespace bulkhead::process
