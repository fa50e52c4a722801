// The handlers that need no program. Each serves one client in a process of its own until the client has finished or
// disconnected: both are a normal end, and so is a client that closes its half. The result is the process's exit
// status.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "worker/handlers/client.h"
#include "worker/ipc/exit_code.h"

namespace bulkhead::handlers {

// The line echo: bytes up to and including each newline go back as they came, a last line without one at end of input.
// Any byte value; a line of any length in 64 KiB of stack.
[[nodiscard]] ipc::ExitCode echo(Client& client) noexcept;

// RFC 863: reads and discards.
[[nodiscard]] ipc::ExitCode discard(Client& client) noexcept;

// RFC 867: one line with the date and the time, in the first form of that page: "Monday, February 22, 1982
// 17:37:43-UTC", CR, LF. Always UTC, and labelled so: a local time would need the C library's zone tables, which the
// worker does not have.
[[nodiscard]] ipc::ExitCode daytime(Client& client) noexcept;

// RFC 864: lines of 72 printing characters, each line shifted by one, until the client disconnects. Input is discarded;
// the end of the input alone does not end the connection.
[[nodiscard]] ipc::ExitCode chargen(Client& client) noexcept;

// RFC 868: four bytes, network order, the seconds since 1900-01-01 00:00 UTC (modulo 2^32: the number starts again at 0
// in 2036).
[[nodiscard]] ipc::ExitCode time(Client& client) noexcept;

// The function that a connection child runs (child/start.h): the handler, with the client at descriptor 0.
template <ipc::ExitCode (*Handler)(Client&) noexcept>
[[nodiscard]] int serve(std::int64_t idle_timeout_ns) noexcept {
  Client client(0, idle_timeout_ns);
  return static_cast<int>(Handler(client));
}
// Only the usual handler is hot: what its children run should fit into one page, as each page more is a fault.
template <>
[[nodiscard]] int serve<echo>(std::int64_t idle_timeout_ns) noexcept;

struct BuiltIn {
  std::string_view name;                                // the word in the configuration; also in titles and lists
  int (*serve)(std::int64_t idle_timeout_ns) noexcept;  // idle_timeout_ns 0: none
  std::string_view help;                                // begins its entry in bulkhead.json(5)
};

// A new handler is a file in handlers/built_in/, declared above and entered here. The configuration's words, the plan,
// the titles and the tests of the documentation follow. Only the worker links the functions: the master uses the table
// at compile time.
inline constexpr std::array kBuiltIns{
    BuiltIn{"echo", serve<echo>, "Sends every line back exactly as received, regardless of its bytes and its length."},
    BuiltIn{"discard", serve<discard>, "Reads the input and discards it (RFC 863)."},
    BuiltIn{"daytime", serve<daytime>,
            "Sends one line with the date and the time, and closes the connection (RFC 867)."},
    BuiltIn{"chargen", serve<chargen>, "Sends lines of 72 characters until the client disconnects (RFC 864)."},
    BuiltIn{"time", serve<time>,
            "Sends the number of seconds since 1900-01-01 00:00 UTC as four bytes, most significant byte first, and "
            "closes the "
            "connection (RFC 868)."},
};

// The handler of that name; null: none.
[[nodiscard]] const BuiltIn* find_built_in(std::string_view name) noexcept;

// The parts of the above that depend on nothing, for tests.
inline constexpr std::size_t kDaytimeRoom = 64;
std::size_t daytime_text(std::int64_t unix_seconds, char* out) noexcept;
[[nodiscard]] std::uint32_t rfc868_seconds(std::int64_t unix_seconds) noexcept;

}  // namespace bulkhead::handlers
