#include "master/config/sandbox_reader.h"

#include <fmt/format.h>

#include <algorithm>

#include "master/config/nearest.h"
#include "master/sandbox/system_calls.h"
#include "worker/confine/landlock.h"

namespace bulkhead::config {
namespace {

using sandbox::Policy;
using sandbox::Preset;

bool is_strict(const Policy& policy) {
  return policy.preset == Preset::strict;
}

bool is_none(const Policy& policy) {
  return policy.preset == Preset::none;
}

Value word(std::string_view text) {
  return string_value(std::string(text));
}

std::vector<std::string> known_calls(Context& context, const Entry& entry) {
  const auto& all = sandbox::all_system_calls();
  for (std::size_t i = 0; i < entry.value.items.size(); ++i) {
    const Value& item = entry.value.items[i];
    if (sandbox::is_system_call(item.text)) continue;
    const std::string near = nearest(item.text, {all.begin(), all.end()});
    context.report(item.at, child_pointer(entry.pointer(), i),
                   fmt::format("there is no system call {}{}", in_quotes(item.text),
                               near.empty() ? " (syscalls(2))" : fmt::format("; did you mean \"{}\"?", near)));
  }
  return as_strings(entry.value);
}

constexpr std::array kSystemCallsSetters{
    Setter<sandbox::SystemCalls>{"allow", [](Context& context, sandbox::SystemCalls& calls,
                                             const Entry& e) { calls.allow = known_calls(context, e); }},
    Setter<sandbox::SystemCalls>{"deny", [](Context& context, sandbox::SystemCalls& calls,
                                            const Entry& e) { calls.deny = known_calls(context, e); }},
    Setter<sandbox::SystemCalls>{
        "then", [](Context&, sandbox::SystemCalls& calls, const Entry& e) { calls.then = as_enum<sandbox::Then>(e); }},
};
static_assert(covers(kSystemCallsSetters, Scope::system_calls));

constexpr std::array kPathsSetters{
    Setter<sandbox::Files>{"read",
                           [](Context&, sandbox::Files& files, const Entry& e) { files.read = as_strings(e.value); }},
    Setter<sandbox::Files>{"write",
                           [](Context&, sandbox::Files& files, const Entry& e) { files.write = as_strings(e.value); }},
    Setter<sandbox::Files>{
        "execute", [](Context&, sandbox::Files& files, const Entry& e) { files.execute = as_strings(e.value); }},
    Setter<sandbox::Files>{"else", [](Context&, sandbox::Files& files,
                                      const Entry& e) { files.others_readable = e.value.text == "read"; }},
};
static_assert(covers(kPathsSetters, Scope::paths));

void set_new_privileges(Context&, Policy& policy, const Entry& entry) {
  policy.new_privileges = entry.given ? as_boolean(entry.value) : is_none(policy);
  entry.effective = Value{};
  entry.effective.kind = Value::Kind::boolean;
  entry.effective.text = policy.new_privileges ? "true" : "false";
}

void set_keep_capabilities(Context&, Policy& policy, const Entry& entry) {
  for (const Value& item : entry.value.items) policy.capabilities |= std::uint64_t{1} << word_index(entry.option, item);
}

// Where the kernel has no scopes, a network of its own keeps it from abstract sockets, and its process numbers from
// signals.
std::uint32_t spaces_of_preset(const Context& context, const Policy& policy) {
  if (!is_strict(policy)) return 0;
  const bool scopes = context.host().landlock_version() >= confine::kLandlockScopes;
  return ipc::kPrivateTmp | ipc::kPrivatePids | ipc::kPrivateIpc | (scopes ? 0 : ipc::kPrivateNetwork);
}

void set_private(Context& context, Policy& policy, const Entry& entry) {
  policy.asks_for_spaces = entry.given;
  policy.spaces = entry.given ? 0 : spaces_of_preset(context, policy);
  for (const Value& item : entry.value.items) policy.spaces |= 1U << word_index(entry.option, item);
  entry.effective = Value{};
  entry.effective.kind = Value::Kind::array;
  for (std::size_t i = 0; i < sandbox::kSpaceWords.size(); ++i) {
    if ((policy.spaces >> i & 1U) != 0)
      entry.effective.items.push_back(word(sandbox::kSpaceWords.text(static_cast<sandbox::Space>(i))));
  }
}

// A system call that is not restricted, and a scope of nothing, need no new privileges forbidden.
bool is_open(const Policy& policy) {
  return is_none(policy) || policy.new_privileges;
}

void set_scope(Context& context, Policy& policy, const Entry& entry) {
  const bool lacking = is_open(policy) || context.host().landlock_version() < confine::kLandlockScopes;
  policy.scope = lacking ? sandbox::ScopeOf::off : sandbox::ScopeOf::connection;
  if (entry.given) policy.scope = as_enum<sandbox::ScopeOf>(entry);
  entry.effective = word(sandbox::kScopeOfWords.text(policy.scope));
}

void set_system_calls(Context& context, Policy& policy, const Entry& entry) {
  using sandbox::CallList;
  policy.calls.list = is_open(policy) ? CallList::any : CallList::common;
  if (is_strict(policy)) policy.calls.list = CallList::server;
  if (entry.given && entry.is_word()) policy.calls.list = as_enum<CallList>(entry);
  entry.effective = word(sandbox::kCallListWords.text(policy.calls.list));
  if (entry.given && !entry.is_word())
    read_object(context, entry, kSystemCallsSetters, policy.calls, "in system_calls");
}

// Without these hardly any program works; what is secret among them is secret by its permissions.
void add_system_directories(sandbox::Files& files) {
  for (const char* const path : {"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"})
    files.execute.emplace_back(path);
  files.read.emplace_back("/etc");
}

void set_paths(Context& context, Policy& policy, const Entry& entry) {
  policy.files.restricted = entry.given || is_strict(policy);
  if (entry.given) read_object(context, entry, kPathsSetters, policy.files, "in paths");
  if (is_strict(policy)) add_system_directories(policy.files);
}

std::vector<std::uint16_t> as_ports(const Value& value) {
  std::vector<std::uint16_t> out;
  for (const Value& item : value.items) out.push_back(static_cast<std::uint16_t>(as_integer(item)));
  return out;
}

constexpr std::array kNetworkSetters{
    Setter<sandbox::Ports>{"connect",
                           [](Context&, sandbox::Ports& ports, const Entry& e) { ports.connect = as_ports(e.value); }},
    Setter<sandbox::Ports>{"bind",
                           [](Context&, sandbox::Ports& ports, const Entry& e) { ports.bind = as_ports(e.value); }},
};
static_assert(covers(kNetworkSetters, Scope::network));

void set_network(Context& context, Policy& policy, const Entry& entry) {
  if (!entry.given || entry.is_word()) {
    policy.network = entry.given ? entry.value.text == "host" : !is_strict(policy);
    entry.effective = word(policy.network ? "host" : "none");
    return;
  }
  policy.ports.restricted = true;
  read_object(context, entry, kNetworkSetters, policy.ports, "in network");
}

constexpr std::array kSandboxSetters{
    Setter<Policy>{"preset", [](Context&, Policy& policy, const Entry& e) { policy.preset = as_enum<Preset>(e); }},
    Setter<Policy>{"new_privileges", set_new_privileges},
    Setter<Policy>{"keep_capabilities", set_keep_capabilities},
    Setter<Policy>{"scope", set_scope},
    Setter<Policy>{"system_calls", set_system_calls},
    Setter<Policy>{"paths", set_paths},
    Setter<Policy>{"network", set_network},
    Setter<Policy>{"private", set_private},
    Setter<Policy>{"write_execute",
                   [](Context&, Policy& policy, const Entry& e) { policy.write_execute = as_boolean(e.value); }},
};
static_assert(covers(kSandboxSetters, Scope::sandbox));

// The kernel enforces nothing on a process that may gain privileges (seccomp(2), landlock(7)).
void check_needs(Context& context, const Entry& entry, const Policy& policy) {
  if (!policy.new_privileges || entry.is_word()) return;
  const auto blame = [&](std::string_view key) {
    const Section section{entry.value, entry.pointer(), entry.at()};
    context.report(
        section.place_of(key), section.pointer_of(key),
        "a program that may gain privileges cannot be restricted by this; it needs \"new_privileges\": false");
  };
  if (policy.scope != sandbox::ScopeOf::off) blame("scope");
  if (policy.calls != sandbox::SystemCalls{}) blame("system_calls");
  if (policy.files.restricted) blame("paths");
  if (!policy.network || policy.ports.restricted) blame("network");
  if (policy.spaces != 0) blame("private");
  if (!policy.write_execute) blame("write_execute");
}

// What is asked for, and not only part of a preset, must be there.
void check_kernel(Context& context, const Section& section, const Policy& policy) {
  const long version = context.host().landlock_version();
  const auto need = [&](std::string_view key, bool asked, long first, std::string_view linux_version) {
    if (!asked || section.object.find(key) == nullptr || version >= first) return;
    context.report(section.place_of(key), section.pointer_of(key),
                   fmt::format("this needs Landlock ABI {} (Linux {}), and the kernel has {}", first, linux_version,
                               version == 0 ? std::string("none") : fmt::format("ABI {}", version)));
  };
  need("scope", policy.scope != sandbox::ScopeOf::off, confine::kLandlockScopes, "6.12");
  need("paths", policy.files.restricted, confine::kLandlockFiles, "5.13");
  need("preset", is_strict(policy), confine::kLandlockFiles, "5.13");
  need("network", policy.ports.restricted, confine::kLandlockPorts, "6.7");
}

// Tried out, because a container, a security module or a limit may forbid what the kernel can do.
void try_private(Context& context, const Section& section, const Policy& policy) {
  if (policy.spaces == 0 || !context.host().foresees(Foreseen::children)) return;
  const std::string problem = context.host().private_problem(policy.spaces);
  if (problem.empty()) return;
  const char* const key = section.object.find("private") != nullptr ? "private" : "preset";
  context.report(section.place_of(key), section.pointer_of(key),
                 fmt::format("this system does not let the daemon make what is private: {}", problem));
}

}  // namespace

sandbox::Policy read_sandbox(Context& context, const Entry& entry) {
  Policy policy;
  const Value given = entry.is_word() ? object_value({Member{"preset", entry.at(), entry.value}}) : entry.value;
  const Section section{given, entry.pointer(), entry.at()};
  check_keys(context, section, {Scope::sandbox}, "in sandbox");
  Value effective = object_value({});
  read_options(context, section, Scope::sandbox, kSandboxSetters, policy, effective);
  entry.effective = std::move(effective);
  check_needs(context, entry, policy);
  check_kernel(context, section, policy);
  try_private(context, section, policy);
  return policy;
}

}  // namespace bulkhead::config
