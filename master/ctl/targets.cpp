#include "master/ctl/targets.h"

#include <fnmatch.h>

#include <algorithm>

#include "master/ctl/output.h"

namespace bulkhead::ctl {

namespace {

using Json = nlohmann::ordered_json;

void add_matches(const std::string& pattern, const Json& node, protocol::Each each, std::vector<Target>& out) {
  const Json& path = member(node, "path");
  const bool is_meant = each != protocol::Each::listener || member(node, "type") == "listener";
  if (is_meant && path.is_string()) {
    const std::string text = path.get<std::string>();
    if (fnmatch(pattern.c_str(), text.c_str(), FNM_PATHNAME | FNM_NOESCAPE) == 0) out.push_back({text});
  }
  for (const char* below : {"children", "workers"}) {
    const Json& list = member(node, below);
    if (!list.is_array()) continue;
    for (const Json& child : list) add_matches(pattern, child, each, out);
  }
}

std::vector<Target> matches_of(const std::string& word, const Json& tree, protocol::Each each) {
  if (protocol::pattern_of(word).empty()) return {{word}};
  std::vector<Target> out;
  add_matches(word, tree, each, out);
  if (out.empty()) out.push_back({word, true});
  return out;
}

}  // namespace

std::vector<Target> targets_of(const std::vector<std::string>& words, const Json& tree, protocol::Each each) {
  std::vector<Target> out;
  for (const std::string& word : words) {
    for (Target& target : matches_of(word, tree, each)) {
      if (std::ranges::find(out, target.path, &Target::path) == out.end()) out.push_back(std::move(target));
    }
  }
  return out;
}

}  // namespace bulkhead::ctl
