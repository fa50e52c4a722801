#include "master/running/engine.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "master/supervision/path.h"

namespace bulkhead::running {

using namespace supervision;

Engine::Engine(ChildSpec root, std::uint64_t seed, Clock clock, Effects& effects)
    : clock_(std::move(clock)), effects_(effects), tree_(std::move(root), seed, RootEnd::asks) {}

void Engine::apply(Event event) {
  events_.push_back(std::move(event));
  if (turning_) return;
  turning_ = true;
  while (!events_.empty()) {
    const Event next = std::move(events_.front());
    events_.pop_front();
    for (const Command& command : tree_.step(next, clock_())) carry_out(command);
  }
  turning_ = false;
  effects_.settled();
}

void Engine::carry_out(const Command& command) {
  struct Actions {
    Engine& engine;
    void operator()(const StartChild& c) const {
      const auto child = engine.view(c.node);
      if (child) engine.effects_.start(*child, *engine.view(child->parent), c.run);
    }
    void operator()(const StopChild& c) const { engine.effects_.stop(c.run); }
    void operator()(const KillChild& c) const { engine.effects_.kill(c.run); }
    void operator()(const Reply& reply) const { engine.answer(reply); }
    void operator()(const Report& report) const { engine.effects_.told(report); }
    void operator()(const TreeEnding& end) const { engine.effects_.ending(end); }
    void operator()(const TreeTerminated& end) const { engine.effects_.over(end); }
  };
  std::visit(Actions{*this}, command);
}

void Engine::operate(Operation operation, const std::string& path, Answered answered, ChildSpec spec, Asker asker) {
  request({0, operation, parent_of(path), id_of(path), std::move(spec)}, std::move(answered), asker);
}

void Engine::start_together(const std::string& supervisor, std::vector<ChildSpec> children, Answered answered) {
  ChildSpec together;
  together.children = std::move(children);
  request({0, Operation::start_children, supervisor, "", std::move(together)}, std::move(answered), Asker::here);
}

void Engine::request(OperationRequested request, Answered answered, Asker asker) {
  request.token = ++last_token_;
  unanswered_[request.token] = {std::move(answered), asker};
  apply(std::move(request));
}

void Engine::answer(const Reply& reply) {
  auto asked = unanswered_.extract(reply.token);
  if (asked) asked.mapped().answered(reply.error);
}

bool Engine::has_unanswered() const noexcept {
  return std::ranges::any_of(unanswered_, [](const auto& one) { return one.second.asker == Asker::here; });
}

std::optional<NodeView> Engine::view(const std::string& path) const {
  return tree_.view(path, clock_());
}

std::optional<NodeView> Engine::view(NodeId node) const {
  return tree_.node(node, clock_());
}

std::optional<std::string> Engine::waits_for(NodeId node) const {
  const auto busy = tree_.waits_for(node);
  const auto found = busy ? view(*busy) : std::nullopt;
  return found ? std::optional(found->path) : std::nullopt;
}

}  // namespace bulkhead::running
