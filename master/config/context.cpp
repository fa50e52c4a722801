#include "master/config/context.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "master/config/listen_address.h"

namespace bulkhead::config {
namespace {

using Form = ListenAddress::Form;

constexpr std::string_view kEveryDevice = "*";  // matches every device, and no device

std::string any_of_port(std::uint16_t port, Form form, std::string_view device) {
  return fmt::format("{} any {} {}", port, form == Form::ipv4 ? "IPv4" : "IPv6", device);
}

std::string exactly(std::uint16_t port, std::string_view host, std::string_view device) {
  return fmt::format("{} {} {}", port, host, device);
}

// An address that is not an IP address collides only with an equal one.
std::string only_key(const ListenAddress& address) {
  switch (address.form) {
    case Form::systemd: return "systemd:" + address.name;
    case Form::descriptor: return fmt::format("fd:{}", address.descriptor);
    default: return address.path;
  }
}

// The keys under which an address is filed: its exact address, and any address of its port and family; each of them for
// its own device and for all devices.
std::vector<std::string> own_keys(const ListenAddress& address) {
  if (!address.is_ip()) return {only_key(address)};
  std::vector<std::string> out;
  for (const std::string_view device : {std::string_view(address.device), kEveryDevice}) {
    out.push_back(exactly(address.port, address.host, device));
    out.push_back(any_of_port(address.port, address.form, device));
  }
  return out;
}

// The keys under which a colliding address would be filed: see collide().
std::vector<std::string> colliding_keys(const ListenAddress& address) {
  if (!address.is_ip()) return {only_key(address)};
  std::vector<std::string_view> devices{kEveryDevice};
  if (!address.device.empty()) devices = {address.device, ""};
  std::vector<std::string> out;
  for (const std::string_view device : devices) {
    out.push_back(exactly(address.port, address.host, device));
    out.push_back(exactly(address.port, "::", device));
    if (address.form == Form::ipv4) out.push_back(exactly(address.port, "0.0.0.0", device));
    const bool any_ipv6 = address.host == "::";
    const bool any_ipv4 = address.host == "0.0.0.0" || (any_ipv6 && !address.ipv6only);
    if (any_ipv4) out.push_back(any_of_port(address.port, Form::ipv4, device));
    if (any_ipv6) out.push_back(any_of_port(address.port, Form::ipv6, device));
  }
  return out;
}

}  // namespace

void Context::begin_file(std::string file) {
  reading_ = files_.size();
  files_.push_back(std::move(file));
}

void Context::report(Position at, std::string pointer, std::string message) {
  found_.push_back({reading_, {file(), at.line, at.column, std::move(pointer), std::move(message)}});
}

void Context::report(const std::vector<Finding>& findings) {
  for (const Finding& finding : findings) report(finding.at, finding.pointer, finding.message);
}

void Context::warn(Position at, std::string pointer, std::string message) {
  warnings_.push_back({reading_, {file(), at.line, at.column, std::move(pointer), "warning: " + std::move(message)}});
}

void Context::report_in(const std::string& other, const std::string& pointer, const std::vector<Finding>& findings) {
  const OtherFile reading(*this, other);
  for (const Finding& finding : findings) report(finding.at, pointer, finding.message);
}

std::string Context::elsewhere(const Place& place) const {
  if (place.file == file()) return place.pointer;
  return fmt::format("{} of {}", place.pointer, place.file);
}

std::string Context::claim(const std::string& room, const std::string& what, const std::string& pointer) {
  // A NUL cannot occur in either part, so the key is unambiguous.
  const auto [place, first] = claimed_.try_emplace(room + '\0' + what, Place{file(), {}, pointer});
  return first ? "" : elsewhere(place->second);
}

void Context::claim_address(const ListenAddress& address, Position at, const std::string& pointer) {
  if (claimants_disabled_ != 0) return;
  const auto keys = colliding_keys(address);
  auto taken = addresses_.end();
  for (const std::string& key : keys) {
    const auto found = addresses_.find(key);
    if (found != addresses_.end() && collide(found->second.address, address)) taken = found;
  }
  if (taken == addresses_.end()) {
    for (const std::string& key : own_keys(address)) {
      addresses_.try_emplace(key, Taken{address, {file(), at, pointer}});
    }
    return;
  }
  const Place& place = taken->second.place;
  const std::string where = fmt::format("{} (line {}, column {})", elsewhere(place), place.at.line, place.at.column);
  const std::string& first = taken->second.address.text;
  report(at, pointer,
         first == address.text ? fmt::format("{} is already used by {}", in_quotes(address.text), where)
                               : fmt::format("{} cannot be bound together with {} of {}", in_quotes(address.text),
                                             in_quotes(first), where));
}

std::vector<Problem> Context::in_order(std::vector<Found> found) {
  std::stable_sort(found.begin(), found.end(), [](const Found& a, const Found& b) {
    return std::tie(a.file, a.problem.line, a.problem.column) < std::tie(b.file, b.problem.line, b.problem.column);
  });
  std::vector<Problem> out;
  for (Found& one : found) out.push_back(std::move(one.problem));
  return out;
}

std::vector<Problem> Context::take_problems() {
  return in_order(std::exchange(found_, {}));
}

std::vector<Problem> Context::take_warnings() {
  return in_order(std::exchange(warnings_, {}));
}

}  // namespace bulkhead::config
