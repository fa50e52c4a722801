// Ranges of users, and the listeners that take one of them.
#include <catch2/catch.hpp>
#include <string>

#include "tests/unit/config/fake_host.h"
#include "tests/unit/config/shapes.h"

namespace bulkhead::config {
namespace {

constexpr const char* kEcho = R"({"id":"a","type":"listener","listen":"1","handler":"echo"})";
constexpr const char* kModule = R"({"id":"a","type":"listener","listen":"1","handler":{"module":"/bin/cat"}})";
constexpr const char* kTwo = R"({"id":"a","type":"listener","listen":"1","handler":"echo","user":{"pool":"7-7"}},
 {"id":"b","type":"listener","listen":"2","handler":"echo","user":{"pool":"7-7"}})";

std::string with_pool(const std::string& pool, const std::string& children) {
  return R"({"daemon":{"uid_pool":")" + pool + R"("},"supervisor":{"children":[)" + children + "]}}";
}

Loaded read(const std::string& text, const Host& host) {
  return parse(text, "t.json", "/etc", host);
}

std::optional<Identity> identity_of(const std::string& text, const Host& host) {
  const Loaded loaded = read(text, host);
  INFO(texts(loaded));
  REQUIRE(loaded.config);
  return child_keys_of(loaded.config->root.children.front())->identity;
}

TEST_CASE("a range is two numbers, the first not above the last, neither root nor -1") {
  CHECK(parse_uid_range("700000-765535") == UidRange{700'000, 765'535});
  CHECK(parse_uid_range("1-4294967294") == UidRange{1, 4'294'967'294});
  CHECK(parse_uid_range("7-7") == UidRange{7, 7});
  for (const char* wrong : {"", "-", "7", "7-", "-7", "0-7", "8-7", "1-4294967295", "1-4294967296", "1-2-3", " 1-2",
                            "1 - 2", "+1-2", "0x1-2", "a-b", "none"}) {
    INFO(wrong);
    CHECK_FALSE(parse_uid_range(wrong));
  }
  CHECK(text_of({700'000, 765'535}) == "700000-765535");
  CHECK(text_of(kDefaultUidPool) == "1900000000-1900065535");
}

struct Row {
  UsersAndGroups files;
  std::string why;
};

TEST_CASE("a range that something else gives out is no pool") {
  const std::string all = "         0          0 4294967295\n";
  const Row rows[] = {{{}, ""},
                      {{{"root:x:0:0::/root:/bin/sh\nbob:x:99:100::/:\n", "bob:1:99\n", all}, {"", "", all}}, ""},
                      {{{"bob:x:100:1::/:/bin/sh\n", "", ""}, {}}, "100 is the user bob of /etc/passwd"},
                      {{{"a:x:1:1::/:\neve:x:199:1::/:", "", ""}, {}}, "199 is the user eve of /etc/passwd"},
                      {{{}, {"staff:x:150:bob\n", "", ""}}, "150 is the group staff of /etc/group"},
                      {{{"", "bob:1:100\n", ""}, {}}, "it overlaps 1 to 100 of bob in /etc/subuid"},
                      {{{"", "bob:199:1\n", ""}, {}}, "it overlaps 199 to 199 of bob in /etc/subuid"},
                      {{{"", "bob:1:4294967295\n", ""}, {}}, "it overlaps 1 to 4294967295 of bob in /etc/subuid"},
                      {{{"", "bob:200:10\nbob:1:99\nbob:150:0\nnonsense\nbob:x:y\n", ""}, {}}, ""},
                      {{{}, {"", "bob:120:5\n", ""}}, "it overlaps 120 to 124 of bob in /etc/subgid"},
                      {{{"", "", "0 1000 1\n"}, {}}, "100 is not mapped in this user namespace (/proc/self/uid_map)"},
                      {{{"", "", "0 1000 150\n"}, {}}, "150 is not mapped in this user namespace (/proc/self/uid_map)"},
                      {{{"", "", "150 5000 50\n0 1000 150\n"}, {}}, ""},
                      {{{}, {"", "", "0 1000 199\n"}}, "199 is not mapped in this user namespace (/proc/self/gid_map)"},
                      {{{"bob:x:not:1::/:\nshort:x\n:::\n", "", all}, {}}, ""}};
  for (const Row& row : rows) {
    INFO(row.why);
    CHECK(why_not_a_pool({100, 199}, row.files) == row.why);
  }
}

TEST_CASE("without a user, built-in handlers and modules get one of the daemon's pool") {
  for (const char* child : {kEcho, kModule}) {
    const auto identity = identity_of(with_pool("5000-5009", child), FakeHost());
    REQUIRE((identity && identity->pool));
    CHECK(identity->pool->range == UidRange{5000, 5009});
    CHECK(identity->pool->gives_group);
    CHECK_FALSE(identity->pool->assigned);
    CHECK(identity->groups.empty());
  }
  const auto identity = identity_of(file_of(Shape::child, kEcho), FakeHost());
  REQUIRE((identity && identity->pool));
  CHECK(identity->pool->range == kDefaultUidPool);
}

TEST_CASE("an explicit group stays") {
  const auto identity = identity_of(
      file_of(Shape::child, R"({"id":"a","type":"listener","listen":"1","handler":"echo","group":"staff"})"),
      FakeHost());
  REQUIRE((identity && identity->pool));
  CHECK(identity->gid == 2000);
  CHECK_FALSE(identity->pool->gives_group);
}

TEST_CASE("without a pool, built-in handlers run as nobody and modules need a user") {
  const auto identity = identity_of(with_pool("none", kEcho), FakeHost());
  REQUIRE(identity);
  CHECK_FALSE(identity->pool);
  CHECK(identity->uid == 65534);
  CHECK(
      texts(read(with_pool("none", kModule), FakeHost())) ==
      "t.json:1:57: /supervisor/children/0: a module handler of a daemon started as root and without a uid_pool needs "
      "an explicit \"user\" (\"user\": \"root\" keeps root)");
}

TEST_CASE("a daemon that is not root has no pool") {
  FakeHost host(1000);
  host.files.users.map = "1000 1000 1\n";
  CHECK_FALSE(identity_of(file_of(Shape::child, kEcho), host));
  CHECK_FALSE(identity_of(with_pool("5000-5009", kEcho), host));
  const Loaded loaded = read(file_of(Shape::child, kEcho), host);
  CHECK(loaded.warnings.empty());
  CHECK(loaded.effective.find(R"("uid_pool": "none")") != std::string::npos);
}

TEST_CASE("the pool in effect is shown") {
  CHECK(read(file_of(Shape::child, kEcho), FakeHost()).effective.find(R"("uid_pool": "1900000000-1900065535")") !=
        std::string::npos);
  CHECK(read(with_pool("5000-5009", kEcho), FakeHost()).effective.find(R"("uid_pool": "5000-5009")") !=
        std::string::npos);
}

TEST_CASE("an explicit pool that cannot be given out is an error at its key") {
  FakeHost host;
  host.files.users.accounts = "bob:x:5003:1::/:/bin/sh\n";
  CHECK(texts(read(with_pool("5000-5009", kEcho), host)) ==
        "t.json:1:23: /daemon/uid_pool: 5000-5009 cannot be a pool: 5003 is the user bob of /etc/passwd");
  CHECK(texts(read(file_of(Shape::listener, R"("user":{"pool":"5000-5009"})"), host)) ==
        "t.json:2:16: /supervisor/children/0/user/pool: 5000-5009 cannot be a pool: 5003 is the user bob of "
        "/etc/passwd");
}

TEST_CASE("a default pool that cannot be given out is none, with one warning where it would be used") {
  FakeHost host;
  host.files.users.map = "0 100000 65536\n";
  const std::string two = std::string(kEcho) + R"(,{"id":"b","type":"listener","listen":"2","handler":"echo"})";
  const Loaded loaded = read(file_of(Shape::child, two), host);
  REQUIRE(loaded.config);
  CHECK(loaded.config->root.children.front().listener->child.identity->uid == 65534);
  REQUIRE(loaded.warnings.size() == 1);
  CHECK(loaded.warnings.front().text() ==
        "t.json:2:1: /supervisor/children/0: warning: no user of its own for a listener without \"user\": the default "
        "of daemon.uid_pool, 1900000000-1900065535, cannot be used: 1900000000 is not mapped in this user namespace "
        "(/proc/self/uid_map)");
  CHECK(loaded.effective.find(R"("uid_pool": "none")") != std::string::npos);
  const Loaded silent = read(file_of(Shape::child, R"({"id":"a","type":"listener","listen":"1","handler":"echo",
                                                       "user":"alice"})"),
                             host);
  CHECK(silent.warnings.empty());
}

TEST_CASE("a listener may have a pool of its own, with any handler") {
  const auto identity = identity_of(
      file_of(
          Shape::child,
          R"({"id":"a","type":"listener","listen":"1","handler":{"exec":["/bin/cat"]},"user":{"pool":"5000-5009"}})"),
      FakeHost());
  REQUIRE((identity && identity->pool));
  CHECK(identity->pool->range == UidRange{5000, 5009});
}

TEST_CASE("what is wrong with a pool as a user") {
  const auto told = [](Shape shape, const char* fragment, std::uint32_t uid = 0) {
    return texts(read(file_of(shape, fragment), FakeHost(uid)));
  };
  CHECK(told(Shape::listener, R"("user":{"pool":"9-8"})") ==
        "t.json:2:16: /supervisor/children/0/user/pool: expected a range of users such as \"700000-765535\", got the "
        "string \"9-8\"");
  CHECK(told(Shape::listener, R"("user":{})") ==
        "t.json:2:8: /supervisor/children/0/user: the key \"pool\" is missing");
  CHECK(told(Shape::listener, R"("user":{"pool":"8-9","poll":1})") ==
        "t.json:2:22: /supervisor/children/0/user/poll: unknown key \"poll\" in user; did you mean \"pool\"?");
  CHECK(told(Shape::process, R"("user":{"pool":"8-9"})") ==
        "t.json:2:8: /supervisor/children/0/user: a pool is for listeners: expected a name or a number in a string");
  CHECK(told(Shape::listener, R"("user":{"pool":"8-9"})", 1000) ==
        "t.json:2:8: /supervisor/children/0/user: only root can run it as another user; the daemon runs as user 1000");
}

TEST_CASE("a pool with fewer users than listeners is an error at the first listener for which it has none") {
  CHECK(texts(read(file_of(Shape::child, kTwo), FakeHost())) ==
        "t.json:3:2: /supervisor/children/1: the pool 7-7 has only 1 user, and this listener needs one more");
}

}  // namespace
}  // namespace bulkhead::config
