#include "master/config/child_keys_reader.h"

#include <fmt/format.h>
#include <linux/capability.h>
#include <sys/resource.h>

#include <algorithm>
#include <iterator>

#include "master/config/belongings_reader.h"
#include "master/config/env_file.h"
#include "master/config/foresight.h"
#include "master/config/paths.h"
#include "master/config/sandbox_reader.h"

namespace bulkhead::config {
namespace {

// `ioprio` in the form of ioprio_set(2): the class above bit 13, the level below. The order is that of the option's
// words: 8 levels of class 1, 8 of class 2, and class 3, which has no levels.
int ioprio_of(std::size_t word) {
  constexpr int kShift = 13;
  const auto level = static_cast<int>(word % 8);
  return (static_cast<int>(word / 8) + 1) << kShift | level;
}

std::uint64_t value_of(const Entry& entry) {
  if (entry.is_word()) return kUnlimited;
  if (entry.option.type == Type::size) return as_size(entry.value);
  if (entry.option.type == Type::integer) return as_integer(entry.value);
  // Whole seconds, rounded up, so that the limit is never lower than configured.
  return static_cast<std::uint64_t>(std::chrono::ceil<std::chrono::seconds>(as_duration(entry.value)).count());
}

// Without a value, the daemon's own limit stays.
void set_rlimit(Context& context, std::vector<Rlimit>& limits, const Entry& entry, int resource) {
  if (entry.value.kind == Value::Kind::null) return;
  const std::uint64_t value = value_of(entry);
  limits.push_back({resource, value});
  const std::uint64_t hard = context.host().hard_limit(resource);
  const auto blame = [&](std::string message) { context.report(entry.at(), entry.pointer(), std::move(message)); };
  if (resource == RLIMIT_NOFILE && value > context.host().most_descriptors()) {
    return blame(fmt::format("no process can have more than {} (raise it by fs.nr_open of sysctl)",
                             context.host().most_descriptors()));
  }
  if (value <= hard) return;
  if (!context.as_root()) {
    blame(fmt::format("only root can raise the hard limit, which is {} for the daemon", hard));
  } else if (!context.host().has_capability(CAP_SYS_RESOURCE)) {
    blame(fmt::format(
        "raising the hard limit, which is {} for the daemon, needs CAP_SYS_RESOURCE, which it does not have", hard));
  }
}

template <int resource>
void set_rlimit(Context& context, std::vector<Rlimit>& limits, const Entry& entry) {
  set_rlimit(context, limits, entry, resource);
}

constexpr std::array kRlimitSetters{
    Setter<std::vector<Rlimit>>{"nofile", set_rlimit<RLIMIT_NOFILE>},
    Setter<std::vector<Rlimit>>{"as", set_rlimit<RLIMIT_AS>},
    Setter<std::vector<Rlimit>>{"cpu", set_rlimit<RLIMIT_CPU>},
    Setter<std::vector<Rlimit>>{"data", set_rlimit<RLIMIT_DATA>},
    Setter<std::vector<Rlimit>>{"stack", set_rlimit<RLIMIT_STACK>},
    Setter<std::vector<Rlimit>>{"core", set_rlimit<RLIMIT_CORE>},
    Setter<std::vector<Rlimit>>{"fsize", set_rlimit<RLIMIT_FSIZE>},
    Setter<std::vector<Rlimit>>{"nproc", set_rlimit<RLIMIT_NPROC>},
};
static_assert(covers(kRlimitSetters, Scope::rlimits));

std::optional<int> integer_if_given(const Entry& entry) {
  return entry.given ? std::optional(static_cast<int>(as_integer(entry.value))) : std::nullopt;
}

void set_chdir(Context& context, ChildKeys& keys, const Entry& entry) {
  const auto blame = [&](const std::string& message) { context.report(entry.at(), entry.pointer(), message); };
  const std::string& root = context.root();
  keys.chdir = resolve_path(entry.value.text, context.directory());
  if (!root.empty() && !entry.value.text.starts_with('/')) {
    return blame(fmt::format("expected an absolute path inside the chroot, got {}", in_quotes(entry.value.text)));
  }
  entry.effective.text = keys.chdir;
  if (!root.empty() && !why_not_directory(root, "").empty()) return;  // reported once already, for the root
  const std::string problem = why_not_directory(keys.chdir, root);
  if (!problem.empty()) blame(fmt::format("cannot change to {}: {}", in_quotes(keys.chdir), problem));
}

void set_chroot(Context& context, ChildKeys& keys, const Entry& entry) {
  if (!entry.given) return;
  keys.chroot = context.root();
  entry.effective.text = keys.chroot;
  const auto blame = [&](const std::string& message) { context.report(entry.at(), entry.pointer(), message); };
  if (!context.as_root()) {
    return context.report_for_root(entry.at(), entry.pointer(), "only root can change the root directory");
  }
  const std::string problem = why_not_directory(keys.chroot, "");
  if (!problem.empty()) blame(fmt::format("cannot change the root to {}: {}", in_quotes(keys.chroot), problem));
}

void set_env(Context&, ChildKeys& keys, const Entry& entry) {
  for (const Member& member : entry.value.members) keys.env.emplace_back(member.key, member.value.text);
}

void set_env_file(Context& context, ChildKeys& keys, const Entry& entry) {
  if (!entry.given) return;
  entry.effective.text = resolve_path(entry.value.text, context.directory());
  keys.file_env = read_env_file(context, entry, entry.effective.text);
}

constexpr std::array kChildKeysSetters{
    Setter<ChildKeys>{"user", [](Context&, ChildKeys&,
                                 const Entry&) {}},  // user, group and groups are read together: see read_child_keys
    Setter<ChildKeys>{"group", [](Context&, ChildKeys&, const Entry&) {}},
    Setter<ChildKeys>{"groups", [](Context&, ChildKeys&, const Entry&) {}},
    Setter<ChildKeys>{"umask",
                      [](Context&, ChildKeys& keys, const Entry& e) {
                        keys.umask = static_cast<std::uint32_t>(std::stoul(e.value.text, nullptr, 8));
                      }},
    Setter<ChildKeys>{"chdir", set_chdir},
    Setter<ChildKeys>{"chroot", set_chroot},
    Setter<ChildKeys>{"nice", [](Context&, ChildKeys& keys, const Entry& e) { keys.nice = integer_if_given(e); }},
    Setter<ChildKeys>{"ioprio",
                      [](Context&, ChildKeys& keys, const Entry& e) {
                        if (e.given) keys.ioprio = ioprio_of(word_index(e.option, e.value));
                      }},
    Setter<ChildKeys>{"oom_score_adj",
                      [](Context&, ChildKeys& keys, const Entry& e) { keys.oom_score_adj = integer_if_given(e); }},
    Setter<ChildKeys>{"rlimits",
                      [](Context& context, ChildKeys& keys, const Entry& e) {
                        keys.rlimits.clear();
                        read_object(context, e, kRlimitSetters, keys.rlimits, "in rlimits");
                      }},
    Setter<ChildKeys>{"env", set_env},
    Setter<ChildKeys>{"env_file", set_env_file},
    Setter<ChildKeys>{"pass_env",
                      [](Context&, ChildKeys& keys, const Entry& e) { keys.pass_env = as_strings(e.value); }},
    Setter<ChildKeys>{"unset_env",
                      [](Context&, ChildKeys& keys, const Entry& e) { keys.unset_env = as_strings(e.value); }},
    Setter<ChildKeys>{"state_directory", set_directory<Belongings::Directory::Kind::state>},
    Setter<ChildKeys>{"runtime_directory", set_directory<Belongings::Directory::Kind::runtime>},
    Setter<ChildKeys>{"logs_directory", set_directory<Belongings::Directory::Kind::logs>},
    Setter<ChildKeys>{"credentials", set_credentials},
    Setter<ChildKeys>{"kill_mode",
                      [](Context&, ChildKeys& keys, const Entry& e) { keys.kill_mode = as_enum<KillMode>(e); }},
    Setter<ChildKeys>{
        "sandbox", [](Context& context, ChildKeys& keys, const Entry& e) { keys.sandbox = read_sandbox(context, e); }},
};
static_assert(covers(kChildKeysSetters, Scope::child_keys));

}  // namespace

void set_log_rate_limit(ChildKeys& keys, const Entry& entry) {
  keys.log_rate_limit = entry.is_word() ? std::nullopt : std::optional(as_integer(entry.value));
}

InRoot::InRoot(Context& context, const Section& section) : context_(context) {
  const Member* chroot = section.object.find("chroot");
  if (chroot == nullptr || chroot->value.kind != Value::Kind::string || chroot->value.text.empty()) return;
  context.enter_root(resolve_path(chroot->value.text, context.directory()));
}

void read_child_keys(Context& context, const Section& section, WithoutUser without_user, ChildKeys& keys,
                     Value& effective) {
  read_options(context, section, Scope::child_keys, kChildKeysSetters, keys, effective);
  const auto account = account_of(context, section);
  keys.identity = read_identity(context, section, account, without_user);
  if (account) keys.login = login_variables(*account);
  allow_directories(keys);
  check_belongings(context, section, keys);
  foresee_child(context, section, keys);
}

}  // namespace bulkhead::config
