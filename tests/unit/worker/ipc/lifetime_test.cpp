#include "worker/ipc/lifetime.h"

#include <catch2/catch.hpp>

namespace bulkhead::ipc {

TEST_CASE(
    "a connection whose max_lifetime is over gets its stop signal, and KILL after shutdown, and nothing after that") {
  const Overdue first = next_overdue(Lifetime::going_on, 100, 30, SIGINT);
  CHECK(first.lifetime == Lifetime::terminated);
  CHECK(first.signal == SIGINT);
  CHECK(first.deadline_ns == 130);
  const Overdue second = next_overdue(first.lifetime, first.deadline_ns, 30, SIGINT);
  CHECK(second.lifetime == Lifetime::killed);
  CHECK(second.signal == SIGKILL);
  CHECK(second.deadline_ns == 0);
}

}  // namespace bulkhead::ipc
