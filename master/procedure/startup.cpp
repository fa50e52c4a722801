#include "master/procedure/startup.h"

#include <sys/prctl.h>

#include <cerrno>
#include <string>

#include "master/config/cgroup.h"
#include "master/host/clock.h"
#include "master/host/exit_status.h"
#include "worker/log/log.h"

namespace bulkhead::procedure {

namespace {

constexpr auto kBindPatience = std::chrono::seconds(2);  // an earlier instance may still be exiting

int exit_status_of_address(const sys::Error& error) {
  switch (error.code) {
    case 0: return kBadConfiguration;  // it names something that does not exist
    case EEXIST:
    case EADDRNOTAVAIL:
    case ENODEV:
    case EAFNOSUPPORT: return kAddressInUse;
    default: return exit_status_of(error);
  }
}

void log_remarks(net::InheritedSockets& inherited, host::ServiceManager& manager) {
  for (const std::string& name : inherited.take_unwanted()) manager.forget(name);
  for (const std::string& remark : inherited.take_remarks()) {
    log::Line(log::Level::warning, "root").text(remark).write();
  }
}

}  // namespace

int exit_status_of(const sys::Error& error) {
  if (error.code == EADDRINUSE) return kAddressInUse;
  return error.code == EACCES || error.code == EPERM ? kNoPermission : kSystemError;
}

std::optional<sys::Error> become_subreaper() {
  int is_set = 0;
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  prctl(PR_GET_CHILD_SUBREAPER, &is_set, 0, 0, 0);
  if (is_set == 1) return std::nullopt;
  return sys::Error{"cannot become a child subreaper (prctl(2))", "", 0};
}

void warn_of_oom_group() {
  const config::CgroupLimit killed = config::cgroup_limit(config::kOomGroup);
  if (killed.value == 0) return;
  log::Line(log::Level::warning, "root")
      .text("memory.oom.group of ")
      .text(killed.directory)
      .text(
          " is 1: when this cgroup runs out of memory, all its processes are killed at once, and so are all "
          "connections "
          "(see OOMPolicy= of a systemd unit)")
      .write();
}

int open_listeners(running::Listeners& listeners, const config::Node& root, net::InheritedSockets& inherited,
                   host::ServiceManager& manager) {
  listeners.be_patient_until(now() + kBindPatience);
  const auto error = listeners.add(root, "root");
  listeners.be_patient_until({});
  if (!error) inherited.close_unused();
  log_remarks(inherited, manager);
  if (!error) return 0;
  for (const net::Listener* listener : listeners.all()) {
    if (listener->is_open()) continue;
    const config::ListenAddress* failed = listener->failed_address();
    const std::string why = failed == nullptr ? "" : net::why_not_opened(*failed, error->code);
    log::Line(log::Level::error, listener->path()).text(error->text()).text(why).write();
  }
  return exit_status_of_address(*error);
}

}  // namespace bulkhead::procedure
