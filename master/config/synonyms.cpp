#include "master/config/synonyms.h"

#include <algorithm>
#include <array>
#include <string>

namespace bulkhead::config {

namespace {

struct KeySynonym {
  std::string_view theirs;  // in small letters, without underscores and hyphens
  std::string_view ours;    // empty: see `reason`
  std::string_view reason{};
};

constexpr std::string_view kNoDatagrams =
    "is not offered: bulkhead gives every connection a process of its own, and datagrams have no connection";
constexpr std::string_view kNoWait =
    "is not offered: the workers accept, and a program gets a connected socket; run a program that accepts by itself "
    "as a \"process\"";
constexpr std::string_view kByOrder =
    "is not offered: children start in their order, each when the one before is ready; see \"strategy\": "
    "\"rest_for_one\"";

constexpr std::array kKeys{
    KeySynonym{"command", "argv"},
    KeySynonym{"cmd", "argv"},
    KeySynonym{"execstart", "argv"},
    KeySynonym{"execstartpre", "pre_start"},
    KeySynonym{"execstoppost", "post_stop"},
    KeySynonym{"autostart", "start"},
    KeySynonym{"environmentfile", "env_file"},
    KeySynonym{"entrypoint", "argv"},
    KeySynonym{"program", "argv"},
    KeySynonym{"port", "listen"},
    KeySynonym{"ports", "listen"},
    KeySynonym{"bind", "listen"},
    KeySynonym{"address", "listen"},
    KeySynonym{"listenstream", "listen"},
    KeySynonym{"server", "handler"},
    KeySynonym{"serverargs", "handler"},
    KeySynonym{"name", "id"},
    KeySynonym{"autorestart", "restart"},
    KeySynonym{"restartpolicy", "restart"},
    KeySynonym{"restartsec", "restart_delay"},
    KeySynonym{"startlimitburst", "max_restarts"},
    KeySynonym{"startretries", "max_restarts"},
    KeySynonym{"startlimitinterval", "max_seconds"},
    KeySynonym{"startlimitintervalsec", "max_seconds"},
    KeySynonym{"directory", "chdir"},
    KeySynonym{"workingdirectory", "chdir"},
    KeySynonym{"workingdir", "chdir"},
    KeySynonym{"cwd", "chdir"},
    KeySynonym{"rootdirectory", "chroot"},
    KeySynonym{"environment", "env"},
    KeySynonym{"passenvironment", "pass_env"},
    KeySynonym{"unsetenvironment", "unset_env"},
    KeySynonym{"username", "user"},
    KeySynonym{"uid", "user"},
    KeySynonym{"gid", "group"},
    KeySynonym{"supplementarygroups", "groups"},
    KeySynonym{"stopsignal", "stop_signal"},
    KeySynonym{"killsignal", "stop_signal"},
    KeySynonym{"stopwaitsecs", "shutdown"},
    KeySynonym{"timeoutstopsec", "shutdown"},
    KeySynonym{"stopgraceperiod", "shutdown"},
    KeySynonym{"timeoutstartsec", "start_timeout"},
    KeySynonym{"startsecs", "start_timeout"},
    KeySynonym{"watchdogsec", "watchdog"},
    KeySynonym{"successexitstatus", "normal_exit"},
    KeySynonym{"exitcodes", "normal_exit"},
    KeySynonym{"restartpreventexitstatus", "permanent_failure_exit"},
    KeySynonym{"numprocs", "instances"},
    KeySynonym{"replicas", "instances"},
    KeySynonym{"scale", "instances"},
    KeySynonym{"killmode", "kill_mode"},
    KeySynonym{"standarderror", "stderr"},
    KeySynonym{"stderrlogfile", "stderr"},
    KeySynonym{"oomscoreadjust", "oom_score_adj"},
    KeySynonym{"ulimits", "rlimits"},
    KeySynonym{"limits", "rlimits"},
    KeySynonym{"limitnofile", "rlimits"},
    KeySynonym{"limitnproc", "rlimits"},
    KeySynonym{"limitcore", "rlimits"},
    KeySynonym{"maxclients", "max_connections"},
    KeySynonym{"maxconn", "max_connections"},
    KeySynonym{"maxconnectionspersource", "max_connections_per_source"},
    KeySynonym{"persource", "max_connections_per_source"},
    KeySynonym{"onlyfrom", "allow"},
    KeySynonym{"noaccess", "deny"},
    KeySynonym{"bindtodevice", "device"},
    KeySynonym{"socketmode", "mode"},
    KeySynonym{"socketuser", "owner"},
    KeySynonym{"socketgroup", "group"},
    KeySynonym{"priority", "nice"},
    KeySynonym{"wait", "", kNoWait},
    KeySynonym{"accept", "", "is not needed: every connection gets a process of its own, as with Accept=yes"},
    KeySynonym{"listendatagram", "", kNoDatagrams},
    KeySynonym{"dependson", "", kByOrder},
    KeySynonym{"after", "", kByOrder},
    KeySynonym{"requires", "", kByOrder},
};

struct WordSynonym {
  std::string_view option;
  std::string_view theirs;
  std::string_view ours;
};
constexpr std::array kWords{
    WordSynonym{"restart", "always", "permanent"},
    WordSynonym{"restart", "yes", "permanent"},
    WordSynonym{"restart", "true", "permanent"},
    WordSynonym{"restart", "unlessstopped", "permanent"},
    WordSynonym{"restart", "onfailure", "transient"},
    WordSynonym{"restart", "onabnormal", "transient"},
    WordSynonym{"restart", "unexpected", "transient"},
    WordSynonym{"restart", "never", "temporary"},
    WordSynonym{"restart", "no", "temporary"},
    WordSynonym{"restart", "false", "temporary"},
    WordSynonym{"kill_mode", "controlgroup", "group"},
    WordSynonym{"type", "service", "process"},
    WordSynonym{"type", "program", "process"},
    WordSynonym{"type", "worker", "process"},
    WordSynonym{"type", "server", "listener"},
    WordSynonym{"type", "socket", "listener"},
    WordSynonym{"type", "group", "supervisor"},
    WordSynonym{"ready", "notify", "sd_notify"},
    WordSynonym{"ready", "simple", "exec"},
    WordSynonym{"ready", "forking", "fork"},
    WordSynonym{"ready", "notificationfd", "notify_fd"},
};

std::string folded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '_' || c == '-') continue;
    out += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return out;
}

}  // namespace

std::optional<Advice> advice_for_key(std::string_view key) {
  const auto* const found = std::ranges::find(kKeys, folded(key), &KeySynonym::theirs);
  if (found == kKeys.end()) return std::nullopt;
  return Advice{found->ours, found->reason};
}

std::string_view word_for(std::string_view option, std::string_view word) {
  const std::string theirs = folded(word);
  const auto* const found = std::ranges::find_if(
      kWords, [&](const WordSynonym& one) { return one.option == option && one.theirs == theirs; });
  return found == kWords.end() ? "" : found->ours;
}

}  // namespace bulkhead::config
