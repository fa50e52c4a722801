#include "master/config/connection_variables.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace bulkhead::config {
namespace {

// The variables of UCSPI and its dialects, systemd, xinetd and CGI, the TLS wrappers, and bulkhead. Variables that
// configure a program, such as SSL_CERT_FILE, are not among them.
constexpr std::string_view kNames[] = {
    "PROTO",      "REMOTE_ADDR", "REMOTE_HOST",    "REMOTE_PORT",    "REMOTE_USER",   "REMOTE_IDENT", "REMOTE_INFO",
    "LISTEN_PID", "LISTEN_FDS",  "LISTEN_FDNAMES", "LISTEN_PIDFDID", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC",
    "SSLCTLFD",   "SSLREADFD",   "SSLWRITEFD",     "SSL_PROTOCOL",   "SSL_CIPHER",    "TCP6INTERFACE"};
constexpr std::string_view kPrefixes[] = {"TCPLOCAL",   "TCPREMOTE", "TCPCONN",   "TCPORIGDST", "TCP6LOCAL",
                                          "TCP6REMOTE", "IPCLOCAL",  "IPCREMOTE", "IPCCONN",    "UNIXLOCAL",
                                          "UNIXREMOTE", "UNIXCONN",  "SSL_PEER_", "SSL_TLS_",   "BULKHEAD_"};

constexpr std::string_view kIsAboutConnection =
    "describes a program's connection: it is set or left out for each connection, and cannot be configured";

}  // namespace

bool is_connection_variable(std::string_view name) noexcept {
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames) ||
         std::any_of(std::begin(kPrefixes), std::end(kPrefixes),
                     [name](std::string_view prefix) { return name.starts_with(prefix); });
}

void check_env_file(Context& context, const Section& section, const ChildKeys& keys) {
  for (const auto& [name, value] : keys.file_env) {
    if (!is_connection_variable(name)) continue;
    context.report(section.place_of("env_file"), section.pointer_of("env_file"),
                   fmt::format("{} in it {}", in_quotes(name), kIsAboutConnection));
  }
}

void check_variables(Context& context, const Section& section) {
  const auto check_one = [&context](std::string_view name, Position at, const std::string& pointer) {
    if (!is_connection_variable(name)) return;
    context.report(at, pointer, fmt::format("{} {}", in_quotes(name), kIsAboutConnection));
  };
  if (const Member* env = section.object.find("env"); env != nullptr) {
    for (const Member& member : env->value.members) {
      check_one(member.key, member.at, child_pointer(section.pointer_of("env"), member.key));
    }
  }
  if (const Member* names = section.object.find("pass_env"); names != nullptr) {
    for (std::size_t i = 0; i < names->value.items.size(); ++i) {
      const Value& item = names->value.items[i];
      check_one(item.text, item.at, child_pointer(section.pointer_of("pass_env"), i));
    }
  }
}

}  // namespace bulkhead::config
