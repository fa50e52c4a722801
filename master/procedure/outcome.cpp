#include "master/procedure/outcome.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "master/config/nearest.h"
#include "master/supervision/words.h"

namespace bulkhead::procedure {

using supervision::ReplyError;

namespace {

std::vector<std::string> all_paths(const running::Engine& engine) {
  std::vector<std::string> out{"root"};
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto view = engine.view(out[i]);
    if (!view || !supervision::supervises(view->spec->type)) continue;
    for (const supervision::NodeId child : view->children) out.push_back(engine.view(child)->path);
  }
  return out;
}

}  // namespace

std::string_view word_of(ReplyError error) {
  return supervision::kReplyErrorWords.text(error);
}

Outcome refused(std::string why) {
  return {Outcome::Kind::refused, std::move(why), ReplyError::none};
}

Outcome negative(ReplyError word, std::string text) {
  return {Outcome::Kind::negative, std::move(text), word};
}

Outcome outcome_of(ReplyError error, const std::string& path) {
  switch (error) {
    case ReplyError::none: return {};
    case ReplyError::not_found:
    case ReplyError::noproc: return negative(error, "there is no node " + path);
    default: return negative(error, fmt::format("{}: {}", path, word_of(error)));
  }
}

Outcome no_such(const running::Engine& engine, const char* what, const std::string& path) {
  const std::vector<std::string> paths = all_paths(engine);
  std::string text = fmt::format("there is no {} {}", what, path);
  const std::string near = config::nearest(path, {paths.begin() + 1, paths.end()});
  if (!near.empty()) text += fmt::format("; did you mean {}?", near);
  return negative(ReplyError::not_found, text);
}

Outcome listener_named(const running::Engine& engine, const running::Listeners& listeners, const std::string& path) {
  return listeners.at(path) == nullptr ? no_such(engine, "listener", path) : Outcome{};
}

}  // namespace bulkhead::procedure
