// The forms of `listen`: "4040", "127.0.0.1:4040", "[::1]:4040", "unix:/run/x.sock". Numeric only: a name would make
// the start depend on a name service and could become another address at the next one.
#pragma once

#include <string>
#include <string_view>
#include <variant>

#include "master/config/config.h"

namespace bulkhead::config {

// The address, or a sentence that says what is wrong with it. Relative socket paths stand in `directory`.
[[nodiscard]] std::variant<ListenAddress, std::string> parse_listen_address(std::string_view text,
                                                                            const std::string& directory);

// Whether both cannot be bound at once: the same one, or one of them is all addresses (0.0.0.0, or [::] with both
// families) of the same port. Port 0 never collides.
[[nodiscard]] bool collide(const ListenAddress& a, const ListenAddress& b);

}  // namespace bulkhead::config
