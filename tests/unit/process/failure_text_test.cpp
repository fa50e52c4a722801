#include "master/process/failure_text.h"

#include <catch2/catch.hpp>
#include <cerrno>

namespace bulkhead::process {

TEST_CASE("a failure is told by its step, its detail and its errno") {
  CHECK(failure_text(ipc::Stage::directory, ENOENT) == "failed while changing directory: No such file or directory");
  CHECK(failure_text(ipc::Stage::directory, ENOENT, "/srv") ==
        "failed while changing directory: /srv: No such file or directory");
  CHECK(failure_text(ipc::Stage::directory, 0, "/srv") == "failed while changing directory: /srv");
  CHECK(failure_text(ipc::Stage::directory, 9999) == "failed while changing directory: unknown error");
}

}  // namespace bulkhead::process
