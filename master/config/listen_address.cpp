#include "master/config/listen_address.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "master/config/json_value.h"
#include "master/config/paths.h"

namespace bulkhead::config {
namespace {

using Family = ListenAddress::Family;
using Parsed = std::variant<ListenAddress, std::string>;

bool all_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  if (!all_digits(text) || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  std::uint16_t port = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), port);
  if (result.ec != std::errc()) return std::nullopt;
  return port;
}

// The address in its shortest form, or nothing when it is not one of this family.
std::optional<std::string> canonical(int family, const std::string& host) {
  std::array<unsigned char, sizeof(in6_addr)> bytes{};
  std::array<char, INET6_ADDRSTRLEN> out{};
  if (inet_pton(family, host.c_str(), bytes.data()) != 1) return std::nullopt;
  return inet_ntop(family, bytes.data(), out.data(), out.size());
}

Parsed parse_unix(std::string_view text, const std::string& directory) {
  const std::string_view path = text.substr(std::string_view("unix:").size());
  if (path.empty()) return "expected a path after \"unix:\"";
  if (path.starts_with('@')) return "abstract sockets are not supported; write a path after \"unix:\"";
  ListenAddress out;
  out.text = text;
  out.family = Family::unix_path;
  out.path = resolve_path(path, directory);
  constexpr std::size_t kMost = sizeof(sockaddr_un::sun_path) - 1;
  if (out.path.size() > kMost) {
    return fmt::format("the path of a Unix socket may have at most {} bytes, this one has {}", kMost, out.path.size());
  }
  if (out.path.ends_with('/')) return "expected the path of a socket, got that of a directory";
  return out;
}

Parsed finish(std::string_view text, Family family, std::string host, std::string_view port) {
  const auto number = parse_port(port);
  if (!number) return fmt::format("expected a port from 0 to 65535, got {}", in_quotes(port));
  ListenAddress out;
  out.text = text;
  out.family = family;
  out.host = std::move(host);
  out.port = *number;
  return out;
}

Parsed parse_ipv6(std::string_view text) {
  const std::size_t close = text.find(']');
  if (close == std::string_view::npos || text.substr(close + 1, 1) != ":") {
    return "expected an IPv6 address as \"[ADDRESS]:PORT\"";
  }
  const std::string host(text.substr(1, close - 1));
  if (host.find('%') != std::string::npos) return "addresses with a scope such as \"%eth0\" are not supported";
  const auto address = canonical(AF_INET6, host);
  if (!address) return fmt::format("{} is not an IPv6 address", in_quotes(host));
  if (address->starts_with("::ffff:") && address->find('.') != std::string::npos) {
    return fmt::format("write the IPv4 address itself: \"{}{}\"", address->substr(7), text.substr(close + 1));
  }
  return finish(text, Family::ipv6, *address, text.substr(close + 2));
}

std::string not_numeric(std::string_view host, std::string_view port) {
  if (host.empty() || host == "*") {
    return fmt::format("expected an address before \":\"; write \"{}\" for all IPv4 addresses", port);
  }
  if (host.find(':') != std::string_view::npos) {
    return fmt::format("an IPv6 address stands in brackets: \"[{}]:{}\"", host, port);
  }
  return fmt::format("{} is not an IPv4 address; only numeric addresses are allowed", in_quotes(host));
}

}  // namespace

Parsed parse_listen_address(std::string_view text, const std::string& directory) {
  if (text.empty()) return "expected an address such as \"127.0.0.1:4040\", got an empty string";
  if (text.starts_with("unix:")) return parse_unix(text, directory);
  if (text.starts_with("systemd:") || text.starts_with("fd:")) {
    return fmt::format("inherited sockets ({}) are not supported", in_quotes(text));
  }
  if (text.starts_with('[')) return parse_ipv6(text);
  if (all_digits(text)) return finish(text, Family::ipv4, "0.0.0.0", text);
  const std::size_t colon = text.rfind(':');
  if (text.starts_with('/') || text.starts_with("./")) {
    return fmt::format("a Unix socket is written \"unix:\" and its path: {}", in_quotes(fmt::format("unix:{}", text)));
  }
  if (colon == std::string_view::npos) return fmt::format("{} has no port; write \"ADDRESS:PORT\"", in_quotes(text));
  const std::string_view host = text.substr(0, colon);
  const auto address = canonical(AF_INET, std::string(host));
  if (!address) return not_numeric(host, text.substr(colon + 1));
  return finish(text, Family::ipv4, *address, text.substr(colon + 1));
}

bool collide(const ListenAddress& a, const ListenAddress& b) {
  if (a.family == Family::unix_path || b.family == Family::unix_path) return a.family == b.family && a.path == b.path;
  if (a.port != b.port || a.port == 0) return false;
  const auto covers = [](const ListenAddress& all, const ListenAddress& other) {
    if (all.family == Family::ipv6) return all.host == "::";
    return all.host == "0.0.0.0" && other.family == Family::ipv4;
  };
  return (a.family == b.family && a.host == b.host) || covers(a, b) || covers(b, a);
}

}  // namespace bulkhead::config
