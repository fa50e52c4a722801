#include "master/process/worker_trial.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "master/journal/exit_text.h"
#include "master/process/workers.h"
#include "worker/log/log.h"
#include "worker/sys/children.h"
#include "worker/sys/signal.h"

namespace bulkhead::process {

namespace {

// No line of the trial's worker reaches our standard error, which carries the verdict.
class Silence {
 public:
  explicit Silence(int null) { log::set_fd(null); }
  ~Silence() { log::set_fd(STDERR_FILENO); }
  Silence(const Silence&) = delete;
  Silence& operator=(const Silence&) = delete;
};

}  // namespace

std::string try_worker(const std::string& path, const config::Listener& config, const config::Log& log) {
  constexpr RunId kRun = 1;
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  net::InheritedSockets none;
  net::Listener listener(0, path, config, none);
  if (const auto error = listener.open_without_sockets()) return error->text();
  const sys::Fd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  const Silence silence(null.get());
  const sys::Fd signals = sys::open_signal_fd({SIGCHLD});
  loop::Loop loop;
  ChildSystem system;
  HandlerErrors errors(loop, {});
  bool is_ready = false;
  Workers workers(loop, system, errors, {log, 1, null.get()},
                  {[&](WorkerProcess&) {
                     is_ready = true;
                     loop.stop();
                   },
                   [](WorkerProcess&, const WorkerNews&) {}, [](WorkerProcess&) {}});
  std::optional<sys::Error> error = workers.find_program();
  if (!error) error = workers.start(1, kRun, path + "/1", listener, 1, std::nullopt);
  if (error) return error->text();
  const pid_t pid = workers.find(kRun)->pid;
  loop::Poll end(loop, signals.get(), [&] {
    signalfd_siginfo news{};
    (void)!::read(signals.get(), &news, sizeof news);  // perhaps of an earlier child
    if (sys::has_ended(pid)) loop.stop();
  });
  loop::Timer patience(loop, [&] { loop.stop(); });
  end.start();
  patience.start(kTrialPatience);
  loop.run();
  const bool has_ended = sys::has_ended(pid);
  system.signal(pid, SIGKILL, true);
  int status = 0;
  waitpid(pid, &status, 0);
  sys::end_children();  // a module may have forked, and its child have left the worker's process group
  const std::string failure = workers.take(pid).failure;
  if (is_ready) return "";
  if (!has_ended) return fmt::format("was not ready within {} s", kTrialPatience.count());
  return failure.empty() ? journal::exit_text(status) : failure;
}

}  // namespace bulkhead::process
