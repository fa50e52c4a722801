// The syntax of single values: durations, addresses, names; and limits of the system.
#include <catch2/catch.hpp>
#include <chrono>
#include <string>

#include "master/config/connection_variables.h"
#include "master/config/default_socket.h"
#include "master/config/duration.h"
#include "master/config/listen_address.h"
#include "master/config/nearest.h"
#include "master/config/option_table.h"
#include "master/config/paths.h"
#include "master/config/share.h"
#include "master/config/size.h"
#include "tests/unit/config/fake_host.h"
#include "tests/unit/config/shapes.h"

namespace bulkhead::config {
namespace {

using namespace std::chrono_literals;

TEST_CASE("durations are an integer and a unit") {
  const std::pair<const char*, Duration> good[] = {{"0s", 0s},       {"0ms", 0s},      {"1ms", 1ms},
                                                   {"250ms", 250ms}, {"5s", 5s},       {"2m", 2min},
                                                   {"1h", 1h},       {"8760h", 8760h}, {"9223372036s", 9223372036s}};
  for (const auto& [text, duration] : good) {
    INFO(text);
    CHECK(parse_duration(text) == duration);
  }
  for (const char* text : {"",     "s",  "5",    "5 s", " 5s", "5s ",   "+5s",  "-5s",      "05s", "00s", "1.5s",
                           "1e3s", "5S", "5sec", "5us", "1d",  "1h30m", "0x5s", "infinity", "５s", "5ms5"}) {
    INFO(text);
    CHECK_FALSE(parse_duration(text));
  }
}

TEST_CASE("a share of the workers is at least one, and a percentage is rounded up") {
  struct ShareOf {
    Share share;
    std::uint32_t whole;
    std::uint32_t expected;
  };
  for (const auto& [share, whole, expected] :
       {ShareOf{{10, true}, 1, 1}, ShareOf{{10, true}, 10, 1}, ShareOf{{10, true}, 11, 2}, ShareOf{{50, true}, 4, 2},
        ShareOf{{50, true}, 5, 3}, ShareOf{{100, true}, 256, 256}, ShareOf{{1, true}, 256, 3},
        ShareOf{{3, false}, 8, 3}, ShareOf{{256, false}, 8, 8}, ShareOf{{1, false}, 0, 1}}) {
    INFO(share.amount << (share.percent ? "% of " : " of ") << whole);
    CHECK(share_of(share, whole) == expected);
  }
  CHECK(parse_percentage("1%")->amount == 1);
  CHECK(parse_percentage("100%")->amount == 100);
  for (const char* text : {"", "%", "0%", "00%", "05%", "101%", "1000%", "10", "1.5%", " 5%", "5 %", "-5%", "+5%"}) {
    INFO(text);
    CHECK_FALSE(parse_percentage(text));
  }
}

TEST_CASE("a duration that is too long for the type becomes the longest one") {
  for (const char* text :
       {"9223372037s", "2562048h", "9223372036854775807h", "9223372036854775808ms", "99999999999999999999999s"}) {
    INFO(text);
    CHECK(*parse_duration(text) > 292 * 8760h);
  }
}

TEST_CASE("sizes are an integer and a unit of base 1024") {
  const std::pair<const char*, std::uint64_t> good[] = {{"0K", 0},
                                                        {"1K", 1024},
                                                        {"64K", 65536},
                                                        {"3M", 3145728},
                                                        {"1G", 1U << 30U},
                                                        {"2T", 2ULL << 40U},
                                                        {"16777215T", 16777215ULL << 40U}};
  for (const auto& [text, size] : good) {
    INFO(text);
    CHECK(parse_size(text) == size);
  }
  for (const char* text : {"", "K", "1", "01K", "1k", "1 K", " 1K", "1KB", "1.5K", "-1K", "+1K", "1KK", "0x1K", "1P"}) {
    INFO(text);
    CHECK_FALSE(parse_size(text));
  }
  for (const char* text : {"16777216T", "18446744073709551616G", "99999999999999999999999K"}) {
    INFO(text);
    CHECK(*parse_size(text) > 1ULL << 63U);
  }
  const std::pair<double, const char*> shown[] = {{0, "0"}, {1023, "1023"}, {4096, "\"4K\""}, {1 << 30, "\"1G\""}};
  for (const auto& [bytes, text] : shown) CHECK(size_text(bytes) == text);
}

TEST_CASE("durations are shown in their largest whole unit") {
  const std::pair<double, const char*> rows[] = {{0, "\"0s\""},       {1, "\"1ms\""},   {1500, "\"1500ms\""},
                                                 {5000, "\"5s\""},    {60e3, "\"1m\""}, {3600e3, "\"1h\""},
                                                 {kYear, "\"8760h\""}};
  for (const auto& [milliseconds, text] : rows) CHECK(duration_text(milliseconds) == text);
}

struct Address {
  const char* text;
  ListenAddress::Form form;
  const char* host;  // or the path, or the name
  int port;          // or the descriptor
};

TEST_CASE("every form of listen is read") {
  using enum ListenAddress::Form;
  const Address rows[] = {{"4040", ipv4, "0.0.0.0", 4040},
                          {"0", ipv4, "0.0.0.0", 0},
                          {"65535", ipv4, "0.0.0.0", 65535},
                          {"0.0.0.0:1", ipv4, "0.0.0.0", 1},
                          {"127.0.0.1:4040", ipv4, "127.0.0.1", 4040},
                          {"[::]:4040", ipv6, "::", 4040},
                          {"*:4040", ipv6, "::", 4040},
                          {"[::1]:0", ipv6, "::1", 0},
                          {"[0:0::0:1]:80", ipv6, "::1", 80},
                          {"[2001:DB8::A]:80", ipv6, "2001:db8::a", 80},
                          {"unix:/run/x.sock", unix_path, "/run/x.sock", 0},
                          {"unix:run/x.sock", unix_path, "/etc/run/x.sock", 0},
                          {"unix:./x:y.sock", unix_path, "/etc/x:y.sock", 0},
                          {"unix:@name", unix_abstract, "@name", 0},
                          {"unix:@/a b@", unix_abstract, "@/a b@", 0},
                          {"systemd:web.socket", systemd, "web.socket", 0},
                          {"systemd:a name", systemd, "a name", 0},
                          {"fd:0", descriptor, "", 0},
                          {"fd:1048575", descriptor, "", 1048575}};
  for (const Address& row : rows) {
    INFO(row.text);
    const auto parsed = parse_listen_address(row.text, "/etc");
    REQUIRE(std::holds_alternative<ListenAddress>(parsed));
    const auto& address = std::get<ListenAddress>(parsed);
    CHECK(address.text == row.text);
    CHECK(address.form == row.form);
    CHECK(address.host + address.path + address.name == row.host);
    CHECK((row.form == descriptor ? address.descriptor : address.port) == row.port);
  }
}

TEST_CASE("a text that is not an address is refused with a hint") {
  const std::string longest = "unix:/" + std::string(106, 'x');
  CHECK(std::holds_alternative<ListenAddress>(parse_listen_address(longest, "/")));
  const std::string longest_name = "unix:@" + std::string(107, 'x');
  CHECK(std::holds_alternative<ListenAddress>(parse_listen_address(longest_name, "/")));
  const char* no_name = "expected the name of a socket after \"systemd:\", 1 to 255 characters of ASCII without \":\"";
  const char* no_descriptor = "expected the number of a descriptor after \"fd:\", from 0 to 1048575";
  const std::pair<std::string, const char*> rows[] = {
      {"65536", "expected a port from 0 to 65535, got \"65536\""},
      {"04040", "expected a port from 0 to 65535, got \"04040\""},
      {"-1", "\"-1\" has no port; write \"ADDRESS:PORT\""},
      {"127.0.0.1", "\"127.0.0.1\" has no port; write \"ADDRESS:PORT\""},
      {"127.0.0.1:", "expected a port from 0 to 65535, got \"\""},
      {"127.0.0.1:no-such-service", "no TCP service \"no-such-service\" in /etc/services"},
      {"127.0.0.1:80-90", "expected a port from 0 to 65535, got \"80-90\""},
      {"udp:127.0.0.1:53",
       "UDP is not offered: bulkhead gives every connection a process of its own, and datagrams have no connection"},
      {"tcp:127.0.0.1:53", "write \"127.0.0.1:53\""},
      {"127.0.0.1: 80", "expected a port from 0 to 65535, got \" 80\""},
      {"127.0.0.1:+80", "expected a port from 0 to 65535, got \"+80\""},
      {"127.1:80", "\"127.1\" is not an IPv4 address; only numeric addresses are allowed"},
      {"127.0.0.01:80", "\"127.0.0.01\" is not an IPv4 address; only numeric addresses are allowed"},
      {"256.0.0.1:80", "\"256.0.0.1\" is not an IPv4 address; only numeric addresses are allowed"},
      {"0x7f.0.0.1:80", "\"0x7f.0.0.1\" is not an IPv4 address; only numeric addresses are allowed"},
      {"localhost:80", "\"localhost\" is not an IPv4 address; only numeric addresses are allowed"},
      {":80", "expected an address before \":\"; write \"80\" for all IPv4 addresses"},
      {"::1:80", "an IPv6 address must be in brackets: \"[::1]:80\""},
      {"[::1]", "expected an IPv6 address as \"[ADDRESS]:PORT\""},
      {"[::1", "expected an IPv6 address as \"[ADDRESS]:PORT\""},
      {"[::1]80", "expected an IPv6 address as \"[ADDRESS]:PORT\""},
      {"[::1]:", "expected a port from 0 to 65535, got \"\""},
      {"[::g]:80", "\"::g\" is not an IPv6 address"},
      {"[]:80", "\"\" is not an IPv6 address"},
      {"[127.0.0.1]:80", "\"127.0.0.1\" is not an IPv6 address"},
      {"[fe80::1%eth0]:80", "addresses with a scope such as \"%eth0\" are not supported"},
      {"[::ffff:1.2.3.4]:80", "write the IPv4 address itself: \"1.2.3.4:80\""},
      {"unix:", "expected a path or \"@\" and a name after \"unix:\""},
      {"unix:/run/", "expected the path of a socket, got the path of a directory"},
      {"unix:@", "expected a name after \"unix:@\""},
      {longest_name + "x", "the name of an abstract socket may have at most 107 bytes, this one has 108"},
      {longest + "x", "the path of a Unix socket may have at most 107 bytes, this one has 108"},
      {"systemd:", no_name},
      {"systemd:a:b", no_name},
      {"systemd:a\tb", no_name},
      {"systemd:" + std::string(256, 'x'), no_name},
      {"fd:", no_descriptor},
      {"fd:03", no_descriptor},
      {"fd:-1", no_descriptor},
      {"fd:+3", no_descriptor},
      {"fd:3 ", no_descriptor},
      {"fd:1048576", no_descriptor},
      {"fd:4294967299", no_descriptor},
      {std::string("127.0.0.1\0:80", 13), "an address may not contain U+0000"},
      {"/run/x.sock", "a Unix socket is written \"unix:\" and its path: \"unix:/run/x.sock\""}};
  for (const auto& [text, problem] : rows) {
    INFO(text);
    const auto parsed = parse_listen_address(text, "/etc");
    REQUIRE(std::holds_alternative<std::string>(parsed));
    CHECK(std::get<std::string>(parsed) == problem);
  }
}

// An address and the other keys that decide which addresses can be bound together.
struct Bound {
  const char* text;
  const char* device;
  bool ipv6only;
  // NOLINTNEXTLINE(google-explicit-constructor): most rows are addresses alone
  Bound(const char* text_of_it, const char* device_of_it = "", bool only = false)
      : text(text_of_it), device(device_of_it), ipv6only(only) {}

