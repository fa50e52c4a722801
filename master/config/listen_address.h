// The forms of `listen`: "4040", "127.0.0.1:4040", "[::1]:4040", "unix:/run/x.sock", "unix:@name" (abstract, unix(7)),
// "systemd:NAME" (sd_listen_fds(3)), "fd:N". Numeric only: a name would make the start depend on a name service and
// could become another address at the next one.
#pragma once

#include <string>
#include <string_view>
#include <variant>

#include "master/config/config.h"

namespace bulkhead::config {

// The address, or a sentence that says what is wrong with it. Relative socket paths stand in `directory`.
[[nodiscard]] std::variant<ListenAddress, std::string> parse_listen_address(std::string_view text,
                                                                            const std::string& directory);

// Whether both cannot be bound at once, as the kernel decides it (socket(7) SO_REUSEADDR, ipv6(7) IPV6_V6ONLY): the
// same one, or one of them is all addresses (0.0.0.0; [::], with both families unless `ipv6only`) of the same port.
// Sockets of two devices never collide, one without a device does with those of all. Port 0 never does.
[[nodiscard]] bool collide(const ListenAddress& a, const ListenAddress& b);

}  // namespace bulkhead::config
