// The version of this program, compiled apart from all others: everything else is the same in another one.
#pragma once

namespace bulkhead {

[[nodiscard]] const char* version() noexcept;

}  // namespace bulkhead
