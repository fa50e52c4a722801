#include "master/config/expand_children.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "master/config/nearest.h"

namespace bulkhead::config {

namespace {

constexpr std::array kTypes{std::pair{std::string_view("process"), Scope::process},
                            std::pair{std::string_view("listener"), Scope::listener}};

// Null: a child of this scope has no such key, or each child needs its own.
const Option* option_for(Scope scope, std::string_view key) {
  if (key == "id" || key == "type" || key == "instances") return nullptr;
  for (const Option& option : kOptions) {
    const bool fits = option.scope == scope || option.scope == Scope::child || option.scope == Scope::child_keys;
    if (fits && option.name == key) return &option;
  }
  return nullptr;
}

std::vector<std::string_view> names_for(Scope scope) {
  std::vector<std::string_view> out;
  for (const Option& option : kOptions) {
    if (option_for(scope, option.name) == &option) out.push_back(option.name);
  }
  return out;
}

std::string did_you_mean(std::string_view name, const std::vector<std::string_view>& known) {
  const std::string near = nearest(name, known);
  return near.empty() ? "" : fmt::format("; did you mean \"{}\"?", near);
}

// The members that may be used, after the others have been reported.
Value checked(const Value& values, Scope scope, const std::string& pointer, std::vector<Finding>& findings) {
  Value out = object_value({});
  for (const Member& member : values.members) {
    const std::string here = child_pointer(pointer, member.key);
    const Option* const option = option_for(scope, member.key);
    if (option == nullptr) {
      findings.push_back({member.at, here,
                          fmt::format("defaults of a {} cannot have the key {}{}", scope_text(scope),
                                      in_quotes(member.key), did_you_mean(member.key, names_for(scope)))});
      continue;
    }
    const Value value = as_meant(*option, member.value);
    const auto wrong = check(*option, value, here);
    findings.insert(findings.end(), wrong.begin(), wrong.end());
    if (wrong.empty()) out.members.push_back({member.key, member.at, value});
  }
  return out;
}

// Adds the defaults for one type.
void add_type(const Member& member, const std::string& pointer, Value& in_force, std::vector<Finding>& findings) {
  const auto* const type = std::ranges::find(kTypes, member.key, &decltype(kTypes)::value_type::first);
  if (type == kTypes.end()) {
    findings.push_back({member.at, pointer, "defaults are for a \"process\" or a \"listener\""});
  } else if (member.value.kind != Value::Kind::object) {
    findings.push_back({member.value.at, pointer, fmt::format("expected an object, got {}", describe(member.value))});
  } else {
    add_member(in_force, member.key, checked(member.value, type->second, pointer, findings));
  }
}

void put_at(Value& value, Position at) {
  value.at = at;
  for (Value& item : value.items) put_at(item, at);
  for (Member& member : value.members) {
    member.at = at;
    put_at(member.value, at);
  }
}

// The nearest supervisor's defaults win.
Value with_defaults(const Context& context, Value child) {
  const Member* const member_of_type = child.find("type");
  if (member_of_type == nullptr) return child;
  const std::string type = member_of_type->value.text;
  const auto& in_force = context.defaults();
  for (auto defaults = in_force.rbegin(); defaults != in_force.rend(); ++defaults) {
    const Member* const mine = defaults->find(type);
    if (mine == nullptr) continue;
    for (Member member : mine->value.members) {
      if (child.find(member.key) != nullptr) continue;
      member.at = child.at;
      put_at(member.value, child.at);
      child.members.push_back(std::move(member));
    }
  }
  return child;
}

std::string numbered(const std::string& text, std::uint32_t number) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::string_view pair = std::string_view(text).substr(i, 2);
    if (pair != "%i" && pair != "%%") {
      out += text[i];
      continue;
    }
    out += pair == "%i" ? std::to_string(number) : "%";
    ++i;
  }
  return out;
}

void number_strings(Value& value, std::uint32_t number) {
  if (value.kind == Value::Kind::string) value.text = numbered(value.text, number);
  for (Value& item : value.items) number_strings(item, number);
  for (Member& member : value.members) number_strings(member.value, number);
}

