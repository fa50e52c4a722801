// What the control socket may ask of the daemon, method by method. Runs in the master, on the loop.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "master/config/config.h"
#include "master/control/backend.h"
#include "master/control/snapshot.h"
#include "master/supervision/command.h"
#include "master/upgrade/handover.h"

namespace bulkhead {

class Daemon;

class DaemonControl final : public control::Backend {
 public:
  explicit DaemonControl(Daemon& daemon) : daemon_(daemon) {}

  void call(const std::string& method, const nlohmann::ordered_json& params, protocol::Reply reply) override;
  [[nodiscard]] static const char* word_of(supervision::ReplyError error);  // OTP's
  // The tree's answer to an operation.
  void on_reply(const supervision::Reply& reply);
  // WINCH suspends all listeners; TTIN and TTOU mean one worker more or fewer for each.
  void obey(int signal);
  // What keeps another program from taking over right now, as a sentence; empty: nothing.
  [[nodiscard]] std::string busy_with() const;
  // The children that operators have added, for another program to go on with, and their continuation there.
  [[nodiscard]] std::vector<upgrade::AddedChild> added() const;
  void resume_added(config::Node node, upgrade::AddedChild origin);
  // The entry of one of them, or of what is below it; null: it is none.
  [[nodiscard]] const config::Node* find_added(const std::string& path) const;
  // The listeners at and below `path` are no more.
  void forget(const std::string& path);

 private:
  friend class DaemonReload;
  friend class DaemonEndings;
  friend class WorkerRenewal;
  using Params = nlohmann::ordered_json;
  using Then = std::function<void(supervision::ReplyError)>;
  enum class While : std::uint8_t { always, not_stopping };
  struct Method {
    std::string_view name;
    void (DaemonControl::*carry_out)(const Params& params, protocol::Reply reply);
    While allowed;
  };
  static const Method kMethods[];

  [[nodiscard]] static protocol::Answer refused(std::string why);
  [[nodiscard]] static protocol::Answer answer_of(supervision::ReplyError error, const std::string& path);
  [[nodiscard]] protocol::Answer no_such_path(const char* what, const std::string& path) const;
  void operate(supervision::Operation operation, const std::string& supervisor, const std::string& id, Then then,
               supervision::ChildSpec spec = {});
  void status(const Params& params, protocol::Reply reply);
  void tree(const Params& params, protocol::Reply reply);
  void connections(const Params& params, protocol::Reply reply);
  void stats(const Params& params, protocol::Reply reply);
  void config(const Params& params, protocol::Reply reply);
  void explain(const Params& params, protocol::Reply reply);
  void restart(const Params& params, protocol::Reply reply);
  void stop(const Params& params, protocol::Reply reply);
  void drain(const Params& params, protocol::Reply reply);
  void start(const Params& params, protocol::Reply reply);
  void remove(const Params& params, protocol::Reply reply);
  void add(const Params& params, protocol::Reply reply);
  void add_node(config::Node node, upgrade::AddedChild origin, protocol::Reply reply);
  const config::Node& enter(config::Node node, upgrade::AddedChild origin);
  void forget_added(const std::string& path);  // and what is below it
  void forget_entries(const config::Node& node);
  void scale(const Params& params, protocol::Reply reply);
  void scale_now(const Params& params, protocol::Reply reply);
  void scale_step(const std::string& path, std::uint32_t wanted, protocol::Reply reply);
  void suspend(const Params& params, protocol::Reply reply);
  void resume(const Params& params, protocol::Reply reply);
  void set_suspended(const std::string& path, bool on, protocol::Reply reply);
  void check(const Params& params, protocol::Reply reply);
  void diff(const Params& params, protocol::Reply reply);
  void reload(const Params& params, protocol::Reply reply);
  void upgrade(const Params& params, protocol::Reply reply);
  void reopen(const Params& params, protocol::Reply reply);
  void penalties(const Params& params, protocol::Reply reply);
  void kill(const Params& params, protocol::Reply reply);
  void shutdown(const Params& params, protocol::Reply reply);

  [[nodiscard]] control::World world() const;
  [[nodiscard]] std::vector<net::Listener*> listeners_below(const std::string& path) const;

  Daemon& daemon_;
  std::uint64_t next_token_ = 1;
  std::map<std::uint64_t, Then> pending_;
  struct Added {
    std::shared_ptr<config::Node> node;
    upgrade::AddedChild origin;
    [[nodiscard]] std::string path() const { return origin.supervisor + "/" + node->spec.id; }
  };
  std::map<std::string, std::deque<std::function<void()>>> scaling_;  // by listener, the first under way
  std::vector<Added> added_;                                          // what was not in the file, and is there
};

}  // namespace bulkhead
