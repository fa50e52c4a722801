// Text for a terminal out of bytes that a peer may have chosen.
#pragma once

#include <string>
#include <string_view>

namespace bulkhead::ctl {

// Everything but printable ASCII becomes \xNN, as in the log, so that nobody forges a line or speaks to the terminal.
[[nodiscard]] std::string escaped(std::string_view bytes);

}  // namespace bulkhead::ctl