std::optional<std::uint32_t> port_in(std::string_view text) {
  std::uint32_t port = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), port);
  const bool whole = read.ec == std::errc() && read.ptr == text.data() + text.size() && port != 0 && port <= 65535;
  return whole ? std::optional(port) : std::nullopt;
}

// "ADDRESS:FIRST-LAST" or "FIRST-LAST".
struct PortRange {
  std::string address;  // with its colon
  std::uint32_t first;
  std::uint32_t last;
};

std::optional<PortRange> port_range(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  const std::size_t begin = colon == std::string::npos ? 0 : colon + 1;
  const std::string_view ports = std::string_view(text).substr(begin);
  const std::size_t dash = ports.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const auto first = port_in(ports.substr(0, dash));
  const auto last = port_in(ports.substr(dash + 1));
  if (!first || !last || *first > *last) return std::nullopt;
  return PortRange{text.substr(0, begin), *first, *last};
}

class Instances {
 public:
  Instances(Context& context, const Section& section, std::uint32_t count)
      : context_(context), section_(section), count_(count) {}

  [[nodiscard]] Value make(std::uint32_t number) {
    Value out = section_.object;
    std::erase_if(out.members, [](const Member& member) { return member.key == "instances"; });
    for (Member& member : out.members) {
      if (member.key == "listen") give_ports(member.value, number);
      number_strings(member.value, number);
      if (member.key == "id") member.value.text += fmt::format("-{}", number);
    }
    return out;
  }

 private:
  void give_ports(Value& listen, std::uint32_t number) {
    give_port(listen, number, section_.pointer_of("listen"));
    for (std::size_t i = 0; i < listen.items.size(); ++i) {
      give_port(listen.items[i], number, child_pointer(section_.pointer_of("listen"), i));
    }
  }

  void give_port(Value& address, std::uint32_t number, const std::string& pointer) {
    const auto range = address.kind == Value::Kind::string ? port_range(address.text) : std::nullopt;
    if (!range) return;
    const std::uint32_t ports = range->last - range->first + 1;
    if (ports != count_ && number == 1) {
      context_.report(
          address.at, pointer,
          fmt::format("{} has {} ports, but there are {} instances", in_quotes(address.text), ports, count_));
    }
    address.text = fmt::format("{}{}", range->address, std::min(range->first + number - 1, range->last));
  }

  Context& context_;
  const Section& section_;
  std::uint32_t count_;
};

// Nothing: without the key, or with one that is wrong and has been reported.
std::optional<std::uint32_t> instances_in(const Section& section) {
  const Member* const member = section.object.find("instances");
  if (member == nullptr) return std::nullopt;
  for (const Option* option : options_of(Scope::child)) {
    if (option->name != "instances") continue;
    const Value value = as_meant(*option, member->value);
    if (check(*option, value, section.pointer_of(option->name)).empty()) return as_integer(value);
  }
  return std::nullopt;
}

}  // namespace

DefaultsInForce::DefaultsInForce(Context& context, const Section& supervisor, Report report) : context_(context) {
  std::vector<Finding> findings;
  Value in_force = object_value({});
  const Member* const defaults = supervisor.object.find("defaults");
  const std::string pointer = supervisor.pointer_of("defaults");
  if (defaults != nullptr) {
    for (const Member& member : defaults->value.members) {
      add_type(member, child_pointer(pointer, member.key), in_force, findings);
    }
  }
  if (report == Report::yes) context_.report(findings);
  context_.enter_defaults(std::move(in_force));
}

std::vector<Value> children_meant(Context& context, const Section& section) {
  const Value whole = with_defaults(context, section.object);
  const Section with{whole, section.pointer, section.at};
  const auto count = instances_in(with);
  if (!count) return {whole};
  std::vector<Value> out;
  Instances instances(context, with, *count);
  for (std::uint32_t number = 1; number <= *count; ++number) out.push_back(instances.make(number));
  return out;
}

}  // namespace bulkhead::config
