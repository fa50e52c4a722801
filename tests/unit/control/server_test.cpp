// The control socket with real clients and the test's own clock.
#include "master/control/server.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <cstdlib>
#include <string>
#include <utility>

namespace bulkhead::control {
namespace {

using namespace std::chrono_literals;

struct Mute final : Backend {
  void call(const std::string&, const nlohmann::ordered_json&, Reply) override {}
};

class Fixture {
 public:
  Fixture() {
    log::configure({.level = log::Level::error});
    REQUIRE(mkdtemp(directory_.data()) != nullptr);
    path_ = directory_ + "/control";
    config::Control config;
    config.socket = path_;
    REQUIRE_FALSE(server_.open(config));
  }
  ~Fixture() {
    server_.close();
    rmdir(directory_.c_str());
  }
  Fixture(const Fixture&) = delete;
  Fixture& operator=(const Fixture&) = delete;

  sys::Fd connect(const std::string& words) {
    sys::Fd out(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof address.sun_path - 1);
    REQUIRE(::connect(out.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(::write(out.get(), words.data(), words.size()) == static_cast<ssize_t>(words.size()));
    turn();
    return out;
  }
  void pass(std::chrono::seconds time) {
    time_ += time;
    server_.tick();
    turn();
  }
  // The next action of the server is due a millisecond later.
  void turn() {
    loop::Timer end(loop_, [this] { loop_.stop(); });
    end.start(2ms);
    loop_.run();
  }
  // Only the server's own timer calls tick().
  void pass_until_closed(std::chrono::seconds time, const sys::Fd& client) {
    time_ += time;
    loop::Timer look(loop_, [this, &client] {
      if (is_closed(client)) loop_.stop();
    });
    look.start(5ms, 5ms);
    loop_.run();
  }
  [[nodiscard]] static bool is_closed(const sys::Fd& client) {
    char bytes[4096];
    ssize_t got = 0;
    do got = ::read(client.get(), bytes, sizeof bytes);
    while (got > 0);
    return got == 0;
  }

 private:
  std::string directory_ = "/tmp/bulkhead-test-XXXXXX";
  std::string path_;
  loop::Loop loop_;
  journal::EventRing ring_;
  Mute backend_;
  supervision::Instant time_ = now();
  journal::Memory lines_;
  Server server_{loop_, ring_, lines_, backend_, [this] { return time_; }};
};

TEST_CASE("idle and slow clients are closed after 30 s, followers are not") {
  Fixture f;
  const sys::Fd idle = f.connect("");
  const sys::Fd slow = f.connect(R"({"jsonrpc")");
  const sys::Fd follower = f.connect(R"({"jsonrpc":"2.0","id":1,"method":"events","params":{"follow":true}})"
                                     "\n");
  f.pass(29s);
  CHECK_FALSE(Fixture::is_closed(idle));
  CHECK_FALSE(Fixture::is_closed(slow));
  f.pass(2s);
  CHECK(Fixture::is_closed(idle));
  CHECK(Fixture::is_closed(slow));
  f.pass(3600s);
  CHECK_FALSE(Fixture::is_closed(follower));
}

TEST_CASE("the server checks for idle clients while it has any") {
  Fixture f;
  const sys::Fd idle = f.connect("");
  f.pass_until_closed(31s, idle);
  CHECK(Fixture::is_closed(idle));
}

}  // namespace
}  // namespace bulkhead::control
