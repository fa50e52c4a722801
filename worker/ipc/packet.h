// A message as bytes: the type word, then exactly the bytes of its struct (nothing for one without members). Neither
// allocates nor throws; safe between fork and exec.
#pragma once

#include <cstddef>
#include <cstring>
#include <optional>
#include <type_traits>
#include <variant>

#include "worker/ipc/message.h"

namespace bulkhead::ipc {

inline constexpr std::size_t kMaxPacket = 256;

struct Packet {
  char bytes[kMaxPacket];
  std::size_t size = 0;
};

template <class T, class Variant>
inline constexpr bool kIsOneOf = false;
template <class T, class... Each>
inline constexpr bool kIsOneOf<T, std::variant<Each...>> = (std::is_same_v<T, Each> || ...);
template <class T>
concept Message = kIsOneOf<T, Down> || kIsOneOf<T, Up>;

template <Message T>
inline constexpr std::size_t kPacketSize = sizeof(MessageType) + (std::is_empty_v<T> ? 0 : sizeof(T));

template <Message T>
[[nodiscard]] Packet packet_of(const T& message) noexcept {
  static_assert(kPacketSize<T> <= kMaxPacket);
  static_assert(std::is_trivially_copyable_v<T>);
  static_assert(std::is_empty_v<T> || std::has_unique_object_representations_v<T>, "padding would carry old memory");
  Packet out;
  std::memcpy(out.bytes, &T::kType, sizeof T::kType);
  if constexpr (!std::is_empty_v<T>) std::memcpy(out.bytes + sizeof T::kType, &message, sizeof message);
  out.size = kPacketSize<T>;
  return out;
}

// Nothing where the packet is not this message, or a value in it is out of range.
template <Message T>
[[nodiscard]] std::optional<T> message_in(const Packet& packet) noexcept {
  T out;
  if (packet.size != kPacketSize<T> || std::memcmp(packet.bytes, &T::kType, sizeof T::kType) != 0) return std::nullopt;
  if constexpr (!std::is_empty_v<T>) std::memcpy(&out, packet.bytes + sizeof T::kType, sizeof out);
  if constexpr (requires { out.in_range(); }) {
    if (!out.in_range()) return std::nullopt;
  }
  return out;
}

// Finds which of these messages the packet is. False: malformed, and `out` is unchanged.
template <Message... Each>
[[nodiscard]] bool decode(const Packet& packet, std::variant<Each...>& out) noexcept {
  const auto take = [&out](const auto& found) {
    if (found) out = *found;
    return found.has_value();
  };
  return (take(message_in<Each>(packet)) || ...);
}

// A Hello of another version, of which nothing but the version is known.
[[nodiscard]] inline std::optional<Hello> foreign_hello(const Packet& packet) noexcept {
  Hello out;
  if (packet.size < sizeof Hello::kType + sizeof out.version) return std::nullopt;
  if (std::memcmp(packet.bytes, &Hello::kType, sizeof Hello::kType) != 0) return std::nullopt;
  std::memcpy(&out.version, packet.bytes + sizeof Hello::kType, sizeof out.version);
  return out.version != kProtocolVersion ? std::optional(out) : std::nullopt;
}

}  // namespace bulkhead::ipc
