// Makes bytes that a peer may have chosen safe for a terminal.
#pragma once

#include <string>
#include <string_view>

namespace bulkhead::ctl {

// What is not valid UTF-8, and characters that control the terminal or change the direction of the text
// (log::shown_length), become \xNN byte by byte, as in the log, so that a peer cannot forge a line.
[[nodiscard]] std::string escaped(std::string_view bytes);

}  // namespace bulkhead::ctl
