// Children that operators add while the daemon runs: bulkheadctl add.
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "master/config/find_node.h"
#include "master/config/tree_of_config.h"
#include "master/daemon.h"
#include "master/host/clock.h"

namespace bulkhead {

using protocol::Failure;
using supervision::ChildSpec;
using supervision::NodeType;
using supervision::Operation;
using supervision::ReplyError;

void DaemonControl::add(const Params& params, protocol::Reply reply) {
  const std::string supervisor = params.at("path");
  const std::string child = params.at("child");
  const auto parent = daemon_.tree_.find(supervisor);
  const auto view = parent ? daemon_.tree_.node(*parent, now()) : std::nullopt;
  if (!view || view->spec->type != NodeType::supervisor) return reply(answer_of(ReplyError::noproc, supervisor));
  // One child in a file of its own, so that its problems have positions; the line breaks of the text stay what they
  // are. Whether it may be significant is for its supervisor to say.
  static constexpr const char* kAutoShutdown[] = {"never", "any_significant", "all_significant"};
  const char* const auto_shutdown = kAutoShutdown[static_cast<std::size_t>(view->spec->flags.auto_shutdown)];
  upgrade::AddedChild origin;
  origin.supervisor = supervisor;
  origin.text = fmt::format(R"({{"supervisor":{{"auto_shutdown":"{}","children":[)", auto_shutdown) + child + "]}}";
  origin.file = params.value("file", "child");
  origin.directory = params.value("directory", "/");
  config::Loaded loaded = config::parse(origin.text, origin.file, origin.directory);
  if (!loaded.config) {
    std::string message;
    for (const config::Problem& problem : loaded.problems) message += (message.empty() ? "" : "\n") + problem.text();
    return reply({nullptr, Failure{protocol::kNegative, message, DaemonControl::word_of(ReplyError::invalid_spec)}});
  }
  if (loaded.config->root.children.size() != 1) return reply(refused("one child at a time"));
  add_node(std::move(loaded.config->root.children.front()), std::move(origin), std::move(reply));
}

void DaemonControl::add_node(config::Node node, upgrade::AddedChild origin, protocol::Reply reply) {
  const std::string supervisor = origin.supervisor;
  const std::string path = supervisor + "/" + node.spec.id;
  ChildSpec spec = config::tree_of_config(node);
  // Known already: the tree answers, and what is there stays as it is.
  const bool is_new = !daemon_.tree_.find(path);
  if (is_new) {
    spec = config::tree_of_config(enter(std::move(node), std::move(origin)));
    if (const auto error = daemon_.add_listeners(*added_.back().node, path)) {
      forget(path);
      forget_added(path);
      return reply(
          {nullptr, Failure{protocol::kNegative, error->text(), DaemonControl::word_of(ReplyError::start_failed)}});
    }
  }
  operate(
      Operation::start_child, supervisor, spec.id,
      [this, path, is_new, reply](ReplyError error) {
        if (error != ReplyError::none && is_new) {
          forget(path);
          forget_added(path);
        }
        reply(answer_of(error, path));
      },
      spec);
}

const config::Node& DaemonControl::enter(config::Node node, upgrade::AddedChild origin) {
  const auto kept = std::make_shared<config::Node>(std::move(node));
  added_.push_back({kept, std::move(origin)});
  return daemon_.register_nodes(*kept, kept);
}

void DaemonControl::forget_added(const std::string& path) {
  std::erase_if(added_, [this, &path](const Added& one) {
    const bool gone = one.path() == path || one.path().starts_with(path + "/");
    if (gone) forget_entries(*one.node);
    return gone;
  });
}

void DaemonControl::forget_entries(const config::Node& node) {
  daemon_.forget_entry(node.spec.tag);
  for (const config::Node& child : node.children) forget_entries(child);
}

std::vector<upgrade::AddedChild> DaemonControl::added() const {
  std::vector<upgrade::AddedChild> out;
  for (const Added& one : added_) out.push_back(one.origin);
  return out;
}

void DaemonControl::resume_added(config::Node node, upgrade::AddedChild origin) {
  enter(std::move(node), std::move(origin));
}

const config::Node* DaemonControl::find_added(const std::string& path) const {
  for (const Added& one : added_) {
    const config::Node& node = *one.node;
    if (const config::Node* found = config::find_node(node, one.path(), path)) return found;
  }
  return nullptr;
}

}  // namespace bulkhead
