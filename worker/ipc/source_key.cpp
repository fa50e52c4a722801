#include "worker/ipc/source_key.h"

#include <sys/socket.h>

#include <algorithm>
#include <bit>
#include <cstring>

namespace bulkhead::ipc {

namespace {

constexpr std::uint32_t kUserBits = 32;

void cut(std::uint8_t* address, std::uint32_t bits) noexcept {
  for (std::uint32_t i = 0; i < 16; ++i) {
    const std::uint32_t kept = std::min(8U, bits > i * 8 ? bits - i * 8 : 0);
    address[i] = static_cast<std::uint8_t>(address[i] & (0xff00U >> kept));
  }
}

struct Sip {
  std::uint64_t v0, v1, v2, v3;

  void round() noexcept {
    v0 += v1;
    v1 = std::rotl(v1, 13) ^ v0;
    v0 = std::rotl(v0, 32);
    v2 += v3;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 += v3;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 += v1;
    v1 = std::rotl(v1, 17) ^ v2;
    v2 = std::rotl(v2, 32);
  }
  void take(std::uint64_t word) noexcept {
    v3 ^= word;
    round();
    round();
    v0 ^= word;
  }
};

}  // namespace

SourceKey source_of(const Peer& peer, std::uint32_t prefix4, std::uint32_t prefix6) noexcept {
  SourceKey key;
  key.family = peer.family;
  switch (peer.family) {
    case AF_INET:
      key.bits = static_cast<std::uint16_t>(std::min(prefix4, 32U));
      std::memcpy(key.address, peer.address, 4);
      break;
    case AF_INET6:
      key.bits = static_cast<std::uint16_t>(std::min(prefix6, 128U));
      std::memcpy(key.address, peer.address, 16);
      break;
    case AF_UNIX:
      key.bits = kUserBits;
      for (std::uint32_t i = 0; i < 4; ++i) key.address[i] = static_cast<std::uint8_t>(peer.uid >> (24 - 8 * i));
      break;
    default: return {};
  }
  cut(key.address, key.bits);
  return key;
}

SourceKey shown_prefix(SourceKey source) noexcept {
  if (source.family == AF_UNIX) return source;
  const std::uint32_t most = source.family == AF_INET ? kShown4 : kShown6;
  source.bits = static_cast<std::uint16_t>(std::min<std::uint32_t>(source.bits, most));
  cut(source.address, source.bits);
  return source;
}

bool within(const SourceKey& source, const SourceKey& prefix) noexcept {
  if (source.family != prefix.family || source.bits < prefix.bits) return false;
  SourceKey wider = source;
  wider.bits = prefix.bits;
  cut(wider.address, prefix.bits);
  return wider == prefix;
}

SourceText::SourceText(const SourceKey& key) noexcept {
  if (key.family == AF_UNIX) {
    std::uint32_t uid = 0;
    for (std::uint32_t i = 0; i < 4; ++i) uid = uid << 8 | key.address[i];
    constexpr std::string_view kUser = "unix:uid=";
    std::memcpy(text_, kUser.data(), kUser.size());
    length_ = kUser.size() + decimal_text(uid, text_ + kUser.size());
    return;
  }
  Peer peer;
  peer.family = key.family;
  std::memcpy(peer.address, key.address, sizeof key.address);
  length_ = address_text(peer, text_);
  text_[length_++] = '/';
  length_ += decimal_text(key.bits, text_ + length_);
}

std::uint64_t siphash(const HashKey& key, const unsigned char* bytes, std::size_t count) noexcept {
  Sip sip{key.words[0] ^ 0x736f6d6570736575, key.words[1] ^ 0x646f72616e646f6d, key.words[0] ^ 0x6c7967656e657261,
          key.words[1] ^ 0x7465646279746573};
  std::size_t at = 0;
  for (; at + 8 <= count; at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes + at, 8);
    sip.take(word);
  }
  std::uint64_t last = std::uint64_t{count} << 56;
  for (std::size_t i = 0; at + i < count; ++i) last |= std::uint64_t{bytes[at + i]} << (8 * i);
  sip.take(last);
  sip.v2 ^= 0xff;
  for (int i = 0; i < 4; ++i) sip.round();
  return sip.v0 ^ sip.v1 ^ sip.v2 ^ sip.v3;
}

std::uint64_t hash_of(const HashKey& key, const SourceKey& source) noexcept {
  unsigned char bytes[sizeof source];
  std::memcpy(bytes, &source, sizeof source);
  return siphash(key, bytes, sizeof bytes);
}

}  // namespace bulkhead::ipc
