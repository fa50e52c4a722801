#include "master/simulate/scenario.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "master/supervision/words.h"
#include "worker/sys/enum_words.h"

namespace bulkhead::simulation {

namespace {

using supervision::ChildSpec;
using supervision::Duration;
using supervision::NodeType;

constexpr int kMaxDepth = 64;              // of nested supervisors; far more than needed, and safe for recursion
constexpr double kMaxMilliseconds = 1e12;  // 31 years; a sum of a few cannot overflow a Duration
constexpr std::uint32_t kMaxRestarts = 1'000'000;  // as in the configuration
constexpr sys::EnumWords<Behaviour::OnTerminate, sys::up_to(Behaviour::OnTerminate::exit_slow)> kOnTerminateWords{
    "exit", "ignore", "exit_normal", "exit_crash", "exit_slow"};
constexpr std::array kReasons{"normal", "shutdown", "shutdown_info", "crash", "permanent_failure", "retired"};

template <typename Value>
using Words = std::initializer_list<std::pair<std::string_view, Value>>;

// One JSON value and its place, so that every error names the place.
class Place {
 public:
  Place(const Json& json, std::string where) : json_(json), where_(std::move(where)) {}

  [[noreturn]] void fail(const std::string& what) const {
    throw ScenarioError(where_.empty() ? what : where_ + ": " + what);
  }

  [[nodiscard]] bool has(const char* key) const { return object().contains(key); }
  [[nodiscard]] Place at(const char* key) const {
    if (!has(key)) fail(std::string("missing key \"") + key + '"');
    return {json_.at(key), where_ + "/" + key};
  }
  [[nodiscard]] std::vector<Place> items() const {
    if (!json_.is_array()) fail("expected an array");
    std::vector<Place> places;
    for (std::size_t i = 0; i < json_.size(); ++i) places.emplace_back(json_[i], where_ + "/" + std::to_string(i));
    return places;
  }

  [[nodiscard]] bool is_array() const { return json_.is_array(); }
  [[nodiscard]] bool is_string() const { return json_.is_string(); }
  [[nodiscard]] std::string string() const {
    if (!json_.is_string()) fail("expected a string");
    return json_.get<std::string>();
  }
  [[nodiscard]] bool boolean() const {
    if (!json_.is_boolean()) fail("expected true or false");
    return json_.get<bool>();
  }
  [[nodiscard]] std::uint64_t count(std::uint64_t max) const {
    if (!json_.is_number_integer() || json_ < 0 || json_ > max) fail("expected 0 to " + std::to_string(max));
    return json_.get<std::uint64_t>();
  }
  [[nodiscard]] Duration time(double unit_in_ms) const {
    const bool fits =
        json_.is_number() && json_.get<double>() >= 0 && json_.get<double>() * unit_in_ms <= kMaxMilliseconds;
    if (!fits) fail("expected a time, 0 or more");
    return Duration(static_cast<Duration::rep>(json_.get<double>() * unit_in_ms * 1e6));
  }
  template <typename Value>
  [[nodiscard]] Value word(Words<Value> words) const {
    std::vector<std::string_view> known;
    for (const auto& [name, value] : words) {
      if (string() == name) return value;
      known.push_back(name);
    }
    fail_as_none_of(known);
  }
  template <typename Enum, std::size_t kCount>
  [[nodiscard]] Enum word(const sys::EnumWords<Enum, kCount>& words) const {
    if (const auto found = words.find(string())) return *found;
    fail_as_none_of(words);
  }
  template <typename Range>
  [[noreturn]] void fail_as_none_of(const Range& words) const {
    std::string known;
    for (const std::string_view word : words) known += (known.empty() ? "" : ", ") + std::string(word);
    fail('"' + string() + "\" is not one of " + known);
  }

 private:
  [[nodiscard]] const Json& object() const {
    if (!json_.is_object()) fail("expected an object");
    return json_;
  }

  const Json& json_;
  std::string where_;
};

class Reader {
 public:
  explicit Reader(Scenario& scenario) : scenario_(scenario) {}

  ChildSpec root(const Place& place) {
    ChildSpec spec;
    spec.id = "root";
    spec.type = NodeType::supervisor;
    supervisor(place, spec, 0);
    return spec;
  }

  ScenarioEvent event(const Place& place) {
    ScenarioEvent event{what(place), false};
    if (place.has("nowait")) event.nowait = place.at("nowait").boolean();
    return event;
  }

 private:
  using What = decltype(ScenarioEvent::what);

  ChildSpec child(const Place& place, int depth) {
    ChildSpec spec;
    spec.id = place.at("id").string();
    spec.type = place.at("type").word<NodeType>({{"worker", NodeType::process}, {"supervisor", NodeType::supervisor}});
    spec.restart = place.at("restart").word(supervision::kRestartWords);
    if (place.has("significant")) spec.significant = place.at("significant").boolean();
    if (spec.type == NodeType::supervisor) {
      supervisor(place, spec, depth);
    } else {
      spec.shutdown = shutdown(place.at("shutdown"));
      spec.tag = behaviour(place);
    }
    return spec;
  }