  [[nodiscard]] ListenAddress address() const {
    auto out = std::get<ListenAddress>(parse_listen_address(text, "/"));
    out.device = device;
    out.ipv6only = ipv6only;
    return out;
  }
  [[nodiscard]] std::string listener(const char* id) const {
    std::string out = R"({"id":")" + std::string(id) + R"(","type":"listener","handler":"echo")";
    if (*device != '\0') out += R"(,"device":")" + std::string(device) + "\"";
    if (ipv6only) out += R"(,"ipv6only":true)";
    return out + R"(,"listen":["127.0.0.)" + id + R"(:9","[::)" + id + R"(]:9",")" + text + "\"]}";
  }
};

// Whether a file that listens on `first` and then on `second` is refused because of the second.
bool both_refused(const Bound& first, const Bound& second) {
  const Loaded loaded =
      parse(file_of(Shape::child, first.listener("3") + "," + second.listener("4")), "a.json", "/", FakeHost());
  return !loaded.problems.empty() && loaded.problems[0].pointer == "/supervisor/children/1/listen/2";
}

TEST_CASE("two addresses collide when both cannot be bound") {
  struct Pair {
    Bound a;
    Bound b;
    bool collide;
  };
  const Pair rows[] = {{"80", "80", true},
                       {"80", "0.0.0.0:80", true},
                       {"80", "81", false},
                       {"80", "127.0.0.1:80", true},
                       {"127.0.0.1:80", "127.0.0.2:80", false},
                       {"[::]:80", "80", true},
                       {"[::]:80", "127.0.0.1:80", true},
                       {"[::]:80", "[::1]:80", true},
                       {"[::1]:80", "80", false},
                       {"[::1]:80", "[0::1]:80", true},
                       {"0", "0", false},
                       {"unix:/a", "unix:/a", true},
                       {"unix:/a", "unix:/b", false},
                       {"unix:/a", "80", false},
                       {"unix:@a", "unix:@a", true},
                       {"unix:@a", "unix:@b", false},
                       {"unix:@/a", "unix:/a", false},
                       {"systemd:a", "systemd:a", true},
                       {"systemd:a", "systemd:b", false},
                       {"systemd:a", "80", false},
                       {"fd:3", "fd:3", true},
                       {"fd:3", "fd:4", false},
                       {"fd:3", "systemd:3", false},
                       {{"[::]:80", "", true}, "80", false},
                       {{"[::]:80", "", true}, "127.0.0.1:80", false},
                       {{"[::]:80", "", true}, "[::1]:80", true},
                       {{"[::]:80", "", true}, "[::]:80", true},
                       {{"80", "eth0"}, {"80", "eth1"}, false},
                       {{"80", "eth0"}, {"80", "eth0"}, true},
                       {{"80", "eth0"}, "80", true},
                       {{"80", "eth0"}, "127.0.0.1:80", true},
                       {{"[::]:80", "eth0"}, {"127.0.0.1:80", "eth0"}, true},
                       {{"[::]:80", "eth0"}, {"127.0.0.1:80", "eth1"}, false},
                       {{"[::]:80", "eth0", true}, {"[::1]:80", "eth0"}, true}};
  for (const Pair& row : rows) {
    INFO(row.a.text << ' ' << row.a.device << row.a.ipv6only << ' ' << row.b.text << ' ' << row.b.device);
    const auto a = row.a.address();
    const auto b = row.b.address();
    CHECK(collide(a, b) == row.collide);
    CHECK(collide(b, a) == row.collide);
    CHECK(both_refused(row.a, row.b) == row.collide);
    CHECK(both_refused(row.b, row.a) == row.collide);
  }
}

