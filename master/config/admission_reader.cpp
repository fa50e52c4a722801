#include "master/config/admission_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <set>
#include <string_view>
#include <tuple>

#include "master/config/host.h"
#include "master/config/paths.h"

namespace bulkhead::config {
namespace {

// A list of networks that is being read, and how it is shown: with those of files in the place of the files.
struct ListReading {
  Context& context;
  const Entry& entry;
  std::vector<Network> out;
  std::vector<Value> shown;
  std::set<std::tuple<bool, std::uint64_t, std::uint64_t, std::uint32_t>> seen;

  // False: it was there before.
  bool add(Network network) {
    const bool fresh = seen.emplace(network.v6, network.high, network.low, network.length).second;
    shown.push_back(string_value(network.text));
    out.push_back(std::move(network));
    return fresh;
  }
};

std::string_view trimmed(std::string_view line) {
  constexpr std::string_view kBlank = " \t\r";
  const std::size_t first = line.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return line.substr(first, line.find_last_not_of(kBlank) - first + 1);
}

// Calls `take` for each line of `text` that has a network, with its position. False from it ends the reading.
void for_each_line(std::string_view text, const std::function<bool(std::string_view, Position)>& take) {
  Position at{0, 1};
  while (!text.empty()) {
    ++at.line;
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const std::string_view words = trimmed(line.substr(0, line.find('#')));
    if (words.empty()) continue;
    at.column = static_cast<std::uint32_t>(words.data() - line.data()) + 1;
    if (!take(words, at)) return;
  }
}

// One network a line. A network that is there twice does no harm in a file, which programs write and join.
void add_file(ListReading& list, const Value& name, const std::string& pointer) {
  constexpr std::size_t kMostProblems = 20;
  if (name.text.size() == 1) {
    list.context.report(name.at, pointer, "expected the path of a file after the \"@\"");
    return;
  }
  const std::string path = resolve_path(std::string_view(name.text).substr(1), list.context.directory());
  const FileText file = read_file(path);
  if (!file.problem.empty()) {
    list.context.report(name.at, pointer, fmt::format("{}: {}", path, file.problem));
    return;
  }
  const Context::OtherFile reading(list.context, path);
  std::size_t problems = 0;
  for_each_line(file.text, [&](std::string_view line, Position at) {
    auto parsed = parse_network(line);
    if (auto* network = std::get_if<Network>(&parsed)) {
      const std::size_t before = list.out.size();
      if (!list.add(std::move(*network))) {
        list.out.resize(before);
        list.shown.resize(before);
      }
      return true;
    }
    list.context.report(at, "", std::get<std::string>(parsed));
    if (++problems < kMostProblems) return true;
    list.context.report(at, "", "the rest of this file has not been read");
    return false;
  });
}

void add_entry(ListReading& list, const Value& value, const std::string& pointer) {
  if (value.kind != Value::Kind::string) {
    list.context.report(value.at, pointer, fmt::format("expected a network, a string, got {}", describe(value)));
    return;
  }
  if (value.text.starts_with('@')) return add_file(list, value, pointer);
  auto parsed = parse_network(value.text);
  if (const auto* problem = std::get_if<std::string>(&parsed)) {
    list.context.report(value.at, pointer, *problem);
    return;
  }
  const std::string text = std::get<Network>(parsed).text;
  if (list.add(std::move(std::get<Network>(parsed)))) return;
  list.context.report(value.at, pointer,
                      fmt::format("{} is listed twice in {}", in_quotes(text), list.entry.option.name));
}

constexpr std::array kRateSetters{
    Setter<Rate>{"count", [](Context&, Rate& rate, const Entry& e) { rate.count = as_integer(e.value); }},
    Setter<Rate>{"per", [](Context&, Rate& rate, const Entry& e) { rate.per = as_duration(e.value); }},
};
static_assert(covers(kRateSetters, Scope::rate));

}  // namespace

std::vector<Network> read_networks(Context& context, const Entry& entry) {
  ListReading list{context, entry, {}, {}, {}};
  if (entry.value.kind == Value::Kind::string) {
    add_entry(list, entry.value, entry.pointer());
    if (!entry.value.text.starts_with('@')) {
      if (!list.shown.empty()) entry.effective = list.shown.front();
      return std::move(list.out);
    }
  }
  for (std::size_t i = 0; i < entry.value.items.size(); ++i) {
    add_entry(list, entry.value.items[i], child_pointer(entry.pointer(), i));
  }
  entry.effective.kind = Value::Kind::array;
  entry.effective.text.clear();
  entry.effective.items = std::move(list.shown);
  return std::move(list.out);
}

Rate read_rate(Context& context, const Entry& entry) {
  Rate rate;
  if (!entry.is_word()) read_object(context, entry, kRateSetters, rate, fmt::format("in {}", entry.option.name));
  return rate;
}

void set_allow(Context& context, Node& node, const Entry& entry) {
  if (entry.given) node.listener->allow = read_networks(context, entry);
}

void set_deny(Context& context, Node& node, const Entry& entry) {
  node.listener->deny = read_networks(context, entry);
}

void set_max_connection_rate(Context& context, Node& node, const Entry& entry) {
  node.listener->max_connection_rate = read_rate(context, entry);
}

void check_admission(Context& context, const Section& section, const Listener& listener) {
  if (listener.on_full == OnFull::message && listener.banner_fail.empty()) {
    context.report(section.place_of("on_full"), section.pointer_of("on_full"),
                   "\"message\" sends banner_fail, which is missing");
  }
}

}  // namespace bulkhead::config
