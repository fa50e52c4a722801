// bench-load: a closed loop of N clients against a line echo server on loopback. Each client connects, sends its lines
// one after the other, compares every byte that comes back, says that it has finished (shutdown), reads to end of file
// and closes; then it does so again, until the time is over. One line of JSON tells the result.
//
// The client shuts down first and so keeps the TIME_WAIT. Source addresses therefore rotate through 127.0.0.2 to
// 127.0.0.251, and ports are chosen only at connect: 250 times the ephemeral range, more than the kernel's limit on
// sockets in TIME_WAIT, so that no run is long enough to exhaust it.
//
// Exit status: 0; 1 when a byte was wrong; 64 usage; 71 a system call failed.

#include <arpa/inet.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr milliseconds rest_after_failure{10};  // so that a server that refuses is not asked a million times
constexpr std::chrono::seconds grace{5};        // for the connections that are open when the time is over

struct Options {
  sockaddr_in address{};
  unsigned clients = 8;
  std::chrono::duration<double> time{2};
  unsigned lines = 1;
  std::size_t size = 32;  // bytes in a line, its newline included
};

struct Tally {
  std::vector<std::uint32_t> latencies_us;  // one per connection that ended well, from connect to end of file
  std::uint64_t errors = 0;                 // connections that did not
  std::uint64_t wrong_bytes = 0;            // bytes that differ from what was sent, or that nobody asked for
  std::string first_error;
};

// Bytes of every value but newline, in an order that does not repeat; a line is a piece of it from a varying offset,
// so that bytes that went to the wrong connection are noticed.
class Text {
 public:
  explicit Text(std::size_t line_size) : line_size_(line_size) {
    std::mt19937 random(4040);  // the same in every run NOLINT(cert-msc32-c,cert-msc51-cpp)
    while (bytes_.size() < offsets + line_size) {
      const char byte = static_cast<char>(random() & 0xffU);
      if (byte != '\n') bytes_.push_back(byte);
    }
  }

  void next_line(std::string& line) {
    offset_ = (offset_ + 1021) % offsets;  // coprime, so all offsets are visited
    line.assign(bytes_, offset_, line_size_ - 1);
    line.push_back('\n');
  }

 private:
  static constexpr std::size_t offsets = 4096;
  std::size_t line_size_;
  std::size_t offset_ = 0;
  std::string bytes_;
};

// Addresses to connect from, one after the other.
class Sources {
 public:
  sockaddr_in next() {
    turn_ = (turn_ + 1) % 250;
    sockaddr_in source{};
    source.sin_family = AF_INET;
    source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + turn_);
    return source;
  }

 private:
  std::uint32_t turn_ = 0;
};

// One of the N clients, and the one connection that it has at a time.
class Client {
 public:
  enum class State { idle, open, done, failed };

  // Opens a connection and sends the first line if that is possible at once. The event's data is `index`.
  State start(const Options& options, int epoll, std::uint32_t index, Text& text, Sources& sources);
  // Goes on after epoll reported `events`. Done and failed leave the connection closed.
  State go_on(std::uint32_t events, Text& text, Tally& tally);
  State give_up() { return fail("no end of file in time", 0); }
  void rest() { state_ = State::idle; }

  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] Clock::time_point started() const { return started_; }
  // Why the last connection failed.
  [[nodiscard]] const std::string& error() const { return error_; }

 private:
  State send_rest();
  State receive(Text& text, Tally& tally);
  State accept_bytes(std::string_view got, Text& text, Tally& tally);
  State line_complete(Text& text);
  State fail(const char* operation, int code);
  State close_as(State state);

  int fd_ = -1;
  State state_ = State::idle;
  Clock::time_point started_;
  unsigned lines_left_ = 0;
  std::string line_;
  std::size_t sent_ = 0;
  std::size_t received_ = 0;
  std::string error_;
};

Client::State Client::start(const Options& options, int epoll, std::uint32_t index, Text& text, Sources& sources) {
  state_ = State::open;
  started_ = Clock::now();
  lines_left_ = options.lines;
  text.next_line(line_);
  sent_ = received_ = 0;

  fd_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd_ < 0) return fail("socket", errno);
  const int on = 1;
  if (setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0) return fail("TCP_NODELAY", errno);
  if (setsockopt(fd_, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) < 0) {
    return fail("IP_BIND_ADDRESS_NO_PORT", errno);
  }
  const sockaddr_in source = sources.next();
  if (bind(fd_, reinterpret_cast<const sockaddr*>(&source), sizeof source) < 0) return fail("bind", errno);
  // Edge-triggered for reading and writing, once: no further epoll_ctl in the life of the connection.
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLET;
  event.data.u32 = index;
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd_, &event) < 0) return fail("epoll_ctl", errno);
  if (connect(fd_, reinterpret_cast<const sockaddr*>(&options.address), sizeof options.address) < 0 &&
      errno != EINPROGRESS) {
    return fail("connect", errno);
  }
  return send_rest();
}

