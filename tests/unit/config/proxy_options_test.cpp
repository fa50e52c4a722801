// The options of a listener behind a balancer.
#include <catch2/catch.hpp>
#include <chrono>
#include <string>

#include "tests/unit/config/fake_host.h"
#include "tests/unit/config/shapes.h"

namespace bulkhead::config {
namespace {

using namespace std::chrono_literals;

Proxy proxy_of(const std::string& fragment) {
  const Loaded loaded = parse(file_of(Shape::listener, fragment), "good.json", "/etc", FakeHost());
  INFO(texts(loaded));
  REQUIRE(loaded.config);
  return loaded.config->root.children.at(0).listener->proxy;
}

std::string problems(const std::string& fragment) {
  return texts(parse(file_of(Shape::listener, fragment), "bad.json", "/etc", FakeHost()));
}

}  // namespace

TEST_CASE("by default no PROXY header is expected, and only this host is trusted to send one") {
  const Proxy proxy = proxy_of(R"("backlog":1)");
  CHECK(proxy.protocol == ProxyProtocol::off);
  REQUIRE(proxy.allow_from.size() == 2);
  CHECK(proxy.allow_from[0].text == "127.0.0.0/8");
  CHECK(proxy.allow_from[1].text == "::1/128");
  CHECK(proxy.timeout == 3s);
}

TEST_CASE("every version of the PROXY header can be set") {
  CHECK(proxy_of(R"("proxy_protocol":"v1")").protocol == ProxyProtocol::v1);
  CHECK(proxy_of(R"("proxy_protocol":"v2")").protocol == ProxyProtocol::v2);
  CHECK(proxy_of(R"("proxy_protocol":"auto")").protocol == ProxyProtocol::any);
}

TEST_CASE("the trusted networks of PROXY headers can be set") {
  CHECK(proxy_of(R"("proxy_allow_from":[])").allow_from.empty());
  CHECK(proxy_of(R"("proxy_allow_from":"192.0.2.1")").allow_from.at(0).text == "192.0.2.1/32");
}

TEST_CASE("proxy_timeout overrides handshake_timeout, which overrides the default") {
  CHECK(proxy_of(R"("proxy_timeout":"1s","handshake_timeout":"9s")").timeout == 1s);
  CHECK(proxy_of(R"("proxy_timeout":"9s","handshake_timeout":"1s")").timeout == 9s);
  CHECK(proxy_of(R"("handshake_timeout":"700ms")").timeout == 700ms);
  const Loaded loaded = parse(file_of(Shape::listener, R"("handshake_timeout":"700ms")"), "a.json", "/etc", FakeHost());
  CHECK(loaded.effective.find(R"("proxy_timeout": "700ms")") != std::string::npos);
}

TEST_CASE("problems of the options of a PROXY header are reported") {
  CHECK(
      problems(R"("proxy_protocol":"v3")") ==
      R"(bad.json:2:18: /supervisor/children/0/proxy_protocol: expected one of "off", "v1", "v2" or "auto", got the string "v3"; did you mean "v1"?)");
  CHECK(
      problems(R"("proxy_protocol":true)") ==
      R"(bad.json:2:18: /supervisor/children/0/proxy_protocol: expected one of "off", "v1", "v2" or "auto", got true)");
  CHECK(
      problems(R"("proxy_allow_from":["127.0.0.1/8"])") ==
      R"(bad.json:2:21: /supervisor/children/0/proxy_allow_from/0: "127.0.0.1/8" has bits beyond its prefix; the network is "127.0.0.0/8")");
  CHECK(
      problems(R"("proxy_allow_from":["lb.example.org"])") ==
      R"(bad.json:2:21: /supervisor/children/0/proxy_allow_from/0: expected a network such as "192.0.2.0/24" or "2001:db8::/32", got "lb.example.org")");
  CHECK(
      problems(R"("proxy_timeout":"infinity")") ==
      R"(bad.json:2:17: /supervisor/children/0/proxy_timeout: expected a duration from "1ms" to "1h", got the string "infinity"; it must be finite here)");
  CHECK(
      problems(R"("proxy_timeout":3)") ==
      R"(bad.json:2:17: /supervisor/children/0/proxy_timeout: expected a duration from "1ms" to "1h", got the number 3; write "3s" if seconds are meant)");
  CHECK(
      problems(R"("handshake_timeout":"0s")") ==
      R"(bad.json:2:21: /supervisor/children/0/handshake_timeout: expected a duration from "1ms" to "1h", got the string "0s")");
}

}  // namespace bulkhead::config
