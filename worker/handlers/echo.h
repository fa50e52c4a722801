// The line echo: bytes up to and including each newline go back as they came, a last line without one at end of input.
#pragma once

namespace bulkhead::handlers {

// Serves one connection on blocking descriptors until the client is done, or gone: both are a normal end. Any byte
// value; a line of any length in 64 KiB of stack; a slow reader blocks only this process. Returns the exit status.
[[nodiscard]] int echo(int in, int out) noexcept;

}  // namespace bulkhead::handlers
