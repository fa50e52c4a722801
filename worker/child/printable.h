// Bytes that a peer chose, as text that is safe wherever it ends up: in a variable of a shell script, a log, a
// terminal. Printable ASCII is itself, anything else is \xNN as in the log, a backslash \x5c, so that two texts never
// look the same. A parenthesis at the very beginning is escaped too: "() {" has been code to shells (CVE-2014-6271).
#pragma once

#include <cstddef>
#include <string_view>

namespace bulkhead::child {

// Into `out`, ended by NUL. False: it is empty, or does not fit: half a name would be another name.
[[nodiscard]] bool printable(std::string_view bytes, char* out, std::size_t size) noexcept;

}  // namespace bulkhead::child
