#include "master/ctl/conversation.h"

#include <algorithm>
#include <cstdio>
#include <functional>

#include "master/protocol/protocol.h"

namespace bulkhead::ctl {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint64_t kRequestId = 1;
constexpr std::chrono::milliseconds kLook{500};

int no_answer() {
  return complain("the daemon closed the connection without an answer", kCannotConnect);
}

int print_news(Conversation& daemon, const std::function<void(const Json&)>& print_one) {
  while (const auto one = daemon.next_news()) {
    print_one(*one);
    std::fflush(stdout);
  }
  return complain("the daemon closed the connection", kCannotConnect);
}

int print_events(Conversation& daemon, const Printer& printer, const Json& result, bool follow) {
  if (member_flag(result, "missed")) complain("some of the events before these are no longer available", 0);
  for (const Json& event : member(result, "events")) printer.event(event);
  std::fflush(stdout);
  if (!follow) return kOk;
  return print_news(daemon, [&printer](const Json& event) { printer.event(event); });
}

// With --json the lines that follow are an object each, so those of the answer are, too.
int print_logs(Conversation& daemon, const Printer& printer, const Json& result) {
  for (const Json& note : member(result, "notes")) printer.log_line({{"note", note}});
  for (const Json& line : member(result, "lines")) printer.log_line(line);
  std::fflush(stdout);
  return print_news(daemon, [&printer](const Json& line) { printer.log_line(line); });
}

// The answers of a verb about several nodes, until all of them are there.
class Answers {
 public:
  Answers(const Invocation& invocation, const Printer& printer)
      : invocation_(invocation), printer_(printer), lists_(invocation.command->name == "connections") {}

  void add(const std::string& path, const protocol::Answer& answer, const Json& params) {
    if (answer.failure) return add_failure(path, *answer.failure);
    if (lists_) {
      for (const Json& one : answer.result) all_.push_back(one);
    } else if (printer_.json()) {
      add_json(path, answer.result);
    } else {
      (void)printer_.result(invocation_.command->name, params, answer.result);
    }
  }
  void add_unmatched(const std::string& pattern) {
    add_failure(pattern, {protocol::kNoSuchObject, "no node matches " + pattern, "not_found"});
  }
  [[nodiscard]] int finish() const {
    if (printer_.json() || (lists_ && status_ == kOk)) {
      (void)printer_.result(invocation_.command->name, invocation_.params, all_);
    }
    return status_;
  }

 private:
  void add_failure(const std::string& path, const protocol::Failure& failure) {
    status_ = kNo;
    if (printer_.json()) {
      all_.push_back({{"path", path}});
      all_.back().update(failure_json(failure));
    } else {
      (void)printer_.failure(failure);
    }
  }
  // Every element names its node; most results do so themselves.
  void add_json(const std::string& path, const Json& result) {
    Json one = Json::object();
    if (!result.is_object() || !result.contains("path")) one["path"] = path;
    if (result.is_object()) one.update(result);
    all_.push_back(std::move(one));
  }

  const Invocation& invocation_;
  const Printer& printer_;
  bool lists_;  // the results are lists, which become one
  int status_ = kOk;
  Json all_ = Json::array();
};

std::optional<protocol::Answer> ask_with_progress(Conversation& daemon, std::string_view method, const Json& params,
                                                  Progress* progress) {
  if (progress == nullptr) return daemon.ask(method, params);
  auto answer = daemon.ask(method, params, [progress, path = params.value("path", "")] {
    progress->look(path);
    return true;
  });
  progress->clear();
  return answer;
}

protocol::Each each_of(const protocol::Command& command) {
  for (const protocol::Parameter& parameter : command.parameters) {
    if (parameter.each != protocol::Each::no) return parameter.each;
  }
  return protocol::Each::no;
}

}  // namespace

std::optional<protocol::Answer> Conversation::ask(std::string_view method, const Json& params, const Waiting& waiting) {
  client_.send(protocol::request_line(kRequestId, method, params));
  for (;;) {
    while (waiting && !client_.is_readable(std::chrono::steady_clock::now() + kLook)) {
      if (!waiting()) return std::nullopt;
    }
    const auto line = client_.read_line();
    if (!line) return std::nullopt;
    auto reply = protocol::parse_reply(*line);
    if (auto* answer = std::get_if<protocol::Answer>(&reply); answer != nullptr) return std::move(*answer);
  }
}

std::optional<Json> Conversation::next_news() {
  while (const auto line = client_.read_line()) {
    auto reply = protocol::parse_reply(*line);
    if (auto* news = std::get_if<protocol::Notification>(&reply); news != nullptr) return std::move(news->params);
  }
  return std::nullopt;
}

int ask_once(Conversation& daemon, const Invocation& invocation, const Printer& printer, const Json& params,
             Progress* progress) {
  const auto answer = ask_with_progress(daemon, invocation.command->name, params, progress);
  if (!answer) return no_answer();
  if (answer->failure) return printer.failure(*answer->failure);
  if (invocation.command->name == "events") {
    return print_events(daemon, printer, answer->result, params.value("follow", false));
  }
  if (invocation.command->name == "logs" && params.value("follow", false)) {
    return print_logs(daemon, printer, answer->result);
  }
  return printer.result(invocation.command->name, params, answer->result);
}

int ask_each(Conversation& daemon, const Invocation& invocation, const Printer& printer, Progress* progress) {
  if (invocation.params.value("follow", false)) return complain("logs: -f follows one PATH", kCtlUsage);
  const auto tree = daemon.ask("tree", Json::object());
  if (!tree) return no_answer();
  if (tree->failure) return printer.failure(*tree->failure);
  const std::vector<Target> targets = targets_of(invocation.targets, tree->result, each_of(*invocation.command));
  // So that all of them drain at the same time.
  const bool waits = invocation.params.value("wait", false);
  if (invocation.command->name == "drain" && waits) {
    for (const Target& target : targets) {
      if (!target.is_unmatched && !daemon.ask("drain", {{"path", target.path}})) return no_answer();
    }
  }
  Answers answers(invocation, printer);
  for (const Target& target : targets) {
    if (target.is_unmatched) {
      answers.add_unmatched(target.path);
      continue;
    }
    Json params = invocation.params;
    params["path"] = target.path;
    const auto answer = ask_with_progress(daemon, invocation.command->name, params, progress);
    if (!answer) return no_answer();
    answers.add(target.path, *answer, params);
    std::fflush(stdout);
  }
  return answers.finish();
}

}  // namespace bulkhead::ctl
