#include <array>

#include "worker/handlers/built_in.h"

namespace bulkhead::handlers {

namespace {

constexpr std::size_t kCharacters = 95;  // ' ' to '~'
constexpr std::size_t kWidth = 72;
constexpr std::size_t kLine = kWidth + 2;

// The pattern repeats after as many lines as there are characters.
constexpr std::array<char, kCharacters * kLine> make_pattern() noexcept {
  std::array<char, kCharacters * kLine> out{};
  for (std::size_t line = 0; line < kCharacters; ++line) {
    for (std::size_t i = 0; i < kWidth; ++i) out[line * kLine + i] = static_cast<char>(' ' + (line + i) % kCharacters);
    out[line * kLine + kWidth] = '\r';
    out[line * kLine + kWidth + 1] = '\n';
  }
  return out;
}

constexpr auto kPattern = make_pattern();

}  // namespace

ipc::ExitCode chargen(Client& client) noexcept {
  while (client.write_and_discard(kPattern.data(), kPattern.size())) {
  }
  return client.how();
}

}  // namespace bulkhead::handlers
