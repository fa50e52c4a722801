#include "master/reload/plan.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <string_view>

#include "master/config/option_table.h"

using namespace bulkhead;
using namespace bulkhead::reload;
using nlohmann::ordered_json;

namespace {

ordered_json file_with(const char* children) {
  return {
      {"daemon", {{"drain_timeout", "30s"}}},
      {"control", {{"socket", "/run/x"}}},
      {"log", {{"target", "stderr"}}},
      {"supervisor", {{"strategy", "one_for_one"}, {"max_restarts", 3}, {"children", ordered_json::parse(children)}}}};
}

std::string text_of(const ReloadPlan& plan) {
  std::string out;
  for (const Change& change : plan.changes) {
    out += std::string(kChangeWords.text(change.kind)) + " " + change.path;
    for (const std::string& key : change.keys) out += " " + key;
    out += "\n";
  }
  for (const std::string& pointer : plan.needs_restart) out += "restart " + pointer + "\n";
  return out;
}

std::string changes(const char* before, const char* after) {
  return text_of(plan_reload(file_with(before), file_with(after)));
}

constexpr const char* kEcho =
    R"([{"id":"echo","type":"listener","listen":"4040","workers":2,"max_connections":8,"handler":"echo"}])";

bool has_option(config::Scope scope, std::string_view name) {
  const auto options = config::options_of(scope);
  return std::any_of(options.begin(), options.end(), [&](const config::Option* one) { return one->name == name; });
}

// True if the section ("/control") or the option ("/daemon/pid_file") exists.
bool names_an_option(std::string_view pointer) {
  const std::string_view path = pointer.substr(1);
  const std::size_t slash = path.find('/');
  const std::string_view section = path.substr(0, slash);
  if (!has_option(config::Scope::top, section)) return false;
  if (slash == std::string_view::npos) return true;
  for (const config::Option* option : config::options_of(config::Scope::top)) {
    if (option->name == section) return has_option(config::scope_of(*option), path.substr(slash + 1));
  }
  return false;
}

bool is_key_of(config::Scope scope, std::string_view name) {
  return has_option(scope, name) || has_option(config::Scope::child, name) ||
         has_option(config::Scope::child_keys, name);
}

}  // namespace

TEST_CASE("a child that is disabled counts as not written") {
  const char* const with = R"([{"id":"a","type":"process","enabled":true},
      {"id":"s","type":"supervisor","children":[{"id":"b","type":"process"}]}])";
  const char* const without = R"([{"id":"a","type":"process","enabled":false},
      {"id":"s","type":"supervisor","children":[{"id":"b","type":"process","enabled":false}]}])";
  CHECK(changes(without, without).empty());
  CHECK(changes(with, without) == "removed root/a\nremoved root/s/b\n");
  CHECK(changes(without, with) == "added root/a\nadded root/s/b\n");
}

TEST_CASE("every option that the plan names is in the option table") {
  for (const std::string_view pointer : kFixed) {
    INFO(pointer);
    CHECK(names_an_option(pointer));
  }
  CHECK_FALSE(names_an_option("/status"));
  CHECK_FALSE(names_an_option("/daemon/socket"));
  for (const std::string_view key : kListenerInPlace) {
    INFO(key);
    CHECK(is_key_of(config::Scope::listener, key));
  }
  for (const std::string_view key : kProcessInPlace) {
    INFO(key);
    CHECK(is_key_of(config::Scope::process, key));
  }
}

TEST_CASE("the same file changes nothing") {
  CHECK(changes(kEcho, kEcho).empty());
}

TEST_CASE("a limit, an intensity and a number of workers change in place") {
  CHECK(changes(
            kEcho,
            R"([{"id":"echo","type":"listener","listen":"4040","workers":3,"max_connections":7,"handler":"echo"}])") ==
        "in_place root/echo workers max_connections\n");
}

TEST_CASE("a max_connections beyond the room of the workers needs new workers") {
  CHECK(changes(
            kEcho,
            R"([{"id":"echo","type":"listener","listen":"4040","workers":2,"max_connections":9,"handler":"echo"}])") ==
        "new_workers root/echo max_connections\n");
}

TEST_CASE("another handler, or another address, needs new workers") {
  CHECK(
      changes(
          kEcho,
          R"([{"id":"echo","type":"listener","listen":"4040","workers":3,"max_connections":8,"handler":"discard"}])") ==
      "new_workers root/echo workers handler\n");
  CHECK(changes(
            kEcho,
            R"([{"id":"echo","type":"listener","listen":"4041","workers":2,"max_connections":8,"handler":"echo"}])") ==
        "new_workers root/echo listen\n");
}

TEST_CASE("a removed key is a change") {
  CHECK(changes(R"([{"id":"echo","type":"listener","listen":"1","user":"nobody"}])",
                R"([{"id":"echo","type":"listener","listen":"1"}])") == "new_workers root/echo user\n");
}

