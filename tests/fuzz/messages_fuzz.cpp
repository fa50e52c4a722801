// Bytes as a packet from either side. What is taken for a message is one whose bytes are these again.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <variant>

#include "worker/ipc/packet.h"

namespace {

using namespace bulkhead::ipc;

void require(bool condition) {
  if (!condition) std::abort();
}

template <class Message>
void take(const Packet& packet) {
  Message message;
  if (!decode(packet, message)) return;
  const Packet again = std::visit([](const auto& one) { return packet_of(one); }, message);
  require(again.size == packet.size && std::memcmp(again.bytes, packet.bytes, again.size) == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Packet packet;
  packet.size = std::min(size, kMaxPacket);
  if (packet.size != 0) std::memcpy(packet.bytes, data, packet.size);
  take<Up>(packet);
  take<Down>(packet);
  (void)foreign_hello(packet);
  return 0;
}
