#include "master/config/variables.h"

#include <fmt/format.h>

#include <algorithm>

namespace bulkhead::config {

namespace {

constexpr std::string_view kProtected = "$${";
constexpr std::string_view kReference = "${";

bool is_name(std::string_view text) {
  constexpr std::string_view kCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_";
  return !text.empty() && text.find_first_not_of(kCharacters) == std::string_view::npos &&
         (text[0] < '0' || text[0] > '9');
}

class Expansion {
 public:
  Expansion(Context& context, const Value& value, const std::string& pointer)
      : context_(context), value_(value), pointer_(pointer) {}

  std::string run() {
    std::string_view rest = value_.text;
    while (!rest.empty()) {
      const std::size_t dollar = std::min(rest.find('$'), rest.size());
      out_ += rest.substr(0, dollar);
      rest.remove_prefix(dollar);
      rest.remove_prefix(take(rest));
    }
    return std::move(out_);
  }

 private:
  // The number of bytes used of `rest`, which begins with a dollar or is empty.
  std::size_t take(std::string_view rest) {
    if (rest.starts_with(kProtected)) {
      out_ += kReference;
      return kProtected.size();
    }
    if (!rest.starts_with(kReference)) {
      out_ += rest.substr(0, 1);
      return std::min<std::size_t>(1, rest.size());
    }
    const std::size_t end = rest.find('}');
    if (end == std::string_view::npos) {
      blame("the variable does not end: \"}\" is missing");
      return rest.size();
    }
    put(rest.substr(kReference.size(), end - kReference.size()));
    return end + 1;
  }

  void put(std::string_view reference) {
    const std::size_t colon = reference.find(":-");
    const std::string name(reference.substr(0, colon));
    if (!is_name(name)) return blame(fmt::format("{} is not the name of a variable", in_quotes(name)));
    const auto found = context_.host().variable(name);
    if (found && (!found->empty() || colon == std::string_view::npos)) {
      out_ += *found;
    } else if (colon != std::string_view::npos) {
      out_ += reference.substr(colon + 2);
    } else {
      blame(fmt::format("the variable {} is not set in the daemon's environment", name));
    }
  }

  void blame(std::string_view what) {
    context_.report(value_.at, pointer_, fmt::format("{}; write \"$${{\" for a literal \"${{\"", what));
  }

  Context& context_;
  const Value& value_;
  const std::string& pointer_;
  std::string out_;
};

void expand(Context& context, Value& value, const std::string& pointer) {
  if (value.kind == Value::Kind::string && value.text.find(kReference) != std::string::npos) {
    value.text = Expansion(context, value, pointer).run();
    value.expanded = true;
  }
  for (std::size_t i = 0; i < value.items.size(); ++i) {
    expand(context, value.items[i], child_pointer(pointer, i));
  }
  for (Member& member : value.members) {
    if (member.key != "id") expand(context, member.value, child_pointer(pointer, member.key));
  }
}

void protect(std::string& text) {
  for (std::size_t at = text.find(kReference); at != std::string::npos; at = text.find(kReference, at)) {
    text.insert(at, 1, '$');
    at += kProtected.size();
  }
}

}  // namespace

void expand_variables(Context& context, Value& value) {
  expand(context, value, "");
}

void protect_dollars(Value& value) {
  if (value.kind == Value::Kind::string) protect(value.text);
  for (Value& item : value.items) protect_dollars(item);
  for (Member& member : value.members) protect_dollars(member.value);
}

}  // namespace bulkhead::config
