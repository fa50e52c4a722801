#include "master/config/listen_address.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netdb.h>
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

using Form = ListenAddress::Form;
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

// The names of services(5) begin with a letter or a digit, and have a letter.
bool is_service(std::string_view text) {
  constexpr std::string_view kCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-";
  return !text.empty() && text[0] != '-' && text.find_first_not_of(kCharacters) == std::string_view::npos &&
         text.find_first_not_of("0123456789-") != std::string_view::npos;
}

std::optional<std::uint16_t> service_port(const std::string& name) {
  const servent* const found = getservbyname(name.c_str(), "tcp");
  return found == nullptr ? std::nullopt : std::optional(ntohs(static_cast<std::uint16_t>(found->s_port)));
}

// The address in its shortest form, or empty when it is not an address of this family.
std::optional<std::string> canonical(int family, const std::string& host) {
  std::array<unsigned char, sizeof(in6_addr)> bytes{};
  std::array<char, INET6_ADDRSTRLEN> out{};
  if (inet_pton(family, host.c_str(), bytes.data()) != 1) return std::nullopt;
  return inet_ntop(family, bytes.data(), out.data(), out.size());
}

constexpr std::size_t kMostBytes = sizeof(sockaddr_un::sun_path) - 1;

Parsed parse_abstract(std::string_view text, std::string_view name) {
  if (name.size() == 1) return "expected a name after \"unix:@\"";
  if (name.size() - 1 > kMostBytes) {
    return fmt::format("the name of an abstract socket may have at most {} bytes, this one has {}", kMostBytes,
                       name.size() - 1);
  }
  ListenAddress out;
  out.text = text;
  out.form = Form::unix_abstract;
  out.path = name;
  return out;
}

Parsed parse_unix(std::string_view text, const std::string& directory) {
  const std::string_view path = text.substr(std::string_view("unix:").size());
  if (path.empty()) return "expected a path or \"@\" and a name after \"unix:\"";
  if (path.starts_with('@')) return parse_abstract(text, path);
  ListenAddress out;
  out.text = text;
  out.form = Form::unix_path;
  out.path = resolve_path(path, directory);
  if (out.path.size() > kMostBytes) {
    return fmt::format("the path of a Unix socket may have at most {} bytes, this one has {}", kMostBytes,
                       out.path.size());
  }
  if (out.path.ends_with('/')) return "expected the path of a socket, got the path of a directory";
  return out;
}

// The names that systemd.socket(5) allows with FileDescriptorName=.
Parsed parse_systemd(std::string_view text) {
  constexpr std::size_t kMost = 255;
  const std::string_view name = text.substr(std::string_view("systemd:").size());
  const bool good = std::all_of(name.begin(), name.end(), [](char c) { return c >= ' ' && c < 0x7f && c != ':'; });
  if (name.empty() || name.size() > kMost || !good) {
    return fmt::format("expected the name of a socket after \"systemd:\", 1 to {} characters of ASCII without \":\"",
                       kMost);
  }
  ListenAddress out;
  out.text = text;
  out.form = Form::systemd;
  out.name = name;
  return out;
}

Parsed parse_descriptor(std::string_view text) {
  constexpr int kMost = 1'048'575;
  const std::string_view digits = text.substr(std::string_view("fd:").size());
  ListenAddress out;
  const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), out.descriptor);
  const bool canonical = all_digits(digits) && (digits.size() == 1 || digits[0] != '0');
  if (!canonical || result.ec != std::errc() || out.descriptor > kMost) {
    return fmt::format("expected the number of a descriptor after \"fd:\", from 0 to {}", kMost);
  }
  out.text = text;
  out.form = Form::descriptor;
  return out;
}

Parsed finish(std::string_view text, Form form, std::string host, std::string_view port) {
  const auto number = is_service(port) ? service_port(std::string(port)) : parse_port(port);
  if (!number && is_service(port)) return fmt::format("no TCP service {} in /etc/services", in_quotes(port));
  if (!number) return fmt::format("expected a port from 0 to 65535, got {}", in_quotes(port));
  ListenAddress out;
  out.text = text;
  out.form = form;
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
    return fmt::format("write the IPv4 address itself: {}",
                       in_quotes(address->substr(7).append(text.substr(close + 1))));
  }
  return finish(text, Form::ipv6, *address, text.substr(close + 2));
}

std::string not_numeric(std::string_view host, std::string_view port) {
  if (host.empty()) {
    return fmt::format("expected an address before \":\"; write {} for all IPv4 addresses", in_quotes(port));
  }
  if (host.find(':') != std::string_view::npos) {
    return fmt::format("an IPv6 address must be in brackets: {}", in_quotes(fmt::format("[{}]:{}", host, port)));
  }
  return fmt::format("{} is not an IPv4 address; only numeric addresses are allowed", in_quotes(host));
}

}  // namespace

Parsed parse_listen_address(std::string_view text, const std::string& directory) {
  if (text.empty()) return "expected an address such as \"127.0.0.1:4040\", got an empty string";
  if (text.find('\0') != std::string_view::npos) return "an address may not contain U+0000";
  if (text.starts_with("unix:")) return parse_unix(text, directory);
  if (text.starts_with("systemd:")) return parse_systemd(text);
  if (text.starts_with("fd:")) return parse_descriptor(text);
  if (text.starts_with("udp:")) {
    return "UDP is not offered: bulkhead gives every connection a process of its own, and datagrams have no connection";
  }
  if (text.starts_with("tcp:")) return fmt::format("write {}", in_quotes(text.substr(4)));
  if (text.starts_with("*:")) return finish(text, Form::ipv6, "::", text.substr(2));
  if (text.starts_with('[')) return parse_ipv6(text);
  if (all_digits(text)) return finish(text, Form::ipv4, "0.0.0.0", text);
  const std::size_t colon = text.rfind(':');
  if (text.starts_with('/') || text.starts_with("./")) {
    return fmt::format("a Unix socket is written \"unix:\" and its path: {}", in_quotes(fmt::format("unix:{}", text)));
  }
  if (colon == std::string_view::npos) return fmt::format("{} has no port; write \"ADDRESS:PORT\"", in_quotes(text));
  const std::string_view host = text.substr(0, colon);
  const auto address = canonical(AF_INET, std::string(host));
  if (!address) return not_numeric(host, text.substr(colon + 1));
  return finish(text, Form::ipv4, *address, text.substr(colon + 1));
}

bool collide(const ListenAddress& a, const ListenAddress& b) {
  if (!a.is_ip() || !b.is_ip()) {
    return a.form == b.form && a.path == b.path && a.name == b.name && a.descriptor == b.descriptor;
  }
  if (a.port != b.port || a.port == 0) return false;
  if (!a.device.empty() && !b.device.empty() && a.device != b.device) return false;
  const auto covers = [](const ListenAddress& all, const ListenAddress& other) {
    if (all.form == Form::ipv6) return all.host == "::" && (other.form == Form::ipv6 || !all.ipv6only);
    return all.host == "0.0.0.0" && other.form == Form::ipv4;
  };
  return (a.form == b.form && a.host == b.host) || covers(a, b) || covers(b, a);
}

bool same_place(const ListenAddress& a, const ListenAddress& b) {
  const auto families = [](const ListenAddress& one) { return one.host == "::" && one.ipv6only; };
  return a.form == b.form && a.host == b.host && a.port == b.port && a.path == b.path && a.name == b.name &&
         a.descriptor == b.descriptor && a.device == b.device && families(a) == families(b);
}

}  // namespace bulkhead::config
