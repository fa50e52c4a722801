#include "master/upgrade/handover.h"

#include <fmt/format.h>

#include <charconv>
#include <concepts>
#include <nlohmann/json.hpp>
#include <type_traits>
#include <utility>

#include "master/upgrade/handover_fields.h"
#include "worker/admission/crc32c.h"

namespace bulkhead::upgrade {

namespace {

using Json = nlohmann::ordered_json;
using supervision::Duration;
using supervision::Instant;

constexpr std::string_view kMagic = "bulkhead-state";

template <class T>
struct IsVector : std::false_type {};
template <class T>
struct IsVector<std::vector<T>> : std::true_type {};
template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};

class Writer {
 public:
  template <class T>
  void operator()(const char* name, T& value) {
    out_[name] = json_of(value);
  }
  void descriptor(const char* name, int& fd) { out_[name] = fd; }
  [[nodiscard]] Json take() { return std::move(out_); }

 private:
  template <class T>
  static Json json_of(T& value) {
    if constexpr (std::is_enum_v<T>) {
      return static_cast<std::uint32_t>(value);
    } else if constexpr (std::same_as<T, Duration>) {
      return value.count();
    } else if constexpr (std::same_as<T, Instant>) {
      return value.time_since_epoch().count();
    } else if constexpr (IsOptional<T>::value) {
      return value ? json_of(*value) : Json(nullptr);
    } else if constexpr (IsVector<T>::value) {
      Json out = Json::array();
      for (auto& item : value) out.push_back(json_of(item));
      return out;
    } else if constexpr (std::integral<T> || std::same_as<T, std::string>) {
      return value;
    } else {
      Writer inner;
      Fields<T>::visit(inner, value);
      return inner.take();
    }
  }
  Json out_ = Json::object();
};

// The first of several faults is reported.
class Reader {
 public:
  Reader(const Json& from, std::string path, std::string& problem)
      : from_(from), path_(std::move(path)), problem_(problem) {
    if (!from.is_object() && problem_.empty()) problem_ = path_ + " is not an object";
  }

  template <class T>
  void operator()(const char* name, T& value) {
    if (!problem_.empty()) return;
    const auto found = from_.find(name);
    if (found == from_.end()) {
      problem_ = fmt::format("{}/{} is missing", path_, name);
    } else {
      read(*found, value, name);
    }
  }
  void descriptor(const char* name, int& fd) { (*this)(name, fd); }

 private:
  void fail(const std::string& name, std::string_view expected) {
    if (problem_.empty()) problem_ = fmt::format("{}/{} is not {}", path_, name, expected);
  }

  template <std::integral T>
  void read_number(const Json& from, T& value, const std::string& name) {
    if (from.is_number_unsigned() && std::in_range<T>(from.get<std::uint64_t>())) {
      value = static_cast<T>(from.get<std::uint64_t>());
    } else if (from.is_number_integer() && !from.is_number_unsigned() && std::in_range<T>(from.get<std::int64_t>())) {
      value = static_cast<T>(from.get<std::int64_t>());
    } else {
      fail(name, "a number in its range");
    }
  }

  template <class T>
  void read(const Json& from, T& value, const std::string& name) {
    if constexpr (std::same_as<T, bool>) {
      if (!from.is_boolean()) return fail(name, "true or false");
      value = from.get<bool>();
    } else if constexpr (std::is_enum_v<T>) {
      static_assert(kEnumerators<T> != 0);
      std::uint32_t number = 0;
      read_number(from, number, name);
      if (number >= kEnumerators<T>) return fail(name, "a known value");
      value = static_cast<T>(number);
    } else if constexpr (std::same_as<T, Duration> || std::same_as<T, Instant>) {
      std::int64_t count = 0;
      read_number(from, count, name);
      value = T(Duration(count));
    } else if constexpr (IsOptional<T>::value) {
      if (from.is_null()) return value.reset();
      read(from, value.emplace(), name);
    } else if constexpr (IsVector<T>::value) {
      if (!from.is_array()) return fail(name, "an array");
      value.clear();
      std::size_t number = 0;
      for (const Json& item : from) read(item, value.emplace_back(), fmt::format("{}/{}", name, number++));
    } else if constexpr (std::integral<T>) {
      read_number(from, value, name);
    } else if constexpr (std::same_as<T, std::string>) {
      if (!from.is_string()) return fail(name, "a string");
      value = from.get<std::string>();
    } else {
      Reader inner(from, path_ + "/" + name, problem_);
      Fields<T>::visit(inner, value);
    }
  }

