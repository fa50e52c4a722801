// The forms of `listen`: "4040", "127.0.0.1:4040", "[::1]:4040", "unix:/run/x.sock", "unix:@name" (abstract, unix(7)),
// "systemd:NAME" (sd_listen_fds(3)), "fd:N". Addresses are numeric only: with a name, the start would depend on a name
// service, and the name could mean another address at the next start.
#pragma once

#include <string>
#include <string_view>
#include <variant>

#include "master/config/config.h"

namespace bulkhead::config {

// The address, or a sentence that says what is wrong with it. Relative socket paths are relative to `directory`.
[[nodiscard]] std::variant<ListenAddress, std::string> parse_listen_address(std::string_view text,
                                                                            const std::string& directory);

// Whether the kernel would refuse to bind both at once (socket(7) SO_REUSEADDR, ipv6(7) IPV6_V6ONLY): both are the same
// address, or one of them means all addresses of the same port (0.0.0.0; [::], with both families unless `ipv6only`).
// Sockets of two devices never collide; a socket without a device collides with those of all devices. Port 0 never
// collides.
[[nodiscard]] bool collide(const ListenAddress& a, const ListenAddress& b);

// Whether a socket that is bound to one of them is bound to the other as well, whatever their texts: "4040" and
// "0.0.0.0:4040".
[[nodiscard]] bool same_place(const ListenAddress& a, const ListenAddress& b);

}  // namespace bulkhead::config
