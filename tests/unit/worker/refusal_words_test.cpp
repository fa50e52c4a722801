// The words of a refusal say no more of an address than the log may show.
#include "worker/refusal_words.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>

#include "worker/admission/pipeline.h"

namespace bulkhead::worker {
namespace {

using log::Addresses;

ipc::Peer client() {
  ipc::Peer peer;
  peer.family = AF_INET;
  REQUIRE(inet_pton(AF_INET, "192.0.2.77", peer.address) == 1);
  return peer;
}

std::string denial(std::uint32_t length, std::uint32_t rule, Addresses shown) {
  return std::string(denial_words(client(), length, rule, shown).view());
}

TEST_CASE("a network that denies is named if it may be shown") {
  CHECK(denial(32, admission::kNoRule, Addresses::full) == "deny contains 192.0.2.77/32");
  CHECK(denial(32, admission::kNoRule, Addresses::prefix) == "deny contains the address");
  CHECK(denial(24, admission::kNoRule, Addresses::prefix) == "deny contains 192.0.2.0/24");
  CHECK(denial(25, 3, Addresses::prefix) == "rule 3 denies the address");
  CHECK(denial(8, 3, Addresses::prefix) == "rule 3 denies 192.0.0.0/8");
  CHECK(denial(8, 3, Addresses::none) == "rule 3 denies the address");
  CHECK(denial(admission::kNoNetwork, admission::kNoRule, Addresses::none) == "allow does not contain the address");
}

TEST_CASE("the source of a limit is cut, or left out") {
  ipc::Demand demand;
  demand.source.key = ipc::source_of(client(), 32, 64);
  demand.source.max_connections = 3;
  const auto words = [&](Addresses shown) {
    return std::string(source_words(ipc::Refusal::per_source, demand, {}, admission::kNoRule, shown).view());
  };
  CHECK(words(Addresses::full) == "max_connections_per_source is 3, source 192.0.2.77/32");
  CHECK(words(Addresses::prefix) == "max_connections_per_source is 3, source 192.0.2.0/24");
  CHECK(words(Addresses::none) == "max_connections_per_source is 3");
}

}  // namespace
}  // namespace bulkhead::worker
