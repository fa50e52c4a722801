#include "worker/ipc/plan.h"

#include <sys/mman.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "worker/ipc/table/table.h"

using namespace bulkhead;

namespace {

using Change = void (*)(ipc::PlanHeader&);

sys::Fd sealed(
    const std::vector<std::string>& argv, Change change = [](ipc::PlanHeader&) {}) {
  ipc::PlanBuilder builder;
  builder.header.listener = 7;
  builder.header.listener_path = builder.strings({"root/echo"});
  builder.header.title = builder.strings({"worker echo/1"});
  builder.header.log_identity = builder.strings({"bulkhead"});
  builder.header.root = builder.strings({""});
  for (ipc::PlanStrings* paths :
       {&builder.header.sandbox.read, &builder.header.sandbox.write, &builder.header.sandbox.execute}) {
    *paths = builder.strings({"/usr"});
  }
  builder.header.directory = builder.strings({"/"});
  builder.header.left_out = builder.strings({});
  builder.header.socket_names = builder.strings({});
  builder.header.banner = builder.strings({""});
  builder.header.banner_fail = builder.strings({""});
  builder.header.refusal_words = builder.strings(std::vector<std::string>(ipc::kRefusals));
  for (const char* name : {"first", "second"}) {
    ipc::PlanHandler& handler = builder.header.handlers[builder.header.handler_count++];
    handler.kind = ipc::HandlerKind::exec;
    handler.name = builder.strings({name});
    handler.argv = builder.strings(argv);
    handler.environment = builder.strings({"NAME=" + std::string(name)});
  }
  change(builder.header);
  auto memfd = builder.seal();
  REQUIRE(memfd);
  return std::move(*memfd);
}

}  // namespace

TEST_CASE("a plan is read as it was built") {
  const sys::Fd memfd = sealed({"/bin/cat", "", "-u"});
  auto plan = ipc::Plan::map(memfd.get());
  REQUIRE(plan);
  CHECK(plan->header().listener == 7);
  CHECK(std::string(plan->string(plan->header().listener_path)) == "root/echo");
  REQUIRE(plan->header().handler_count == 2);
  CHECK(std::string(plan->string(plan->handler(1).name)) == "second");
  CHECK(std::string(plan->string(plan->handler(1).environment)) == "NAME=second");
  const auto argv = plan->vector(plan->handler(0).argv);
  REQUIRE(argv.size() == 4);
  CHECK(std::string(argv[0]) == "/bin/cat");
  CHECK(std::string(argv[1]).empty());
  CHECK(argv[3] == nullptr);
  CHECK(std::string(plan->string({})).empty());
}

TEST_CASE("a sealed plan can no longer be changed") {
  const sys::Fd memfd = sealed({});
  CHECK(write(memfd.get(), "x", 1) == -1);
  CHECK(ftruncate(memfd.get(), 0) == -1);
}

TEST_CASE("a plan that is cut short, or no plan, is refused") {
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

TEST_CASE("a plan with numbers out of range is refused") {
  const Change changes[] = {
      [](ipc::PlanHeader& header) { header.handler_count = 0; },
      [](ipc::PlanHeader& header) { header.handler_count = ipc::kMaxHandlers + 1; },
      [](ipc::PlanHeader& header) { header.handler_count = 3; },  // the third has no strings
      [](ipc::PlanHeader& header) { header.sockets = ipc::kMaxSockets + 1; },
      [](ipc::PlanHeader& header) { header.handlers[1].kind = ipc::HandlerKind::count_; },
      [](ipc::PlanHeader& header) { header.handlers[1].style = ipc::HandlerStyle::count_; },
      [](ipc::PlanHeader& header) { header.handlers[1].argv.offset = 0xffffffff; },
      [](ipc::PlanHeader& header) { header.handlers[1].environment.count = 100; },
  };
  for (const Change change : changes) {
    INFO("change " << &change - changes);
    CHECK_FALSE(ipc::Plan::map(sealed({}, change).get()));
  }
}
