#include "master/config/belongings_reader.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "master/config/check.h"
#include "master/config/context.h"
#include "master/config/paths.h"

namespace bulkhead::config {
namespace {

using Kind = Belongings::Directory::Kind;

constexpr std::size_t kMostBytes = 255;

bool is_plain_part(std::string_view part) {
  return !part.empty() && part != "." && part != ".." && part.size() <= kMostBytes;
}

// Neither absolute nor out of the directory that it is relative to; no ":", which separates several of them.
bool is_relative(std::string_view name) {
  if (name.find(':') != std::string_view::npos) return false;
  for (;;) {
    const std::size_t slash = name.find('/');
    if (!is_plain_part(name.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    name.remove_prefix(slash + 1);
  }
}

std::string absolute_or_empty(const std::optional<std::string>& value) {
  return value && value->starts_with('/') ? *value : std::string();
}

// As in systemd.exec(5); empty: the daemon's environment does not say it.
std::string base_of(const Context& context, Kind kind) {
  if (context.as_root()) {
    return kind == Kind::state ? "/var/lib" : kind == Kind::runtime ? "/run" : "/var/log";
  }
  if (kind == Kind::runtime) return absolute_or_empty(context.host().variable("XDG_RUNTIME_DIR"));
  std::string state = absolute_or_empty(context.host().variable("XDG_STATE_HOME"));
  const std::string home = absolute_or_empty(context.host().variable("HOME"));
  if (state.empty() && !home.empty()) state = home + "/.local/state";
  return state.empty() || kind == Kind::state ? state : state + "/log";
}

}  // namespace

template <Kind kind>
void set_directory(Context& context, ChildKeys& keys, const Entry& entry) {
  if (!entry.given) return;
  const std::string base = base_of(context, kind);
  if (base.empty()) {
    const std::string_view needed = kind == Kind::runtime ? "XDG_RUNTIME_DIR" : "XDG_STATE_HOME or HOME";
    return context.report(entry.at(), entry.pointer(),
                          fmt::format("the environment of a daemon that is not root's needs {} for it", needed));
  }
  const bool alone = entry.value.kind == Value::Kind::string;
  const std::vector<Value> items = alone ? std::vector<Value>{entry.value} : entry.value.items;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (items[i].kind == Value::Kind::string && is_relative(items[i].text)) {
      keys.belongings.directories.push_back({kind, base, items[i].text});
      continue;
    }
    context.report(items[i].at, alone ? entry.pointer() : child_pointer(entry.pointer(), i),
                   fmt::format("expected a relative path without \"..\" or \":\", got {}", describe(items[i])));
  }
}

template void set_directory<Kind::state>(Context&, ChildKeys&, const Entry&);
template void set_directory<Kind::runtime>(Context&, ChildKeys&, const Entry&);
template void set_directory<Kind::logs>(Context&, ChildKeys&, const Entry&);

void set_credentials(Context& context, ChildKeys& keys, const Entry& entry) {
  if (!entry.given) return;
  for (Member& member : entry.effective.members) {
    const std::string here = child_pointer(entry.pointer(), member.key);
    const bool plain =
        is_plain_part(member.key) && !member.key.starts_with('.') && member.key.find('/') == std::string::npos;
    if (!plain) {
      context.report(member.at, here,
                     fmt::format("expected the name of a file, without \"/\" and not beginning with \".\", got {}",
                                 in_quotes(member.key)));
    }
    member.value.text = resolve_path(member.value.text, context.directory());
    keys.belongings.credentials.push_back({member.key, member.value.text});
    if (!context.host().foresees(Foreseen::children) || ::access(member.value.text.c_str(), R_OK) == 0) continue;
    context.warn(member.value.at, here, fmt::format("{} cannot be read: {}", member.value.text, errno_text(errno)));
  }
}

void allow_directories(ChildKeys& keys) {
  if (!keys.sandbox.files.restricted) return;
  for (const auto& one : keys.belongings.directories) keys.sandbox.files.write.push_back(one.path());
}

void check_belongings(Context& context, const Section& section, const ChildKeys& keys) {
  if (keys.chroot.empty() || keys.chroot == "/") return;
  for (const char* key : {"state_directory", "runtime_directory", "logs_directory", "credentials"}) {
    if (section.object.find(key) == nullptr) continue;
    context.report(section.place_of(key), section.pointer_of(key), "it cannot be reached in a chroot");
  }
}

}  // namespace bulkhead::config
