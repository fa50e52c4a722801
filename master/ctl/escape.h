// Makes bytes that a peer may have chosen safe for a terminal.
#pragma once

#include <string>
#include <string_view>

namespace bulkhead::ctl {

// Everything except printable ASCII becomes \xNN, as in the log, so that a peer cannot forge a line or control the
// terminal.
[[nodiscard]] std::string escaped(std::string_view bytes);

}  // namespace bulkhead::ctl