Client::State Client::go_on(std::uint32_t events, Text& text, Tally& tally) {
  // EPOLLOUT alone says nothing about bytes to read; without it we save a fruitless recv per connection.
  if ((events & ~std::uint32_t{EPOLLOUT}) != 0 && receive(text, tally) != State::open) return state_;
  return send_rest();
}

Client::State Client::send_rest() {
  while (sent_ < line_.size()) {
    const ssize_t sent = send(fd_, line_.data() + sent_, line_.size() - sent_, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) break;  // still connecting, or the server reads slowly
    if (sent < 0) return fail("send", errno);
    sent_ += static_cast<std::size_t>(sent);
  }
  return state_;
}

Client::State Client::receive(Text& text, Tally& tally) {
  static std::array<char, 65536> buffer;
  for (;;) {
    const ssize_t got = recv(fd_, buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return state_;
    if (got < 0) return fail("recv", errno);
    if (got == 0) return lines_left_ == 0 ? close_as(State::done) : fail("the connection ended early", 0);
    const auto size = static_cast<std::size_t>(got);
    if (accept_bytes({buffer.data(), size}, text, tally) != State::open) return state_;
    if (size < buffer.size()) return state_;  // drained; what comes later is a new edge
  }
}

// Before the last line's end is there, line_ is what must come; after it, nothing must.
Client::State Client::accept_bytes(std::string_view got, Text& text, Tally& tally) {
  const std::size_t due = lines_left_ == 0 ? 0 : std::min(got.size(), line_.size() - received_);
  const char* const expected = line_.data() + received_;
  if (due > 0 && std::memcmp(got.data(), expected, due) != 0) {
    for (std::size_t i = 0; i < due; ++i) {
      if (got[i] != expected[i]) ++tally.wrong_bytes;
    }
  }
  if (got.size() > due) {
    tally.wrong_bytes += got.size() - due;
    return fail("more came back than was sent", 0);
  }
  received_ += due;
  return due > 0 && received_ == line_.size() ? line_complete(text) : state_;
}

Client::State Client::line_complete(Text& text) {
  if (--lines_left_ == 0) {
    return shutdown(fd_, SHUT_WR) < 0 ? fail("shutdown", errno) : state_;
  }
  text.next_line(line_);
  sent_ = received_ = 0;
  return state_;
}

Client::State Client::fail(const char* operation, int code) {
  error_ = operation;
  if (code != 0) error_ += std::string(": ") + std::strerror(code);
  return close_as(State::failed);
}

Client::State Client::close_as(State state) {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
  return state_ = state;
}

// All clients, and the clock.
class Load {
 public:
  explicit Load(const Options& options) : options_(options), text_(options.size), clients_(options.clients) {
    tally_.latencies_us.reserve(1U << 20U);
  }

  void run();
  [[nodiscard]] Tally& tally() { return tally_; }

 private:
  void start(std::uint32_t index);
  void settle(std::uint32_t index);
  void wake_rested(Clock::time_point now);

  const Options& options_;
  Text text_;
  Sources sources_;
  std::vector<Client> clients_;
  Tally tally_;
  int epoll_ = -1;
  unsigned open_ = 0;  // clients with a connection
  Clock::time_point end_;
  std::vector<std::uint32_t> resting_;
  Clock::time_point next_wake_;
};

void Load::run() {
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_ < 0) {
    std::perror("bench-load: epoll_create1");
    std::exit(71);
  }
  end_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(options_.time);
  for (std::uint32_t i = 0; i < clients_.size(); ++i) start(i);

  std::array<epoll_event, 256> events;
  for (auto now = Clock::now(); now < end_ || (open_ > 0 && now < end_ + grace); now = Clock::now()) {
    const int count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()),
                                 static_cast<int>(rest_after_failure.count()));
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = events[static_cast<std::size_t>(i)];
      clients_[event.data.u32].go_on(event.events, text_, tally_);
      settle(event.data.u32);
    }
    wake_rested(Clock::now());
  }
  for (std::uint32_t i = 0; i < clients_.size(); ++i) {
    if (clients_[i].state() == Client::State::open) clients_[i].give_up();
    settle(i);
  }
  close(epoll_);
}

void Load::start(std::uint32_t index) {
  ++open_;
  clients_[index].start(options_, epoll_, index, text_, sources_);
  settle(index);
}

