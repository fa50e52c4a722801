#include "master/procedure/signals.h"

#include <fcntl.h>

#include <csignal>

#include "worker/log/log.h"
#include "worker/sys/fd.h"
#include "worker/sys/signal.h"
#include "worker/sys/signal_name.h"

namespace bulkhead::procedure {

std::vector<int> readable_signals(const SignalState& state) {
  std::vector<int> out{SIGCHLD, SIGTERM, SIGQUIT, SIGINT, SIGUSR1};
  const bool settled = state.ready && !state.reloading;
  if (settled || state.stopping) out.push_back(SIGUSR2);
  if ((settled && !state.upgrading) || state.stopping) {
    out.insert(out.end(), {SIGHUP, SIGWINCH, SIGTTIN, SIGTTOU});
  }
  return out;
}

void obey_terminal_signal(int signal, bool stopping, const running::Listeners& listeners, Operations& operations,
                          Scaling& scaling) {
  if (sys::Fd(open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK))) return;
  if (stopping) {
    log::Line(log::Level::info, "root").text(sys::signal_name(signal)).text(" ignored: ").text(kDaemonStops).write();
    return;
  }
  std::vector<std::string> paths;
  for (const net::Listener* listener : listeners.all()) paths.push_back(listener->path());
  for (const std::string& path : paths) {
    const auto tell = [path](const Outcome& outcome) {
      if (!outcome) log::Line(log::Level::warning, path).text(outcome.text).write();
    };
    if (signal == SIGWINCH) {
      operations.suspend(path, tell);
    } else {
      scaling.change(path, signal == SIGTTIN ? 1 : -1, tell);
    }
  }
}

}  // namespace bulkhead::procedure