TEST_CASE("children are added, removed and change their type; removals first") {
  CHECK(changes(R"([{"id":"a","type":"process","argv":["/a"]},{"id":"b","type":"process","argv":["/b"]}])",
                R"([{"id":"c","type":"process","argv":["/c"]},{"id":"b","type":"listener","listen":"1"}])") ==
        "removed root/a\nadded root/c\nreplaced root/b type\n");
}

TEST_CASE("a new order of the children that stay is a change") {
  const char* const before =
      R"([{"id":"a","type":"process","argv":["/a"]},{"id":"b","type":"process","argv":["/b"]},{"id":"c","type":"process","argv":["/c"]}])";
  CHECK(
      changes(
          before,
          R"([{"id":"b","type":"process","argv":["/b"]},{"id":"a","type":"process","argv":["/x"]},{"id":"c","type":"process","argv":["/c"]}])") ==
      "reordered root\nrestarted root/a argv\n");
  CHECK(changes(before, R"([{"id":"c","type":"process","argv":["/c"]},{"id":"a","type":"process","argv":["/a"]}])") ==
        "reordered root\nremoved root/b\n");
}

TEST_CASE("adding or removing a child between others keeps their order") {
  const char* const two = R"([{"id":"a","type":"process","argv":["/a"]},{"id":"b","type":"process","argv":["/b"]}])";
  const char* const three =
      R"([{"id":"a","type":"process","argv":["/a"]},{"id":"x","type":"process","argv":["/x"]},{"id":"b","type":"process","argv":["/b"]}])";
  CHECK(changes(two, three) == "added root/x\n");
  CHECK(changes(three, two) == "removed root/x\n");
}

TEST_CASE("a process is restarted for its program, not for its policy") {
  CHECK(changes(R"([{"id":"a","type":"process","argv":["/a"],"shutdown":"5s"}])",
                R"([{"id":"a","type":"process","argv":["/a"],"shutdown":"6s"}])") == "in_place root/a shutdown\n");
  CHECK(changes(R"([{"id":"a","type":"process","argv":["/a"]}])", R"([{"id":"a","type":"process","argv":["/b"]}])") ==
        "restarted root/a argv\n");
}

TEST_CASE("nested supervisors are compared in depth") {
  CHECK(
      changes(
          R"([{"id":"s","type":"supervisor","strategy":"one_for_one","children":[{"id":"a","type":"process","argv":["/a"]}]}])",
          R"([{"id":"s","type":"supervisor","strategy":"one_for_all","children":[]}])") ==
      "in_place root/s strategy\nremoved root/s/a\n");
}

TEST_CASE("options that only a restart can change are named") {
  ordered_json before = file_with("[]");
  ordered_json after = before;
  after["control"]["socket"] = "/run/y";
  after["daemon"]["pid_file"] = "/run/pid";
  after["daemon"]["drain_timeout"] = "1s";
  after["log"]["target"] = "/var/log/x";
  CHECK(text_of(plan_reload(before, after)) ==
        "in_place daemon drain_timeout\nin_place log target\nrestart /daemon/pid_file\nrestart /control\n");
}

TEST_CASE("a listener that has not ended is taken back, even if nothing else differs") {
  const Leaving echo{"root/echo", ordered_json::parse(kEcho).at(0)};
  CHECK(text_of(plan_reload(file_with("[]"), file_with(kEcho), {}, {echo})) == "taken_back root/echo\n");
  CHECK(text_of(plan_reload(file_with("[]"), file_with("[]"), {}, {echo})).empty());
  CHECK(text_of(plan_reload(file_with("[]"), file_with(kEcho))) == "added root/echo\n");
}

TEST_CASE("what differs from the entry that is taken back is a change of it") {
  Leaving echo{"root/echo", ordered_json::parse(kEcho).at(0)};
  echo.entry["handler"] = "discard";
  CHECK(text_of(plan_reload(file_with("[]"), file_with(kEcho), {}, {echo})) == "taken_back root/echo handler\n");
  Leaving db{"root/db", {{"id", "db"}, {"type", "process"}, {"argv", {"/bin/a"}}}};
  const char* const after = R"([{"id":"db","type":"process","argv":["/bin/b"]}])";
  CHECK(text_of(plan_reload(file_with("[]"), file_with(after), {}, {db})) ==
        "taken_back root/db\nrestarted root/db argv\n");
}

TEST_CASE("another type under the name of what is ending is added") {
  const Leaving echo{"root/echo", ordered_json::parse(kEcho).at(0)};
  const char* const after = R"([{"id":"echo","type":"process","argv":["/bin/b"]}])";
  CHECK(text_of(plan_reload(file_with("[]"), file_with(after), {}, {echo})) == "added root/echo\n");
}

TEST_CASE("the listeners below a supervisor that is taken back get new workers") {
  const std::string web = R"([{"id":"web","type":"supervisor","children":)" + std::string(kEcho) + "}]";
  const Leaving leaving{"root/web", ordered_json::parse(web).at(0)};
  CHECK(text_of(plan_reload(file_with("[]"), file_with(web.c_str()), {}, {leaving})) ==
        "taken_back root/web\nnew_workers root/web/echo\n");
}