  const Json& from_;
  std::string path_;
  std::string& problem_;
};

class Walker {
 public:
  explicit Walker(const std::function<void(int&)>& visit) : visit_(visit) {}

  template <class T>
  void operator()(const char* /*name*/, T& value) {
    walk(value);
  }
  void descriptor(const char* /*name*/, int& fd) { visit_(fd); }

 private:
  template <class T>
  void walk(T& value) {
    if constexpr (IsOptional<T>::value) {
      if (value) walk(*value);
    } else if constexpr (IsVector<T>::value) {
      for (auto& item : value) walk(item);
    } else if constexpr (std::is_class_v<T> && !std::same_as<T, std::string> && !std::same_as<T, Duration> &&
                         !std::same_as<T, Instant>) {
      Fields<T>::visit(*this, value);
    }
  }
  const std::function<void(int&)>& visit_;
};

// Takes the text up to the next `end` from the front.
std::optional<std::string_view> cut(std::string_view& text, char end) {
  const std::size_t at = text.find(end);
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view out = text.substr(0, at);
  text.remove_prefix(at + 1);
  return out;
}

template <class T>
bool number_in(std::optional<std::string_view> text, T& value, int base = 10) {
  if (!text) return false;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value, base);
  return error == std::errc() && end == text->data() + text->size();
}

std::string read_head(std::string_view& text) {
  auto line = cut(text, '\n');
  std::uint32_t format = 0;
  std::uint32_t reader = 0;
  std::uint64_t length = 0;
  std::uint32_t sum = 0;
  if (!line || cut(*line, ' ') != kMagic || !number_in(cut(*line, ' '), format) ||
      !number_in(cut(*line, ' '), reader)) {
    return "it is not a state of bulkheadd";
  }
  if (reader > kHandoverFormat) {
    return fmt::format("the state has format {}, and this program reads up to {}", format, kHandoverFormat);
  }
  if (!number_in(cut(*line, ' '), length) || !number_in(*line, sum, 16)) return "it is not a state of bulkheadd";
  if (text.size() != length) return fmt::format("the state has {} bytes instead of {}", text.size(), length);
  if (admission::Crc32c().add(text).value() != sum) return "the state has been damaged";
  return "";
}

std::string read_events(std::string_view text, Handover& out) {
  while (!text.empty()) {
    auto line = cut(text, '\n');
    journal::EventRecord record;
    if (!line || !number_in(cut(*line, ' '), record.seq)) return "an event has no number";
    const auto event = cut(*line, ' ');
    const auto path = cut(*line, ' ');
    if (!event || !path || record.seq > out.last_seq ||
        (!out.events.empty() && record.seq != out.events.back().seq + 1)) {
      return "the events are not in order";
    }
    record.event = *event;
    record.path = *path;
    record.json = *line;
    out.events.push_back(std::move(record));
  }
  const bool whole = out.events.empty() || out.events.back().seq == out.last_seq;
  return whole ? "" : "the last events are missing";
}

std::string read_all(std::string_view text, Handover& out) {
  std::string problem = read_head(text);
  if (!problem.empty()) return problem;
  const auto object = cut(text, '\n');
  if (!object) return "the state has no end";
  const Json json = Json::parse(*object, nullptr, false);
  if (json.is_discarded()) return "the state is not JSON";
  Reader reader(json, "", problem);
  Fields<Handover>::visit(reader, out);
  return problem.empty() ? read_events(text, out) : "the state: " + problem;
}

}  // namespace

std::string encode(Handover& handover) {
  Writer writer;
  Fields<Handover>::visit(writer, handover);
  std::string body = writer.take().dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  for (const journal::EventRecord& event : handover.events) {
    body += fmt::format("{} {} {} {}\n", event.seq, event.event, event.path, event.json);
  }
  return fmt::format("{} {} {} {} {:08x}\n", kMagic, kHandoverFormat, kHandoverReader, body.size(),
                     admission::Crc32c().add(body).value()) +
         body;
}

std::string decode(std::string_view text, Handover& out) noexcept {
  try {
    return read_all(text, out);
  } catch (const std::exception& error) {  // memory
    return error.what();
  }
}

void for_each_descriptor(Handover& handover, const std::function<void(int& fd)>& visit) {
  const auto named = [&visit](int& fd) {
    if (fd >= 0) visit(fd);
  };
  const std::function<void(int&)> only_named = named;
  Walker walker(only_named);
  Fields<Handover>::visit(walker, handover);
}

}  // namespace bulkhead::upgrade
