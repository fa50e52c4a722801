// The words of an enum, one list for both directions. The enumerators must count from 0 without a gap; the list must
// have as many words as the enum has values, or it does not compile.
//
//   enum class Colour { red, green, count_ };
//   inline constexpr EnumWords<Colour> kColourWords{"red", "green"};
//
// An enum without `count_` names its last enumerator: EnumWords<Level, up_to(Level::error)>.
// Every word is a string literal, so that text().data() ends in a NUL. Allocates nothing, pure.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string_view>

namespace bulkhead::sys {

template <class Enum>
[[nodiscard]] constexpr std::size_t up_to(Enum last) noexcept {
  return static_cast<std::size_t>(last) + 1;
}

template <class Enum, std::size_t kCount = static_cast<std::size_t>(Enum::count_)>
class EnumWords {
 public:
  template <class... Words>
  explicit constexpr EnumWords(const Words&... words) noexcept : words_{std::string_view(words)...} {
    static_assert(sizeof...(Words) == kCount, "one word for each enumerator");
  }

  // `fallback` for a value that is not one of the enum's, as another process may send.
  [[nodiscard]] constexpr std::string_view text(Enum value, std::string_view fallback = "") const noexcept {
    const auto index = static_cast<std::size_t>(value);
    return index < kCount ? words_[index] : fallback;
  }
  [[nodiscard]] constexpr std::optional<Enum> find(std::string_view word) const noexcept {
    for (std::size_t i = 0; i < kCount; ++i) {
      if (words_[i] == word) return static_cast<Enum>(i);
    }
    return std::nullopt;
  }

  // The words in the order of the enumerators.
  [[nodiscard]] constexpr auto begin() const noexcept { return words_.begin(); }
  [[nodiscard]] constexpr auto end() const noexcept { return words_.end(); }
  [[nodiscard]] static constexpr std::size_t size() noexcept { return kCount; }

 private:
  std::array<std::string_view, kCount> words_;
};

template <const auto& kWords, std::size_t kCount>
[[nodiscard]] constexpr std::size_t joined_length() noexcept {
  std::size_t length = kCount - 1;
  for (std::size_t i = 0; i < kCount; ++i) length += kWords.begin()[i].size();
  return length;
}
template <const auto& kWords, std::size_t kCount>
inline constexpr auto kJoined = [] {
  std::array<char, joined_length<kWords, kCount>()> out{};
  std::size_t at = 0;
  for (std::size_t i = 0; i < kCount; ++i) {
    if (i != 0) out[at++] = '|';
    for (const char c : kWords.begin()[i]) out[at++] = c;
  }
  return out;
}();
// The first `kCount` words of a list as "one|two|three".
template <const auto& kWords, std::size_t kCount = kWords.size()>
inline constexpr std::string_view joined{kJoined<kWords, kCount>.data(), kJoined<kWords, kCount>.size()};

}  // namespace bulkhead::sys
