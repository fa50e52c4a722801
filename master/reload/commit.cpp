#include "master/reload/commit.h"

#include <algorithm>
#include <utility>

#include "master/supervision/path.h"
#include "worker/ipc/message.h"
#include "worker/log/log.h"

namespace bulkhead::reload {

namespace {

using procedure::Outcome;

constexpr std::chrono::milliseconds kHandshakes(100);
constexpr int kAttempts = 3;
constexpr std::chrono::milliseconds kNextLook(20);
constexpr int kLooks = 100;

}  // namespace

Commit::Commit(loop::Loop& loop, Attempt& attempt, std::function<void()> taken_over)
    : attempt_(attempt),
      parts_(attempt.parts),
      taken_over_(std::move(taken_over)),
      pause_(loop, [this] { std::exchange(after_pause_, nullptr)(); }) {}

void Commit::then(std::function<void()> action) {
  attempt_.steps.then([action = std::move(action)](const Done& done) {
    action();
    done({});
  });
}

void Commit::plan_steps() {
  then([this] { take_over(); });
  for (const Change& change : attempt_.plan.changes) commit(change);
  then([this] { settle_everything(); });
}

void Commit::take_over() {
  for (const sys::Error& error : parts_.listeners.begin_listening()) attempt_.steps.note(error.text());
  attempt_.end_trial("root");
  parts_.children.set_generation(parts_.catalogue.generation());
  const auto tag_of = [this](const std::string& path, supervision::NodeType type) -> std::optional<std::uint32_t> {
    const auto view = parts_.engine.view(path);
    return view && view->spec->type == type ? std::optional(view->spec->tag) : std::nullopt;
  };
  for (const Change& change : attempt_.plan.changes) {
    using Kind = Change::Kind;
    const bool goes = change.kind == Kind::removed || change.kind == Kind::replaced;
    if (goes && parts_.engine.has(change.path)) parts_.catalogue.leave(change.path);
    if (change.kind == Kind::taken_back) parts_.catalogue.stays(change.path);
  }
  parts_.catalogue.take_over(
      std::exchange(attempt_.config, nullptr), std::move(attempt_.effective), tag_of,
      [this](const std::string& path, const config::Node& node) { parts_.listeners.describe(path, node); });
  if (attempt_.reset) parts_.catalogue.overrides().unscale();
  update_specs();
  taken_over_();
}

void Commit::update_specs() {
  parts_.engine.update(parts_.catalogue.spec_of(parts_.catalogue.config().root, "root"));
}

void Commit::commit(const Change& change) {
  const std::string path = change.path;
  switch (change.kind) {
    case Change::Kind::added:
    case Change::Kind::restarted:
    case Change::Kind::reordered: return;  // done
    case Change::Kind::in_place: return change_in_place(path);
    case Change::Kind::taken_back:
    case Change::Kind::new_workers:
      leave_addresses(path);
      change_log(path);
      replace_workers(path);
      return give_limits(path);
    case Change::Kind::removed: return end_removed(path);
    case Change::Kind::replaced:
      end_removed(path);
      return attempt_.steps.then([this, path](const Done& done) { add(path, kAttempts, done); });
    case Change::Kind::started: return start_stopped(path);
    case Change::Kind::resumed:
      return attempt_.steps.then([this, path](const Done& done) { parts_.operations.resume(path, done); });
  }
}

// An operator's stop may still be under way. Since the plan was made, a temporary child may have gone with its end, or
// an operator may have deleted it.
void Commit::start_stopped(const std::string& path) {
  attempt_.steps.then([this, path](const Done& done) {
    const running::Overrides& overrides = parts_.catalogue.overrides();
    if (!overrides.is_stopped(path) && !overrides.is_erased(path)) return done({});  // the trial has started it
    if (!parts_.engine.has(path)) return attempt_.add(path, done);
    parts_.operations.stop(path, [this, path, done](const Outcome& stopped) {
      if (!parts_.engine.has(path)) return attempt_.add(path, done);
      if (!stopped) return done(stopped);
      parts_.operations.start(path, done);
    });
  });
}

void Commit::change_in_place(const std::string& path) {
  if (path == "log") return reopen_log();
  change_log(path);
  change_process(path);
  give_limits(path);
}

void Commit::reopen_log() {
  then([this] {
    for (std::string& problem : parts_.log.reopen(parts_.catalogue.config().log)) {
      attempt_.steps.note(std::move(problem));
    }
  });
}

// Of a listener; that of a process changes with the process.
void Commit::change_log(const std::string& path) {
  then([this, path] {
    net::Listener* const listener = parts_.listeners.at(path);
    const config::Node* const node = listener != nullptr ? attempt_.new_node(path) : nullptr;
    if (node == nullptr || !node->listener) return;
    for (std::string& problem : parts_.children.use_log(*listener, node->listener->log)) {
      attempt_.steps.note(std::move(problem));
    }
  });
}

void Commit::change_process(const std::string& path) {
  then([this, path] {
    const auto view = parts_.engine.view(path);
    const config::Node* const node = view ? parts_.catalogue.at(view->spec->tag) : nullptr;
    if (node != nullptr && node->process) parts_.children.change(view->run, *node);
  });
}

void Commit::give_limits(const std::string& path) {
  attempt_.steps.then([this, path](const Done& done) { limit(path, done); });
}

void Commit::limit(const std::string& path, const Done& done) {
  net::Listener* const listener = parts_.listeners.at(path);
  if (listener == nullptr || !listener->is_open()) return done({});
  const ipc::Limits limits = listener->limit(*parts_.catalogue.find(path)->listener);
  parts_.children.ask(*listener, limits, [this, path, done](std::uint32_t) {
    if (net::Listener* const still = parts_.listeners.at(path)) parts_.children.send(*still, ipc::Kick{});
    done({});
  });
}

// The existing workers empty the queues of addresses that are removed, before they exit.
void Commit::leave_addresses(const std::string& path) {
  attempt_.steps.then([this, path](const Done& done) {
    net::Listener* const listener = parts_.listeners.at(path);
    if (listener == nullptr || !listener->refuse_left_over()) return done({});
    looks_left_ = kLooks;
    after_pause_ = [this, path, done] { empty_queues(path, done); };
    pause_.start(kHandshakes);
  });
}

// Clients that wait at an address that goes away are served even if the listener is suspended, as when it ends.
void Commit::empty_queues(const std::string& path, const Done& done) {
  net::Listener* const listener = parts_.listeners.at(path);
  if (listener == nullptr) return done({});
  const bool suspended = !listener->gate().accepting();
  if (looks_left_-- == 0 || !listener->has_left_over_clients()) {
    if (suspended) parts_.children.send(*listener, ipc::Suspend{});
    return done({});
  }
  if (suspended) parts_.children.send_to_older(*listener, parts_.catalogue.generation(), ipc::Resume{});
  after_pause_ = [this, path, done] { empty_queues(path, done); };
  pause_.start(kNextLook);
}

// The workers of the trial stay until the number of workers is settled, and so serve meanwhile.
void Commit::replace_workers(const std::string& path) {
  attempt_.steps.then([this, path](const Done& done) {
    const auto renewal = attempt_.renewals.find(path);
    if (renewal == attempt_.renewals.end() || parts_.listeners.serving_at(path) == nullptr) return done({});
    renewal->second.replace(done);
  });
}

// A listener that drains must not delay the rest.
void Commit::end_removed(const std::string& path) {
  then([this, path] {
    attempt_.end_child(path, [](const Outcome& ended) {
      if (!ended) log::Line(log::Level::error, "root").text("reloaded, but: ").text(ended.text).write();
    });
  });
}

// What was there before has gone, so there is no way back: a start that fails for any reason, as when somebody kills
// the new process, is tried again.
void Commit::add(const std::string& path, int attempts_left, const Done& done) {
  attempt_.add(path, [this, path, attempts_left, done](const Outcome& started) {
    const bool failed = started.word == supervision::ReplyError::start_failed;
    if (!failed || attempts_left == 0) return done(started);
    parts_.later([this, path, attempts_left, done] { add(path, attempts_left - 1, done); });
  });
}

// Once the tree has the new children, the list gets its order. A listener that an operator suspended stays suspended.
void Commit::settle_everything() {
  update_specs();
  for (const net::Listener* listener : parts_.listeners.all()) {
    const std::string path = listener->path();
    const config::Node* const node = attempt_.new_node(path);
    if (node == nullptr || !node->listener || parts_.listeners.serving_at(path) == nullptr) continue;
    settle_workers(path);
  }
  tell_processes();
}

void Commit::settle_workers(const std::string& path) {
  attempt_.steps.then([this, path](const Done& done) {
    net::Listener* const listener = parts_.listeners.serving_at(path);
    if (listener == nullptr) return done({});
    listener->close_left_over();
    parts_.scaling.settle(path, done);
  });
}

// Processes that this reload has started have read their files already.
void Commit::tell_processes() {
  parts_.children.tell_to_reload([this](const std::string& path) {
    return std::ranges::none_of(attempt_.plan.changes, [&path](const Change& change) {
      const bool starts = change.kind == Change::Kind::added || change.kind == Change::Kind::restarted ||
                          change.kind == Change::Kind::replaced || change.kind == Change::Kind::started;
      return starts && supervision::is_at_or_below(path, change.path);
    });
  });
}

}  // namespace bulkhead::reload
