#include "master/net/listen_variables.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>

namespace bulkhead::net {

namespace {

constexpr int kMostDescriptors = 4096;

std::optional<int> whole_number(std::string_view text) {
  int out = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), out);
  if (result.ec != std::errc() || result.ptr != text.data() + text.size() || out < 0) return std::nullopt;
  return out;
}

std::vector<std::string> split_at_colons(std::string_view text) {
  std::vector<std::string> out;
  for (;;) {
    const std::size_t colon = text.find(':');
    out.emplace_back(text.substr(0, colon));
    if (colon == std::string_view::npos) return out;
    text.remove_prefix(colon + 1);
  }
}

PassedDescriptors none(std::string remark) {
  return {{}, std::move(remark)};
}

}  // namespace

PassedDescriptors parse_listen_variables(const ListenVariables& variables, int pid) {
  if (variables.fds == nullptr) return {};
  if (variables.pid == nullptr) return none("LISTEN_FDS is set but LISTEN_PID is not: ignored");
  if (whole_number(variables.pid) != pid) {
    return none(fmt::format("LISTEN_FDS is for process {}, this is {}: ignored", variables.pid, pid));
  }
  const auto count = whole_number(variables.fds);
  if (!count || *count > kMostDescriptors) {
    return none(
        fmt::format("LISTEN_FDS is \"{}\", not a number from 0 to {}: ignored", variables.fds, kMostDescriptors));
  }
  PassedDescriptors out;
  if (variables.names != nullptr && *count != 0) out.names = split_at_colons(variables.names);
  const auto wanted = static_cast<std::size_t>(*count);
  if (variables.names != nullptr && *count != 0 && out.names.size() != wanted) {
    out.remark = fmt::format("LISTEN_FDNAMES has {} names for {} descriptors", out.names.size(), wanted);
  }
  out.names.resize(wanted, "unknown");
  return out;
}

}  // namespace bulkhead::net
