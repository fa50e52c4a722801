#include "master/process/child_environment.h"

#include <algorithm>
#include <chrono>
#include <string_view>
#include <utility>

#include "master/process/directories.h"
#include "master/process/process_launch.h"

namespace bulkhead::process {

namespace {

// sd_notify(3), sd_listen_fds(3), sd_watchdog_enabled(3): meant for the daemon, or set by the daemon for its children.
bool is_between_us_and_our_parent(std::string_view name) {
  static constexpr std::string_view kNames[] = {"NOTIFY_SOCKET", "NOTIFY_FD",  "WATCHDOG_USEC", "WATCHDOG_PID",
                                                "LISTEN_FDS",    "LISTEN_PID", "LISTEN_FDNAMES"};
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

// The families of names that describe a connection (worker/child/environment.h), whether or not a connection has them
// all: a program would mistake the daemon's own variables for facts about its client.
bool is_about_a_connection(std::string_view name) {
  static constexpr std::string_view kFamilies[] = {"TCP", "IPC", "UNIX", "BULKHEAD_"};
  static constexpr std::string_view kNames[] = {
      "PROTO",        "REMOTE_ADDR", "REMOTE_HOST",      "REMOTE_PORT",
      "SSL_PROTOCOL", "SSL_CIPHER",  "SSL_PEER_CERT_CN", "SSL_TLS_SNI_SERVERNAME"};
  return std::any_of(std::begin(kFamilies), std::end(kFamilies),
                     [name](std::string_view family) { return name.starts_with(family); }) ||
         std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

void unset(Variables& variables, const std::vector<std::string>& names) {
  for (const std::string& name : names) variables.erase(name);
}

void set(Variables& variables, const std::vector<std::pair<std::string, std::string>>& env) {
  for (const auto& [name, value] : env) variables[name] = value;
}

Variables passed_environment(const config::ChildKeys& keys, const LookUp& look_up) {
  Variables out;
  set(out, keys.login);
  for (const std::string& name : keys.pass_env) {
    if (is_between_us_and_our_parent(name)) continue;
    if (const char* value = look_up(name.c_str()); value != nullptr) out[name] = value;
  }
  set(out, directory_variables(keys.belongings));
  return out;
}

}  // namespace

Variables connection_environment(const config::ChildKeys& keys, const LookUp& look_up) {
  Variables out = passed_environment(keys, look_up);
  std::erase_if(out, [](const auto& variable) { return is_about_a_connection(variable.first); });
  set(out, keys.file_env);
  set(out, keys.env);
  unset(out, keys.unset_env);
  return out;
}

Variables process_environment(const config::Process& process, const std::string& notify_address,
                              const LookUp& look_up) {
  Variables out = passed_environment(process.child, look_up);
  set(out, process.child.file_env);
  set(out, process.child.env);
  if (process.ready == config::Ready::notify_fd) out["NOTIFY_FD"] = std::to_string(kNotifyFd);
  if (process.ready == config::Ready::sd_notify) {
    out["NOTIFY_SOCKET"] = notify_address;
    if (process.watchdog) {
      const auto interval = std::chrono::duration_cast<std::chrono::microseconds>(*process.watchdog);
      out["WATCHDOG_USEC"] = std::to_string(interval.count());
      out.erase("WATCHDOG_PID");
    }
  }
  unset(out, process.child.unset_env);
  return out;
}

Variables command_environment(const config::Process& process, const LookUp& look_up) {
  config::Process silent = process;
  silent.ready = config::Ready::fork;
  return process_environment(silent, "", look_up);
}

std::vector<std::string> lines_of(const Variables& variables) {
  std::vector<std::string> out;
  for (const auto& [name, value] : variables) out.push_back(name + "=" + value);
  return out;
}

}  // namespace bulkhead::process
