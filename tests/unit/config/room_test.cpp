// Values beyond the limits of the system: an explicit one is an error, a default is lowered to fit, with a remark.
#include <algorithm>
#include <catch2/catch.hpp>
#include <string>
#include <utility>

#include "master/config/descriptor_need.h"
#include "tests/unit/config/fake_host.h"
#include "tests/unit/config/shapes.h"

namespace bulkhead::config {
namespace {

constexpr std::string_view kWhy = "each is a process, and RLIMIT_NPROC is ";

struct Row {
  const char* name;
  std::uint32_t processes;  // limit for users other than root; 0: no limit
  std::string_view keys;
  std::uint32_t workers;          // the values after loading
  std::uint32_t max_connections;  // 0: the configuration has errors
  const char* told;               // remarks or errors, without kWhy and the text after it
};

constexpr Row kRows[] = {
    {"no limit", 0, R"("workers":2)", 2, 1024, ""},
    {"all that is needed", 1027, R"("workers":2)", 2, 1024, ""},
    {"one too few", 1026, R"("workers":2)", 2, 1023, "max_connections 1024 is lowered to 1023"},
    {"one is left", 4, R"("workers":2)", 2, 1, "max_connections 1024 is lowered to 1"},
    {"default workers", 5, R"("workers":"auto")", 3, 1,
     "workers 4 is lowered to 3; max_connections 1024 is lowered to 1"},
    {"hardly any", 1, R"("workers":"auto")", 1, 1, "workers 4 is lowered to 1; max_connections 1024 is lowered to 1"},
    {"explicit, exactly what fits", 100, R"("workers":2,"max_connections":97)", 2, 97, ""},
    {"explicit and one too many", 100, R"("workers":2,"max_connections":98)", 0, 0,
     "f:2:31: /supervisor/children/0/max_connections: expected at most 97"},
    {"explicit workers", 5, R"("workers":4,"max_connections":1)", 0, 0,
     "f:2:11: /supervisor/children/0/workers: expected at most 3"},
    {"root is exempt", 5, R"("workers":2,"user":"root")", 2, 1024, ""},
};

// Turns "a: why; b: why" into "a; b".
std::string without_why(std::string text) {
  for (std::size_t at = 0; (at = text.find(": " + std::string(kWhy))) != std::string::npos;) {
    const std::size_t end = std::min(text.find_first_of(";\n", at), text.size());
    text.erase(at, end - at);
  }
  return text;
}

TEST_CASE("each connection is a process") {
  for (const Row& row : kRows) {
    INFO(row.name);
    FakeHost host;
    host.processes = row.processes;
    const Loaded loaded = parse(file_of(Shape::listener, row.keys), "f", "/etc", host);
    if (row.max_connections == 0) {
      CHECK(without_why(texts(loaded)) == row.told);
      CHECK(texts(loaded).ends_with("(raise it by ulimit -u)"));
      continue;
    }
    REQUIRE(loaded.config);
    const Listener& listener = *loaded.config->root.children.front().listener;
    CHECK(listener.workers == row.workers);
    CHECK(listener.max_connections == row.max_connections);
    CHECK(loaded.effective.find("\"max_connections\": " + std::to_string(row.max_connections)) != std::string::npos);
    std::string told;
    for (const std::string& remark : listener.remarks) told += (told.empty() ? "" : "; ") + remark;
    CHECK(without_why(told) == row.told);
  }
}

struct Headers {
  const char* keys;
  std::uint64_t limit;
  std::uint32_t share;  // of one worker
  std::uint32_t room;
  std::uint64_t need;
};

TEST_CASE("PROXY headers in progress need descriptors in the workers") {
  const Headers rows[] = {
      {R"("workers":2,"max_connections":1000)", 400, 500, 16, 384},
      {R"("workers":2,"max_connections":1001,"proxy_protocol":"v1")", 1024, 501, 501, 885},
      {R"("workers":1,"max_connections":1000,"proxy_protocol":"auto")", 1384, 1000, 1000, 1384},
      {R"("workers":1,"max_connections":1000,"proxy_protocol":"auto")", 1383, 1000, 999, 1384},
      {R"("workers":1,"max_connections":1000,"proxy_protocol":"v2")", 100, 1000, 16, 1384},
      {R"("workers":1,"max_connections":3,"proxy_protocol":"v2")", 0, 3, 3, 387},
  };
  for (const Headers& row : rows) {
    INFO(row.keys << " " << row.limit);
    FakeHost host;
    host.descriptors = std::max<std::uint64_t>(row.limit, 60);
    const Loaded loaded = parse(file_of(Shape::listener, row.keys), "f", "/etc", host);
    REQUIRE(loaded.config);
    const Listener& listener = *loaded.config->root.children.front().listener;
    CHECK(header_share(listener) == row.share);
    CHECK(header_room(listener, row.limit) == row.room);
    CHECK(worker_need(listener) == row.need);
    const bool reads_headers = listener.proxy.protocol != ProxyProtocol::off;
    CHECK(listener.remarks.size() == (reads_headers && row.room < row.share ? 1 : 0));
  }
}

TEST_CASE("listeners, workers and processes need descriptors in the master") {
  const std::pair<const char*, std::uint64_t> rows[] = {
      {R"({"id":"a","type":"listener","listen":"1","handler":"echo","workers":3})", 32 + 1 + 2 + 3 * 2},
      {R"({"id":"a","type":"listener","listen":["1","2"],"handler":{"exec":["/bin/cat"]},"user":"root","workers":3})",
       32 + 2 + 2 + 3 * 4},
      {R"({"id":"s","type":"supervisor","children":[{"id":"p","type":"process","argv":["/bin/sh"]}]})", 32 + 4},
  };
  for (const auto& [child, need] : rows) {
    INFO(child);
    FakeHost host;
    host.descriptors = need;
    const Loaded good = parse(file_of(Shape::child, child), "f", "/etc", host);
    REQUIRE(good.config);
    CHECK(master_need(good.config->root).descriptors == need);
    host.descriptors = need - 1;
    const Loaded bad = parse(file_of(Shape::child, child), "f", "/etc", host);
    CHECK(texts(bad).starts_with("f:1:15: /supervisor: "));
    CHECK(
        texts(bad).ends_with(std::to_string(need - 1) + " (raise it by ulimit -n, or LimitNOFILE= of a systemd unit)"));
  }
}

TEST_CASE("a configuration in effect is never refused for lack of room") {
  const Loaded loaded = parse(file_of(Shape::listener, R"("max_connections":1000000)"), "f", "/etc", patient_host());
  CHECK(texts(loaded).empty());
}

}  // namespace
}  // namespace bulkhead::config
