// Bytes as an entry of `listen`. The result is either an address or one line that says what is wrong. The kernel
// accepts such an address: converted to the form in logs and read again, it is the same; it collides with itself
// (unless the kernel chooses its port); and no part is longer than the kernel allows.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "master/config/listen_address.h"

namespace {

using namespace bulkhead::config;
using Form = ListenAddress::Form;

void require(bool condition) {
  if (!condition) std::abort();
}

// The text of an address after it has been read.
std::string canonical(const ListenAddress& address) {
  switch (address.form) {
    case Form::ipv4: return address.host + ":" + std::to_string(address.port);
    case Form::ipv6: return "[" + address.host + "]:" + std::to_string(address.port);
    case Form::unix_path:
    case Form::unix_abstract: return "unix:" + address.path;
    case Form::systemd: return "systemd:" + address.name;
    case Form::descriptor: return "fd:" + std::to_string(address.descriptor);
  }
  return "";
}

void check_parts(const ListenAddress& address) {
  require(address.path.size() <= (address.form == Form::unix_abstract ? 108U : 107U));
  require((address.form == Form::unix_path) == address.path.starts_with('/'));
  require((address.form == Form::unix_abstract) == address.path.starts_with('@'));
  require((address.form == Form::descriptor) == (address.descriptor >= 0));
  require((address.form == Form::systemd) == !address.name.empty());
  require(address.is_ip() == !address.host.empty());
  require((address.path + address.name + address.host).find('\0') == std::string::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto parsed = parse_listen_address(text, "/d");
  if (const auto* problem = std::get_if<std::string>(&parsed)) {
    require(!problem->empty());
    require(std::none_of(problem->begin(), problem->end(), [](char c) { return c >= 0 && c < ' '; }));
    return 0;
  }
  const auto& address = std::get<ListenAddress>(parsed);
  require(address.text == text);
  check_parts(address);
  const auto again = parse_listen_address(canonical(address), "/elsewhere");
  require(std::holds_alternative<ListenAddress>(again));
  require(canonical(std::get<ListenAddress>(again)) == canonical(address));
  require(collide(address, std::get<ListenAddress>(again)) == !(address.is_ip() && address.port == 0));
  return 0;
}
