#include "master/reload/commit.h"

#include <algorithm>
#include <utility>

#include "master/config/tree_of_config.h"
#include "master/supervision/path.h"
#include "worker/ipc/message.h"
#include "worker/log/log.h"

namespace bulkhead::reload {

namespace {

using procedure::Outcome;

constexpr std::chrono::milliseconds kHandshakes(100);
constexpr int kAttempts = 3;

}  // namespace

Commit::Commit(loop::Loop& loop, Attempt& attempt, std::function<void()> taken_over)
    : attempt_(attempt),
      parts_(attempt.parts),
      taken_over_(std::move(taken_over)),
      pause_(loop, [this] { std::exchange(after_pause_, nullptr)({}); }) {}

void Commit::then(std::function<void()> deed) {
  attempt_.steps.then([deed = std::move(deed)](const Done& done) {
    deed();
    done({});
  });
}

void Commit::plan_steps() {
  then([this] { take_over(); });
  for (const Change& change : attempt_.plan.changes) commit(change);
  then([this] { settle_everything(); });
}

void Commit::take_over() {
  attempt_.end_trial("root");
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
  parts_.engine.update(config::tree_of_config(parts_.catalogue.config().root));
  taken_over_();
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
      replace_workers(path);
      return give_limits(path);
    case Change::Kind::removed: return end_removed(path);
    case Change::Kind::replaced:
      end_removed(path);
      return attempt_.steps.then([this, path](const Done& done) { add(path, kAttempts, done); });
  }
}

void Commit::change_in_place(const std::string& path) {
  if (path == "log") return then([this] { parts_.log.reopen(parts_.catalogue.config().log); });
  change_process(path);
  give_limits(path);
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
    after_pause_ = done;
    pause_.start(kHandshakes);
  });
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
  parts_.engine.update(config::tree_of_config(parts_.catalogue.config().root));
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
    parts_.scaling.settle(path, workers_of(path), done);
  });
}

// The number in the new file. If an operator has scaled the listener and the file's number has not changed: the
// operator's.
std::uint32_t Commit::workers_of(const std::string& path) const {
  const std::uint32_t in_file = parts_.catalogue.find(path)->listener->workers;
  const auto scaled = attempt_.scaled.find(path);
  return scaled != attempt_.scaled.end() && scaled->second.in_file == in_file ? scaled->second.present : in_file;
}

// Processes that this reload has started have read their files already.
void Commit::tell_processes() {
  parts_.children.tell_to_reload([this](const std::string& path) {
    return std::ranges::none_of(attempt_.plan.changes, [&path](const Change& change) {
      const bool starts = change.kind == Change::Kind::added || change.kind == Change::Kind::restarted ||
                          change.kind == Change::Kind::replaced;
      return starts && supervision::is_at_or_below(path, change.path);
    });
  });
}

}  // namespace bulkhead::reload