  void supervisor(const Place& place, ChildSpec& spec, int depth) {
    if (depth > kMaxDepth) place.fail("nested too deeply");
    spec.shutdown.kind = supervision::Shutdown::Kind::infinity;
    spec.flags.strategy = place.at("strategy").word(supervision::kStrategyWords);
    spec.flags.max_restarts = static_cast<std::uint32_t>(place.at("intensity").count(kMaxRestarts));
    spec.flags.max_seconds = place.at("period").time(1000);
    if (place.has("auto_shutdown")) {
      spec.flags.auto_shutdown = place.at("auto_shutdown").word(supervision::kAutoShutdownWords);
    }
    for (const Place& item : place.at("children").items()) spec.children.push_back(child(item, depth + 1));
  }

  static supervision::Shutdown shutdown(const Place& place) {
    using Kind = supervision::Shutdown::Kind;
    if (!place.is_string()) return {Kind::timeout, place.time(1)};
    return {place.word<Kind>({{"infinity", Kind::infinity}, {"brutal_kill", Kind::brutal_kill}}), Duration::zero()};
  }

  std::uint32_t behaviour(const Place& place) {
    Behaviour behaviour;
    using On = Behaviour::OnTerminate;
    if (place.has("on_terminate")) {
      behaviour.on_terminate = place.at("on_terminate").word(kOnTerminateWords);
    }
    if (behaviour.on_terminate == On::exit_slow) behaviour.delay = place.at("delay_ms").time(1);
    if (place.has("start_fail")) {
      for (const Place& attempt : place.at("start_fail").items())
        behaviour.start_fail.push_back(attempt.count(UINT32_MAX));
    }
    if (place.has("fail_delay_ms")) behaviour.fail_delay = place.at("fail_delay_ms").time(1);
    scenario_.behaviours.push_back(std::move(behaviour));
    return static_cast<std::uint32_t>(scenario_.behaviours.size() - 1);
  }

  What what(const Place& place) {
    if (place.has("exit")) return exits(place);
    if (place.has("op")) return operation(place);
    if (place.has("sleep_ms")) return Sleep{place.at("sleep_ms").time(1)};
    place.fail("expected one of the keys \"exit\", \"op\", \"sleep_ms\"");
  }

  static std::string reason(const Place& place) {
    std::string given = place.string();
    if (std::find(kReasons.begin(), kReasons.end(), given) == kReasons.end()) place.fail_as_none_of(kReasons);
    return given;
  }

  static Exits exits(const Place& place) {
    const Place paths = place.at("exit");
    const Place reasons = place.at("reason");
    if (!paths.is_array()) return {{{paths.string(), reason(reasons)}}};
    Exits exits;
    for (const Place& path : paths.items()) exits.exits.push_back({path.string(), {}});
    if (reasons.is_array() && reasons.items().size() != exits.exits.size())
      reasons.fail("expected one reason for each exit");
    for (std::size_t i = 0; i < exits.exits.size(); ++i) {
      exits.exits[i].reason = reason(reasons.is_array() ? reasons.items()[i] : reasons);
    }
    return exits;
  }

  What operation(const Place& place) {
    enum class Word : std::uint8_t { terminate, restart, remove, start, which, count, shutdown };
    const Word word = place.at("op").word<Word>({{"terminate_child", Word::terminate},
                                                 {"restart_child", Word::restart},
                                                 {"delete_child", Word::remove},
                                                 {"start_child", Word::start},
                                                 {"which_children", Word::which},
                                                 {"count_children", Word::count},
                                                 {"shutdown", Word::shutdown}});
    using supervision::Operation;
    switch (word) {
      case Word::terminate: return on_child(place, Operation::terminate_child);
      case Word::restart: return on_child(place, Operation::restart_child);
      case Word::remove: return on_child(place, Operation::delete_child);
      case Word::start: return start(place);
      case Word::which: return Operate{{0, Operation::which_children, place.at("sup").string(), {}, {}}, false};
      case Word::count: return Operate{{0, Operation::which_children, place.at("sup").string(), {}, {}}, true};
      case Word::shutdown: break;
    }
    return Shutdown{};
  }

  static What on_child(const Place& place, supervision::Operation operation) {
    return Operate{{0, operation, place.at("sup").string(), place.at("id").string(), {}}, false};
  }

  What start(const Place& place) {
    ChildSpec spec = child(place.at("spec"), 1);
    return Operate{{0, supervision::Operation::start_child, place.at("sup").string(), {}, std::move(spec)}, false};
  }

  Scenario& scenario_;
};

}  // namespace

Scenario read_scenario(const Json& json, const ChildSpec* tree_from_config) {
  Scenario scenario;
  Reader reader(scenario);
  const Place place(json, "");
  scenario.tree = tree_from_config != nullptr ? *tree_from_config : reader.root(place.at("tree"));
  for (const Place& event : place.at("events").items()) scenario.events.push_back(reader.event(event));
  return scenario;
}

}  // namespace bulkhead::simulation