TEST_CASE("the nearest name is the one that needs the fewest changes") {
  const std::vector<std::string_view> names{"backlog", "workers", "listen", "max_restarts", "max_seconds"};
  const std::pair<const char*, const char*> rows[] = {{"backlg", "backlog"},
                                                      {"bakclog", "backlog"},
                                                      {"Workers", "workers"},
                                                      {"listn", "listen"},
                                                      {"max_restart", "max_restarts"},
                                                      {"maxrestarts", "max_restarts"},
                                                      {"plugins", ""},
                                                      {"", ""},
                                                      {"x", ""}};
  for (const auto& [name, near] : rows) {
    INFO(name);
    CHECK(nearest(name, names) == near);
  }
  CHECK(nearest("x", {}).empty());
  CHECK(nearest(std::string(1000000, 'x'), names).empty());
  CHECK(edit_distance("ab", "ba") == 1);
  CHECK(edit_distance("", "abc") == 3);
  CHECK(edit_distance("kitten", "sitting") == 3);
}

TEST_CASE("daemon and client use the same default control socket") {
  CHECK(default_control_socket(0, "/run/user/0") == "/run/bulkhead/control.sock");
  CHECK(default_control_socket(1000, "/run/user/1000") == "/run/user/1000/bulkhead/control.sock");
  CHECK(default_control_socket(1000, nullptr) == "/tmp/bulkhead-1000/control.sock");
  CHECK(default_control_socket(1000, "") == "/tmp/bulkhead-1000/control.sock");
  CHECK(default_control_socket(1000, "run") == "/tmp/bulkhead-1000/control.sock");
}

