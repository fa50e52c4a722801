// Knows what the daemon is configured to run: the configuration in effect, the entry behind each node of the tree, and
// what operators have added or changed. Pure: it starts nothing, opens nothing and knows no clock.
//
// A node of the tree finds its entry by ChildSpec::tag, because the entry at its path may have changed: a child of an
// earlier configuration keeps the entry from which it was started, and `owner` keeps that entry alive.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "master/config/config.h"
#include "master/running/overrides.h"

namespace bulkhead::running {

// A child that an operator has added, as it was requested.
struct AddedChild {
  std::string supervisor;
  std::string text;
  std::string file;
  std::string directory;
};

// The configuration whose only child is this one, which is JSON. Whether it may be significant is for its supervisor to
// say, and which users listeners get for the daemon.
[[nodiscard]] std::string text_with(std::string_view child, supervision::AutoShutdown of_supervisor,
                                    const std::optional<config::UidRange>& uid_pool);

// A configuration that is or was in effect, as --dump-config prints it; `file` is where it came from.
[[nodiscard]] config::Loaded read_effective(const std::string& effective, const std::string& file);

class Catalogue {
 public:
  struct Entry {
    const config::Node* node = nullptr;  // null: forgotten
    std::shared_ptr<const void> owner;
  };

  // `effective` is the configuration as --dump-config prints it.
  Catalogue(config::Config config, std::string effective);

  [[nodiscard]] const config::Config& config() const noexcept { return *config_; }
  [[nodiscard]] std::shared_ptr<const config::Config> in_effect() const noexcept { return config_; }
  // Keeps the entries of the configuration in effect where they are.
  [[nodiscard]] std::shared_ptr<const void> owner() const noexcept { return config_; }
  [[nodiscard]] const std::string& effective() const noexcept { return effective_; }

  // Counts applied configurations. The next one begins with the trial of a reload and is taken back with it.
  [[nodiscard]] std::uint32_t generation() const noexcept { return generation_; }
  void set_generation(std::uint32_t generation) noexcept { generation_ = generation; }

  // Gives `node` and every node below it a tag of its own. `owner` keeps them alive and in place.
  const config::Node& enter(config::Node& node, const std::shared_ptr<const void>& owner);
  [[nodiscard]] const Entry& entry(std::uint32_t tag) const { return entries_.at(tag); }
  [[nodiscard]] const config::Node* at(std::uint32_t tag) const { return entries_.at(tag).node; }
  void put(std::uint32_t tag, Entry entry) { entries_.at(tag) = std::move(entry); }
  void forget(std::uint32_t tag) { entries_.at(tag) = {}; }

  // The entry that an earlier configuration has at `path`, if its node has not ended; else the one that the
  // configuration in effect has there, or an operator.
  [[nodiscard]] const config::Node* find(const std::string& path) const;
  [[nodiscard]] config::Node* find_in_config(const std::string& path);
  // The configuration in effect has it, or a supervisor above it, as `"enabled": false`.
  [[nodiscard]] bool is_disabled(const std::string& path) const;
  // What the tree is to run for the entry `node` at `path`: as it says, with the changes by operators.
  [[nodiscard]] supervision::ChildSpec spec_of(const config::Node& node, const std::string& path) const;

  [[nodiscard]] Overrides& overrides() noexcept { return overrides_; }
  [[nodiscard]] const Overrides& overrides() const noexcept { return overrides_; }

  // Another configuration takes effect. A node that exists in the tree, according to `tag_of`, keeps its tag, which
  // from now on names the new entry; the others get tags for their start. `changed` is called for each new entry of an
  // existing node.
  using TagOf = std::function<std::optional<std::uint32_t>(const std::string& path, supervision::NodeType type)>;
  using Changed = std::function<void(const std::string& path, const config::Node& node)>;
  void take_over(std::shared_ptr<config::Config> config, std::string effective, const TagOf& tag_of,
                 const Changed& changed);

  // Children that operators have added. The entry stays where it is until it is removed.
  const config::Node& add(config::Node node, AddedChild origin);
  void remove_added(const std::string& path);  // at and below it
  [[nodiscard]] std::vector<AddedChild> added() const;
  [[nodiscard]] bool is_added(const std::string& path) const;

  // The root, each child that operators have added, and each that is leaving.
  void for_each_top(const std::function<void(const std::string& path, const config::Node& node)>& visit) const;

  // What is about to be removed by take_over(), and ends only after it: its entry stays until it has gone. Not for an
  // entry that the configuration does not have.
  void leave(const std::string& path);
  // The same in another program.
  void leave(config::Node node, AddedChild origin);
  void has_left(const std::string& path);                        // it and everything below it
  void stays(const std::string& path);                           // the configuration that takes effect has it again
  [[nodiscard]] bool is_leaving(const std::string& path) const;  // it, or something above it
  [[nodiscard]] std::vector<AddedChild> leaving() const;
  // Each with its path, and its text in the effective file.
  using VisitLeaving = std::function<void(const std::string& path, const config::Node& node, const std::string& text)>;
  void for_each_leaving(const VisitLeaving& visit) const;

 private:
  struct Added {
    std::shared_ptr<const config::Node> node;
    AddedChild origin;
    [[nodiscard]] std::string path() const;
  };
  void adopt(config::Node& node, const std::string& path, const std::shared_ptr<const void>& owner, const TagOf& tag_of,
             const Changed& changed);
  void forget_all(const config::Node& node);
  void remove_below(std::vector<Added>& list, const std::string& path);  // at `path` and below it

  std::shared_ptr<config::Config> config_;
  std::string effective_;
  std::uint32_t generation_ = 1;
  std::vector<Entry> entries_;  // by tag
  std::vector<Added> added_;
  std::vector<Added> leaving_;
  Overrides overrides_;
};

}  // namespace bulkhead::running