// Counts a connection that has ended, and lets its client begin the next one. What ends after the time is not counted
// unless it failed, so that the rate is that of the time asked for.
void Load::settle(std::uint32_t index) {
  Client& client = clients_[index];
  if (client.state() == Client::State::idle || client.state() == Client::State::open) return;
  --open_;
  const auto now = Clock::now();
  const bool failed = client.state() == Client::State::failed;
  if (failed) {
    if (tally_.errors++ == 0) tally_.first_error = client.error();
  } else if (now < end_) {
    const auto took = std::chrono::duration_cast<microseconds>(now - client.started());
    tally_.latencies_us.push_back(static_cast<std::uint32_t>(took.count()));
  }
  client.rest();
  if (now >= end_) return;
  failed ? resting_.push_back(index) : start(index);
}

void Load::wake_rested(Clock::time_point now) {
  if (resting_.empty() || now < next_wake_ || now >= end_) return;
  next_wake_ = now + rest_after_failure;
  std::vector<std::uint32_t> rested;
  rested.swap(resting_);
  for (const std::uint32_t index : rested) start(index);
}

std::uint32_t percentile(std::vector<std::uint32_t>& values, std::size_t percent) {
  if (values.empty()) return 0;
  const auto at = values.begin() + static_cast<std::ptrdiff_t>((values.size() - 1) * percent / 100);
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

void print(Tally& tally, std::chrono::duration<double> time) {
  const std::size_t connections = tally.latencies_us.size();
  std::printf(
      "{\"connections\": %zu, \"per_second\": %.1f, \"p50_us\": %u, \"p99_us\": %u, \"errors\": %llu, "
      "\"wrong_bytes\": %llu}\n",
      connections, static_cast<double>(connections) / time.count(), percentile(tally.latencies_us, 50),
      percentile(tally.latencies_us, 99), static_cast<unsigned long long>(tally.errors),
      static_cast<unsigned long long>(tally.wrong_bytes));
}

[[noreturn]] void usage(const char* problem) {
  static_cast<void>(
      std::fprintf(stderr,
                   "bench-load: %s\n"
                   "usage: bench-load --address 127.x.y.z:PORT --clients N --seconds S [--lines K] [--size B]\n"
                   "  N 1 to 10000, S 0.01 to 3600, K (lines per connection) from 1, B (bytes per line) 1 to 1048576\n",
                   problem));
  std::exit(64);
}

template <typename Number>
Number number(std::string_view text, Number low, Number high, const char* problem) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !(value >= low && value <= high)) usage(problem);
  return value;
}

// Loopback only: this program must not be able to bother anybody else.
sockaddr_in loopback_address(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) usage("--address needs HOST:PORT");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(number<std::uint16_t>(text.substr(colon + 1), 1, 65535, "bad port"));
  const std::string host(text.substr(0, colon));
  if (inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1 || ntohl(address.sin_addr.s_addr) >> 24U != 127) {
    usage("the host must be a numeric address in 127.0.0.0/8");
  }
  return address;
}

Options parse(int argc, char** argv) {
  static const std::array<option, 6> known = {{{"address", required_argument, nullptr, 'a'},
                                               {"clients", required_argument, nullptr, 'c'},
                                               {"seconds", required_argument, nullptr, 's'},
                                               {"lines", required_argument, nullptr, 'l'},
                                               {"size", required_argument, nullptr, 'b'},
                                               {nullptr, 0, nullptr, 0}}};
  Options options;
  std::optional<sockaddr_in> address;
  for (int letter = 0; (letter = getopt_long(argc, argv, "", known.data(), nullptr)) != -1;) {
    if (letter == '?') usage("unknown option or missing value");
    const std::string_view value = optarg;
    if (letter == 'a') address = loopback_address(value);
    if (letter == 'c') options.clients = number<unsigned>(value, 1, 10000, "bad --clients");
    if (letter == 's') options.time = std::chrono::duration<double>(number<double>(value, 0.01, 3600, "bad --seconds"));
    if (letter == 'l') options.lines = number<unsigned>(value, 1, 1U << 30U, "bad --lines");
    if (letter == 'b') options.size = number<std::size_t>(value, 1, 1U << 20U, "bad --size");
  }
  if (optind != argc) usage("unexpected argument");
  if (!address) usage("--address is missing");
  options.address = *address;
  return options;
}

void allow_descriptors(unsigned clients) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = std::min(limit.rlim_max, std::max<rlim_t>(limit.rlim_cur, clients + 64));
  setrlimit(RLIMIT_NOFILE, &limit);  // where this is not enough, socket() says so
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  allow_descriptors(options.clients);
  Load load(options);
  load.run();
  Tally& tally = load.tally();
  if (tally.errors > 0) {
    static_cast<void>(std::fprintf(stderr, "bench-load: %llu connections failed, the first: %s\n",
                                   static_cast<unsigned long long>(tally.errors), tally.first_error.c_str()));
  }
  print(tally, options.time);
  return tally.wrong_bytes > 0 ? 1 : 0;
}
