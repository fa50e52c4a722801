// The version of this program, compiled separately: another version differs in no other file.
#pragma once

namespace bulkhead {

[[nodiscard]] const char* version() noexcept;

}  // namespace bulkhead
