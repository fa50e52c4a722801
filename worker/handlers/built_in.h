// The handlers that need no program. Each serves one client in a process of its own until the client is done, or gone:
// both are a normal end, and so is a client that closes its half. The result is the process's exit status.
#pragma once

#include <cstddef>
#include <cstdint>

#include "worker/handlers/client.h"
#include "worker/ipc/exit_code.h"
#include "worker/ipc/plan.h"

namespace bulkhead::handlers {

// The line echo: bytes up to and including each newline go back as they came, a last line without one at end of input.
// Any byte value; a line of any length in 64 KiB of stack.
[[nodiscard]] ipc::ExitCode echo(Client& client) noexcept;

// RFC 863: reads, and throws away.
[[nodiscard]] ipc::ExitCode discard(Client& client) noexcept;

// RFC 867: one line with the date and the time, in the first form of that page: "Monday, February 22, 1982
// 17:37:43-UTC", CR, LF. Always UTC, and says so: a local time would need the C library's zone tables, which the
// worker does not have.
[[nodiscard]] ipc::ExitCode daytime(Client& client) noexcept;

// RFC 864: lines of 72 printing characters, each line shifted by one, until the client goes; input is thrown away, and
// its end alone ends nothing.
[[nodiscard]] ipc::ExitCode chargen(Client& client) noexcept;

// RFC 868: four bytes, network order, the seconds since 1900-01-01 00:00 UTC (modulo 2^32: they start again in 2036).
[[nodiscard]] ipc::ExitCode time(Client& client) noexcept;

// The one that `kind` names, which must be a built-in.
[[nodiscard]] ipc::ExitCode serve(ipc::HandlerKind kind, Client& client) noexcept;

// The parts of the above that depend on nothing, for tests.
inline constexpr std::size_t kDaytimeRoom = 64;
std::size_t daytime_text(std::int64_t unix_seconds, char* out) noexcept;
[[nodiscard]] std::uint32_t rfc868_seconds(std::int64_t unix_seconds) noexcept;

}  // namespace bulkhead::handlers
