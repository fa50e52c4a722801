#include "master/net/gate.h"

#include <catch2/catch.hpp>
#include <vector>

namespace bulkhead::net {
namespace {

using Holder = Gate::Holder;

TEST_CASE("a gate is open until somebody holds it, and opens when the last one lets go") {
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

TEST_CASE("only a change is heard of") {
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