TEST_CASE("relative paths are relative to the directory of their file") {
  CHECK(resolve_path("/a/b", "/etc") == "/a/b");
  CHECK(resolve_path("a/b", "/etc") == "/etc/a/b");
  CHECK(resolve_path("././a", "/etc") == "/etc/a");
  CHECK(resolve_path("../a", "/etc") == "/etc/../a");
  CHECK(resolve_path("a", "/") == "/a");
  CHECK(directory_of("/etc/bulkhead/bulkhead.json") == "/etc/bulkhead");
  CHECK(directory_of("/bulkhead.json") == "/");
  CHECK(directory_of("/etc/./x/../bulkhead.json") == "/etc/x/..");
  CHECK(directory_of("bulkhead.json") == directory_of("./bulkhead.json"));
  CHECK(directory_of("bulkhead.json").starts_with("/"));
}

TEST_CASE("variables that describe a connection cannot be configured, variables that configure a program can") {
  for (const char* name : {"PROTO",         "TCPREMOTEIP",      "TCPREMOTEHOST",
                           "TCPREMOTEINFO", "TCPLOCALHOST",     "TCPCONNNUM",
                           "TCP6REMOTEIP",  "TCP6INTERFACE",    "IPCREMOTEEUID",
                           "UNIXLOCALPATH", "REMOTE_ADDR",      "REMOTE_USER",
                           "LISTEN_PID",    "LISTEN_FDNAMES",   "NOTIFY_SOCKET",
                           "WATCHDOG_USEC", "SSL_PEER_CERT_CN", "SSL_TLS_SNI_SERVERNAME",
                           "SSLCTLFD",      "BULKHEAD_CONN_ID", "BULKHEAD_ANYTHING"}) {
    INFO(name);
    CHECK(is_connection_variable(name));
  }
  for (const char* name : {"", "PATH", "TZ", "PROTOCOL", "TCP", "IPC", "LISTEN", "SSL_CERT_FILE", "SSL_CERT_DIR",
                           "REMOTE", "tcpremoteip", "XTCPREMOTEIP", "RELAYCLIENT", "UID"}) {
    INFO(name);
    CHECK_FALSE(is_connection_variable(name));
  }
}

}  // namespace
}  // namespace bulkhead::config
