#include "master/net/gate.h"

#include <catch2/catch.hpp>
#include <vector>

namespace bulkhead::net {
namespace {

using Holder = Gate::Holder;

TEST_CASE("a gate is closed while any hold exists, and opens with the last release") {
  Gate gate;
  CHECK(gate.accepting());
  gate.hold(Holder::operators);
  gate.hold(Holder::trial);
  gate.release(Holder::operators);
  CHECK_FALSE(gate.accepting());
  CHECK(gate.is_held_by(Holder::trial));
  gate.release(Holder::trial);
  CHECK(gate.accepting());
}

TEST_CASE("listeners of a gate are notified only of changes") {
  Gate gate;
  std::vector<bool> heard;
  gate.on_change([&heard](bool accepting) { heard.push_back(accepting); });
  gate.release(Holder::trial);
  gate.hold(Holder::operators);
  gate.hold(Holder::operators);
  gate.hold(Holder::ending);
  gate.release(Holder::operators);
  gate.release(Holder::ending);
  gate.release(Holder::ending);
  CHECK(heard == std::vector<bool>{false, true});
}

}  // namespace
}  // namespace bulkhead::net
