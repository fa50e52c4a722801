#include "worker/ipc/plan.h"

#include <sys/mman.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <string>

using namespace bulkhead;

namespace {

sys::Fd sealed(const std::vector<std::string>& argv) {
  ipc::PlanBuilder builder;
  builder.header.listener = 7;
  builder.strings(&ipc::PlanHeader::argv, argv);
  for (auto where : {&ipc::PlanHeader::environment, &ipc::PlanHeader::socket_names}) builder.strings(where, {});
  builder.strings(&ipc::PlanHeader::listener_path, {"root/echo"});
  builder.strings(&ipc::PlanHeader::title, {"worker echo/1"});
  builder.strings(&ipc::PlanHeader::handler_name, {"echo"});
  auto memfd = builder.seal();
  REQUIRE(memfd);
  return std::move(*memfd);
}

}  // namespace

TEST_CASE("A plan is read as it was built") {
  const sys::Fd memfd = sealed({"/bin/cat", "", "-u"});
  auto plan = ipc::Plan::map(memfd.get());
  REQUIRE(plan);
  CHECK(plan->header().listener == 7);
  CHECK(std::string(plan->string(plan->header().listener_path)) == "root/echo");
  const auto argv = plan->vector(plan->header().argv);
  REQUIRE(argv.size() == 4);
  CHECK(std::string(argv[0]) == "/bin/cat");
  CHECK(std::string(argv[1]).empty());
  CHECK(argv[3] == nullptr);
  CHECK(std::string(plan->string({})).empty());
}

TEST_CASE("A sealed plan cannot be changed any more") {
  const sys::Fd memfd = sealed({});
  CHECK(write(memfd.get(), "x", 1) == -1);
  CHECK(ftruncate(memfd.get(), 0) == -1);
}

TEST_CASE("A plan that is cut short, or no plan, is refused") {
  const sys::Fd whole = sealed({"/bin/cat"});
  std::string bytes(sizeof(ipc::PlanHeader) + 64, '\0');
  const ssize_t size = pread(whole.get(), bytes.data(), bytes.size(), 0);
  REQUIRE(size > 0);
  for (const ssize_t length : {ssize_t{0}, ssize_t{8}, size - 1}) {
    const sys::Fd memfd(memfd_create("test", MFD_CLOEXEC));
    REQUIRE(write(memfd.get(), bytes.data(), static_cast<std::size_t>(length)) == length);
    CHECK_FALSE(ipc::Plan::map(memfd.get()));
  }
}
