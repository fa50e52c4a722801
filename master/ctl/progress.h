// What a command waits for, on one line of a terminal that is rewritten until the answer comes: "draining root/echo:
// 12 connections left, 25 s until they are ended". It goes to standard error, and only if that is a terminal.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "master/ctl/client.h"
#include "master/ctl/command_line.h"

namespace bulkhead::ctl {

class Conversation;

// What ends, starts or is waited for at and below a node, which is as `tree` has it. Empty: nothing. Pure.
[[nodiscard]] std::string progress_text(const nlohmann::ordered_json& node);

class Progress {
 public:
  // Nothing for commands that do not wait, or without a terminal. `socket`: the daemon's.
  [[nodiscard]] static std::optional<Progress> at_terminal(const std::string& socket, const Invocation& invocation);

  // To be called every now and then while an answer about `path` is waited for; empty: about the whole tree.
  void look(const std::string& path);
  // Before anything else is written.
  void clear();

 private:
  Progress(std::string socket, std::string_view method) : socket_(std::move(socket)), method_(method) {}
  [[nodiscard]] nlohmann::ordered_json node_at(const std::string& path);
  void show(const std::string& text);

  std::string socket_;
  std::string method_;
  std::optional<Client> client_;  // its own connection
  std::string shown_;
};

}  // namespace bulkhead::ctl
