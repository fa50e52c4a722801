// Bytes as a network. The result is either a sentence of one line, or a network without bits beyond its prefix whose
// text means the same network; an address in it is found in the compiled form, the addresses just before and after it
// are not.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "master/config/network.h"
#include "worker/admission/prefix_map.h"

namespace {

using bulkhead::config::Network;
using namespace bulkhead::admission;

void require(bool condition) {
  if (!condition) std::abort();
}

Address neighbour(const Network& network, bool behind) {
  Address out{network.v6, network.high, network.low};
  if (!behind) {
    if (out.low-- == 0) --out.high;
    return out;
  }
  const std::uint32_t beyond = (network.v6 ? 128 : 32) - network.length;
  if (beyond >= 64) {
    out.high += beyond == 128 ? 0 : std::uint64_t{1} << (beyond - 64);
    return out;
  }
  const std::uint64_t step = std::uint64_t{1} << beyond;
  out.low += step;
  if (out.low < step) ++out.high;
  return out;
}

void check_found(const Network& network) {
  const std::vector<Prefix> one{{{network.v6, network.high, network.low}, network.length, 1}};
  const auto v4 = compile(one, false, 0);
  const auto v6 = compile(one, true, 0);
  const PrefixMap map{v4, v6, 0};
  require(map.find({network.v6, network.high, network.low}).value == 1);
  require(map.find({!network.v6, network.high, network.low}).value == 0);
  if (network.length == 0) return;  // all addresses: it has no neighbours
  const std::uint64_t last = network.v6 ? ~std::uint64_t{0} : 0xffffffffU;
  const Address before = neighbour(network, false);
  const Address behind = neighbour(network, true);
  if (network.high != 0 || network.low != 0) require(map.find(before).value == 0);
  const bool none_behind = network.v6 ? behind.high == 0 && behind.low == 0 : behind.low > last;
  if (!none_behind) require(map.find(behind).value == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // The only place where bytes become characters.
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto parsed = bulkhead::config::parse_network(text);
  if (const auto* problem = std::get_if<std::string>(&parsed)) {
    require(!problem->empty() && problem->find('\n') == std::string::npos);
    return 0;
  }
  const auto& network = std::get<Network>(parsed);
  const auto again = bulkhead::config::parse_network(network.text);
  const auto* same = std::get_if<Network>(&again);
  require(same != nullptr && *same == network && same->text == network.text);
  check_found(network);
  return 0;
}
