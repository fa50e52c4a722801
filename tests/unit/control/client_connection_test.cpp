// One client of the control socket and a long answer: made as fast as it is read, and no faster.
#include "master/control/client_connection.h"

#include <sys/socket.h>

#include <algorithm>
#include <catch2/catch.hpp>

namespace bulkhead::control {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kPiece = 8 * 1024;

// Answers `connections` with a string of so many pieces, and every other verb at once.
class LongBackend final : public Backend {
 public:
  explicit LongBackend(std::size_t pieces) : left_(pieces) {}
  void call(const std::string& method, const Json&, Reply reply) override {
    if (method != "connections") return reply({{{"ok", true}}, std::nullopt});
    reply({nullptr, std::nullopt, [this](std::string& out) {
             if (made == 0) out += '"';
             const bool more = left_-- > 1;
             out += std::string(kPiece, 'x') + (more ? "" : "\"");
             made += kPiece;
             return more;
           }});
  }
  std::size_t made = 0;

 private:
  std::size_t left_;
};

// The daemon's side of a socket pair, turned by hand.
class Conversation {
 public:
  explicit Conversation(Backend& backend)
      : world_(std::make_shared<ClientConnection::World>(
            ClientConnection::World{loop_, ring_, backend, [this] { wanted_ = true; }})) {
    int ends[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    ours_.reset(ends[0]);
    connection_ = std::make_shared<ClientConnection>(world_, sys::Fd(ends[1]), Peer{});
    REQUIRE(connection_->start() == 0);
  }
  void send(const std::string& line) {
    REQUIRE(::send(ours_.get(), line.data(), line.size(), 0) == static_cast<ssize_t>(line.size()));
  }
  // Until the connection has nothing more to do.
  void turn() {
    do {
      wanted_ = false;
      uv_run(loop_.raw(), UV_RUN_NOWAIT);
      connection_->turn();
    } while (wanted_ && !connection_->dead());
  }
  void read(std::size_t at_most) {
    std::string buffer(at_most, '\0');
    const ssize_t got = recv(ours_.get(), buffer.data(), buffer.size(), 0);
    if (got <= 0) return;
    buffer.resize(static_cast<std::size_t>(got));
    lines += std::count(buffer.begin(), buffer.end(), '\n');
    text += buffer;
  }
  void hang_up() { shutdown(ours_.get(), SHUT_WR); }
  [[nodiscard]] ClientConnection& connection() { return *connection_; }
  void publish(const char* event) {
    ring_.publish(event, "root");
    connection_->published(ring_.records().back());
  }

  std::string text;  // all that was read
  std::ptrdiff_t lines = 0;

 private:
  loop::Loop loop_;
  journal::EventRing ring_;
  bool wanted_ = false;
  std::shared_ptr<ClientConnection::World> world_;
  sys::Fd ours_;
  std::shared_ptr<ClientConnection> connection_;
};

const std::string kConnections = R"({"jsonrpc":"2.0","id":1,"method":"connections"})"
                                 "\n";
const std::string kStatus = R"({"jsonrpc":"2.0","id":2,"method":"status"})"
                            "\n";
const std::string kFollow = R"({"jsonrpc":"2.0","id":3,"method":"events","params":{"follow":true}})"
                            "\n";

std::vector<Json> lines_of(const std::string& text) {
  std::vector<Json> out;
  for (std::size_t at = 0; at < text.size(); at = text.find('\n', at) + 1) {
    out.push_back(Json::parse(text.substr(at, text.find('\n', at) - at)));
  }
  return out;
}

TEST_CASE("a long answer waits for its reader, and later answers follow it") {
  constexpr std::size_t kPieces = 200;
  LongBackend backend(kPieces);
  Conversation talk(backend);
  talk.send(kConnections + kStatus);
  talk.turn();
  const std::size_t without_reader = backend.made;
  CHECK(without_reader < 1024 * 1024);  // the kernel's buffer and ours
  for (int i = 0; i < 10; ++i) talk.turn();
  CHECK(backend.made == without_reader);
  std::size_t most_ahead = 0;
  while (talk.lines < 2) {
    talk.read(64 * 1024);
    talk.turn();
    most_ahead = std::max(most_ahead, backend.made - std::min(backend.made, talk.text.size()));
  }
  CHECK(most_ahead < 1024 * 1024);
  const auto lines = lines_of(talk.text);
  REQUIRE(lines.size() == 2);
  CHECK(lines[0]["id"] == 1);
  CHECK(lines[0]["result"].get_ref<const std::string&>().size() == kPieces * kPiece);
  CHECK(lines[1]["id"] == 2);
}

// Answers `logs`, which others follow: so many notifications are there each time.
class NewsBackend final : public Backend {
 public:
  void call(const std::string& method, const Json&, Reply reply) override {
    if (method != "logs") return reply({{{"ok", true}}, std::nullopt});
    Answer out{nullptr, std::nullopt, [](std::string& text) {
                 text += "[]";
                 return false;
               }};
    out.news = [this](std::string& text) {
      if (waiting == 0) return false;
      --waiting;
      ++made;
      text += protocol::log_line(R"({"line":")" + std::string(1000, 'x') + "\"}");
      return true;
    };
    reply(std::move(out));
  }
  int waiting = 0;
  int made = 0;
};

const std::string kLogs = R"({"jsonrpc":"2.0","id":4,"method":"logs","params":{"path":"root","follow":true}})"
                          "\n";

TEST_CASE("log lines follow their answer as they come, and as fast as they are read") {
  NewsBackend backend;
  Conversation talk(backend);
  talk.send(kLogs + kStatus);
  talk.turn();
  backend.waiting = 3000;
  talk.turn();
  CHECK(backend.made == 0);  // it was not told
  talk.connection().logged();
  talk.turn();
  CHECK(backend.made > 0);
  CHECK(backend.made < 1500);
  CHECK_FALSE(talk.connection().hand_over());
  while (talk.lines < 3002) {
    talk.read(64 * 1024);
    talk.turn();
  }
  const auto lines = lines_of(talk.text);
  CHECK(lines[0]["result"] == Json::array());
  CHECK(lines[1]["id"] == 2);
  CHECK(lines[2]["method"] == "log");
}

TEST_CASE("a connection follows one thing") {
  NewsBackend backend;
  Conversation talk(backend);
  talk.send(kLogs + kLogs + kFollow);
  talk.turn();
  talk.read(64 * 1024);
  const auto lines = lines_of(talk.text);
  REQUIRE(lines.size() == 3);
  CHECK(lines[0].contains("result"));
  CHECK(lines[1]["error"]["message"] == "this connection already follows the log lines of a node");
  CHECK(lines[2].contains("error"));
}

TEST_CASE("followed events wait for the end of a long answer") {
  LongBackend backend(100);
  Conversation talk(backend);
  talk.send(kFollow + kConnections);
  talk.turn();
  talk.publish("drain_started");
  talk.publish("drain_done");
  while (talk.lines < 4) {
    talk.read(64 * 1024);
    talk.turn();
  }
  const auto lines = lines_of(talk.text);
  REQUIRE(lines.size() == 4);
  CHECK(lines[0]["id"] == 3);
  CHECK(lines[1]["id"] == 1);
  CHECK(lines[2]["params"]["event"] == "drain_started");
  CHECK(lines[3]["params"]["event"] == "drain_done");
}

TEST_CASE("a client that closes its half after a request gets its answer, then end of file") {
  for (const std::string& request :
       {kConnections, kStatus, std::string(kFollow).replace(kFollow.find("true"), 4, "false")}) {
    LongBackend backend(100);
    Conversation talk(backend);
    talk.send(request);
    talk.hang_up();
    for (int i = 0; i < 100 && !talk.connection().dead(); ++i) {
      talk.turn();
      talk.read(1'000'000);
    }
    CHECK(talk.connection().dead());
    CHECK(lines_of(talk.text).size() == 1);
  }
}

TEST_CASE("a client that does not read its answers is closed after the idle time") {
  using namespace std::chrono_literals;
  LongBackend backend(500);
  Conversation talk(backend);
  talk.send(kFollow + kConnections);
  talk.turn();
  const auto since = talk.connection().active();
  talk.connection().look_at_the_clock(since + 29s, 30s);
  CHECK_FALSE(talk.connection().dead());
  talk.connection().look_at_the_clock(since + 30s, 30s);
  CHECK(talk.connection().dead());
}

TEST_CASE("half a request counts as idle, however slowly it arrives, a complete one does not") {
  using namespace std::chrono_literals;
  LongBackend backend(1);
  Conversation talk(backend);
  const auto began = talk.connection().active();
  talk.send(kStatus.substr(0, 10));
  talk.turn();
  talk.send(kStatus.substr(10, 10));
  talk.turn();
  CHECK(talk.connection().active() == began);
  talk.send(kStatus.substr(20));
  talk.turn();
  CHECK(talk.connection().active() > began);
}

TEST_CASE("clients that wait for an answer or follow events may be silent for ever") {
  using namespace std::chrono_literals;
  struct SlowBackend final : Backend {
    void call(const std::string&, const Json&, Reply reply) override { reply_ = std::move(reply); }
    Reply reply_;
  };
  for (const std::string& request : {kStatus, kFollow}) {
    SlowBackend backend;
    Conversation talk(backend);
    talk.send(request);
    talk.turn();
    talk.read(1'000'000);
    talk.connection().look_at_the_clock(talk.connection().active() + 24h, 30s);
    CHECK_FALSE(talk.connection().dead());
  }
}

}  // namespace
}  // namespace bulkhead::control
