// What the signals of a master mean (bulkheadd(8), SIGNALS), and when they are read at all.
#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>
#include <vector>

#include "master/daemon.h"
#include "worker/log/log.h"
#include "worker/sys/signal.h"

namespace bulkhead {

using Phase = procedure::StopSequence::Phase;

bool Daemon::is_stopping() const noexcept {
  return stop_.phase() != Phase::idle;
}

// What would change things waits until what changes things now is over. It stays pending in the kernel until then, also
// over an upgrade: execve(2) keeps what is pending and what is blocked. On the way down everything is read, and
// refused.
void Daemon::choose_signals() {
  std::vector<int> now{SIGCHLD, SIGTERM, SIGQUIT, SIGINT, SIGUSR1};
  const bool settled = ready_ && !reload_.under_way();
  if (settled || is_stopping()) now.push_back(SIGUSR2);
  if ((settled && !upgrade_.under_way()) || is_stopping()) {
    now.insert(now.end(), {SIGHUP, SIGWINCH, SIGTTIN, SIGTTOU});
  }
  sys::choose_signals(signals_.get(), now);
}

// Nobody has been told of us yet who could look elsewhere.
void Daemon::stop_gracefully() {
  if (ready_) {
    stop_.graceful();
  } else {
    stop_.without_lame_duck();
  }
}

void Daemon::on_signal() {
  signalfd_siginfo news{};
  bool children = false;
  while (::read(signals_.get(), &news, sizeof news) == static_cast<ssize_t>(sizeof news)) {
    switch (news.ssi_signo) {
      case SIGCHLD: children = true; break;
      case SIGTERM: stop_gracefully(); break;
      case SIGQUIT: stop_.without_lame_duck(); break;
      case SIGINT: stop_.fast(); break;
      case SIGHUP:
        reopen_log();
        reload_.begin([](const protocol::Answer&) {});
        break;
      case SIGUSR1: reopen_log(); break;
      case SIGUSR2: upgrade_.begin([](const protocol::Answer&) {}); break;
      case SIGWINCH:
      case SIGTTIN:
      case SIGTTOU: control_.obey(static_cast<int>(news.ssi_signo)); break;
      default: break;
    }
  }
  if (children) reap();
}

}  // namespace bulkhead
