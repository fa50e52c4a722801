#include "master/control/client_connection.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "master/host/clock.h"
#include "worker/log/log.h"

namespace bulkhead::control {

namespace {

using Json = nlohmann::ordered_json;

constexpr int kRequestsPerTurn = 8;
constexpr int kSendsPerTurn = 4;
constexpr int kPiecesPerSend = 4;
constexpr std::size_t kChunk = 64 * 1024;                       // of output, before more is made
constexpr std::size_t kInputLimit = protocol::kMaxRequest + 1;  // with the newline

// True if the call would block or was interrupted: try again later.
bool would_block() {
  return errno == EAGAIN || errno == EINTR;
}

void tell(const protocol::Command& command, const Json& params, const Peer& peer) {
  log::Line line(log::Level::info, "control");
  line.text(command.name);
  for (const char* name : {"path", "id"}) {
    if (const auto value = params.find(name); value != params.end()) line.text(" ").text(value->get<std::string>());
  }
  line.text(" requested").field("uid", peer.uid).field("client_pid", peer.pid).write();
}

}  // namespace

ClientConnection::ClientConnection(std::shared_ptr<World> world, sys::Fd fd, Peer peer)
    : world_(std::move(world)),
      fd_(std::move(fd)),
      poll_(world_->loop, fd_.get(), [this](int events) { on_ready(events); }),
      peer_(peer),
      active_(now()) {}

int ClientConnection::start() {
  if (const int error = poll_.try_watch(wanted()); error != 0) return error;
  watched_ = wanted();
  turn();
  return 0;
}

void ClientConnection::turn_away(int error) {
  refuse({protocol::kTooMuch, fmt::format("the daemon cannot serve another client: {}", strerrordesc_np(error)), {}});
  finish();
}

void ClientConnection::on_ready(int events) {
  if (dead_) return;
  const auto self = shared_from_this();  // a request may end the server
  if ((events & UV_READABLE) != 0) receive();
  take_requests();
  flush();
  update_watch();
}

void ClientConnection::turn() {
  if (dead_) return;
  take_requests();
  flush();
  update_watch();
}

int ClientConnection::wanted() const {
  const bool read = !input_ended_ && !closing_ && input_.size() < kInputLimit;
  return (read ? UV_READABLE : 0) | (has_output() ? UV_WRITABLE : 0);
}

void ClientConnection::update_watch() {
  const int now_wanted = dead_ ? 0 : wanted();
  if (now_wanted != watched_) poll_.watch(now_wanted);
  watched_ = now_wanted;
}

void ClientConnection::receive() {
  if (input_ended_ || closing_ || input_.size() >= kInputLimit) return;
  std::array<char, 16 * 1024> buffer;
  const ssize_t got = recv(fd_.get(), buffer.data(), std::min(buffer.size(), kInputLimit - input_.size()), 0);
  if (got > 0) {
    input_.append(buffer.data(), static_cast<std::size_t>(got));
  } else if (got == 0) {
    input_ended_ = true;
  } else if (!would_block()) {
    dead_ = true;
  }
}

// One request after another, so that answers come in order; the rest waits for the next turn, or until the client
// reads.
void ClientConnection::take_requests() {
  int left = kRequestsPerTurn;
  while (!dead_ && !closing_ && !busy() && output_.size() - sent_ < kChunk) {
    if (left-- == 0) return world_->want_turn();
    if (!take_request()) break;
  }
  close_if_done();
}

void ClientConnection::close_if_done() {
  if (input_ended_ && !busy() && !follows() && !dead_ && input_.empty()) closing_ = true;
}

// False: no complete line has arrived.
bool ClientConnection::take_request() {
  const std::size_t end = input_.find('\n', searched_);
  if (end == std::string::npos) {
    searched_ = input_.size();
    if (input_.size() > protocol::kMaxRequest) {
      refuse({protocol::kInvalidRequest, fmt::format("a request has at most {} bytes", protocol::kMaxRequest), {}});
    } else if (input_ended_) {
      input_.clear();  // half a request that nobody can complete
    }
    return false;
  }
  const std::string line = input_.substr(0, end);
  input_.erase(0, end + 1);
  searched_ = 0;
  if (line.find_first_not_of(" \t\r") != std::string::npos) handle(line);
  return true;
}

void ClientConnection::handle(std::string_view line) {
  active_ = now();
  auto parsed = protocol::parse_request(line);
  if (auto* bad = std::get_if<protocol::BadRequest>(&parsed); bad != nullptr) {
    if (bad->id) output_ += protocol::error_line(*bad->id, bad->failure);
    return;
  }
  const protocol::Request& request = std::get<protocol::Request>(parsed);
  if (peer_.reads_only && protocol::changes(request)) return refuse_change(request);
  if (request.params.value("follow", false) && refuse_second(request)) return;
  if (request.command->name == "events") return follow_events(request);
  call(request);
}

void ClientConnection::refuse_change(const protocol::Request& request) {
  if (!request.id) return;
  const std::string text =
      fmt::format("{}: permission denied: a process that the daemon runs may only read", request.command->name);
  output_ += protocol::error_line(*request.id, {protocol::kNotPermitted, text, {}});
}

Reply ClientConnection::wait_for(const protocol::RequestId& id, std::string method, nlohmann::ordered_json params) {
  const std::uint64_t number = ++calls_;
  pending_ = number;
  pending_id_ = id;
  pending_method_ = std::move(method);
  pending_params_ = std::move(params);
  return [client = weak_from_this(), number, id](const Answer& result) {
    if (const auto alive = client.lock()) alive->answer(number, id, result);
  };
}

std::optional<upgrade::ClientHandover> ClientConnection::hand_over() const {
  if (dead_ || closing_ || feed_ || pieces_ || news_ || has_output()) return std::nullopt;
  const auto text = [](const Json& json) { return json.dump(-1, ' ', true, Json::error_handler_t::replace); };
  upgrade::ClientHandover out{fd_.get(), "", "", "", input_};
  if (pending_ == 0 || !pending_id_) return out;
  out.id = text(*pending_id_);
  out.method = pending_method_;
  out.params = text(pending_params_);
  return out;
}

std::optional<Unanswered> ClientConnection::resume(const upgrade::ClientHandover& from) {
  input_ = from.input;
  if (from.id.empty()) return std::nullopt;
  const Json params = Json::parse(from.params, nullptr, false);
  return Unanswered{from.method, params, wait_for(Json::parse(from.id, nullptr, false), from.method, params)};
}

void ClientConnection::call(const protocol::Request& request) {
  if (request.command->changes) tell(*request.command, request.params, peer_);
  const Reply reply = wait_for(request.id, std::string(request.command->name), request.params);
  const std::uint64_t number = pending_;
  try {
    world_->backend.call(std::string(request.command->name), request.params, reply);
  } catch (const std::exception& error) {
    log::Line(log::Level::error, "control").text(request.command->name).text(" failed: ").text(error.what()).write();
    answer(number, request.id,
           {nullptr, Failure{protocol::kInternalError, "the daemon could not carry out the request", {}}});
  }
}

void ClientConnection::answer(std::uint64_t number, const protocol::RequestId& id, const Answer& answer) {
  if (dead_ || pending_ != number) return;
  pending_ = 0;
  pending_params_ = nullptr;
  active_ = now();
  if (id && answer.pieces) {
    output_ += protocol::result_head(*id);
    pieces_ = answer.pieces;
    if (answer.news) news_ = answer.news;
    has_news_ = has_news_ || answer.news;
  } else if (id) {
    std::string line = protocol::answer_line(*id, answer);
    if (line.size() > kMaxAnswer) {
      line = protocol::error_line(
          *id, {protocol::kTooMuch, fmt::format("the answer has more than {} bytes", kMaxAnswer), {}});
    }
    output_ += line;
  }
  world_->want_turn();
}

bool ClientConnection::refuse_second(const protocol::Request& request) {
  if (!follows()) return false;
  const std::string text =
      fmt::format("this connection already follows the {}", news_ ? "log lines of a node" : "events");
  if (request.id) output_ += protocol::error_line(*request.id, {protocol::kRefused, text, {}});
  return true;
}

void ClientConnection::follow_events(const protocol::Request& request) {
  if (!request.id) return;
  const auto number = [&request](const char* name) {
    const auto given = request.params.find(name);
    return given == request.params.end() ? std::nullopt : std::optional(given->get<std::uint64_t>());
  };
  const EventFeed::From from{number("since"), number("last")};
  feed_.emplace(world_->events, *request.id, from, request.params.value("follow", false));
}

void ClientConnection::published(const journal::EventRecord& record) {
  if (dead_ || !feed_) return;
  feed_->published(record);
  if (follows()) world_->want_turn();
}

// Called for every line that is logged.
void ClientConnection::logged() noexcept {
  if (!news_ || dead_ || std::exchange(has_news_, true)) return;
  world_->want_turn();
}

void ClientConnection::refuse(const Failure& failure) {
  output_ += protocol::error_line(nullptr, failure);
  input_.clear();
  closing_ = true;
}

// Makes output only as fast as the client reads it, and continues at the next turn, because other clients are waiting
// too.
void ClientConnection::flush() {
  for (int i = 0; i < kSendsPerTurn && !dead_; ++i) {
    if (pieces_ && !closing_) {
      make_pieces();
    } else if (feed_ && !closing_) {
      make_events();
    }
    if (!busy() && !closing_) make_news();
    if (has_output()) send_output();
    if (has_output() || !(feed_ || pieces_ || has_news_)) break;
  }
  close_if_done();
  if (feed_ && (feed_->overtaken() || feed_->behind() > kMaxOutput)) drop_follower();
  if (closing_ && !has_output()) dead_ = true;
  if (dead_ || (!has_output() && has_work())) world_->want_turn();
}

void ClientConnection::make_pieces() {
  for (int i = 0; i < kPiecesPerSend && output_.size() < sent_ + kChunk; ++i) {
    if (pieces_(output_)) continue;
    output_ += protocol::kResultTail;
    pieces_ = nullptr;
    active_ = now();
    return;
  }
}

void ClientConnection::make_events() {
  feed_->fill(output_, sent_ + kChunk);
  if (!feed_->finished()) return;
  feed_.reset();
  active_ = now();
}

void ClientConnection::make_news() {
  while (has_news_ && output_.size() < sent_ + kChunk) has_news_ = news_(output_);
}

bool ClientConnection::has_work() const {
  const bool events = feed_ && (feed_->answering() || feed_->behind() > 0);
  return events || pieces_ || has_news_ || (!busy() && searched_ < input_.size());
}

void ClientConnection::drop_follower() {
  log::Line(log::Level::warning, "control")
      .text("dropped a client that does not read the events it follows")
      .field("uid", peer_.uid)
      .field("client_pid", peer_.pid)
      .write();
  dead_ = true;
}

void ClientConnection::send_output() {
  const ssize_t sent = send(fd_.get(), output_.data() + sent_, output_.size() - sent_, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent < 0) {
    if (!would_block()) dead_ = true;
    return;
  }
  active_ = now();
  sent_ += static_cast<std::size_t>(sent);
  if (sent_ == output_.size()) {
    output_.clear();
    output_.shrink_to_fit();
    sent_ = 0;
  } else if (sent_ > kMaxOutput) {
    output_.erase(0, std::exchange(sent_, 0));
  }
}

void ClientConnection::look_at_the_clock(Instant now, std::chrono::nanoseconds idle_timeout) {
  if (dead_) return;
  if (input_ended_ && (busy() || follows())) {
    pollfd hangup{fd_.get(), 0, 0};
    if (poll(&hangup, 1, 0) == 1 && (hangup.revents & (POLLHUP | POLLERR)) != 0) dead_ = true;
  }
  const bool waits = pending_ != 0 || (follows() && !(feed_ && feed_->answering()) && !pieces_);
  if (!waits && now - active_ >= idle_timeout) dead_ = true;
  if (dead_) world_->want_turn();
}

void ClientConnection::finish() {
  if (dead_) return;
  flush();
  dead_ = true;
}

}  // namespace bulkhead::control
