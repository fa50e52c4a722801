#include "master/ctl/rehearse.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>
#include <utility>
#include <vector>

#include "master/config/config.h"
#include "master/config/duration.h"
#include "master/config/host.h"
#include "master/config/nearest.h"
#include "master/config/tree_of_config.h"
#include "master/ctl/output.h"
#include "master/simulate/simulate.h"
#include "master/supervision/path.h"
#include "master/supervision/words.h"
#include "worker/sys/fd.h"

namespace bulkhead::ctl {

namespace {

constexpr std::size_t kMaxInput = 64 * 1024 * 1024;

using Json = nlohmann::ordered_json;
using supervision::ChildSpec;

void add_paths(const ChildSpec& spec, const std::string& path,
               std::vector<std::pair<std::string, const ChildSpec*>>& out) {
  out.emplace_back(path, &spec);
  for (const ChildSpec& child : spec.children) add_paths(child, supervision::child_of(path, child.id), out);
}

// Why no process can crash there, or empty.
std::string why_not(const ChildSpec& tree, const std::string& path) {
  std::vector<std::pair<std::string, const ChildSpec*>> nodes;
  add_paths(tree, "root", nodes);
  std::vector<std::string_view> paths;
  for (const auto& [known, spec] : nodes) {
    paths.push_back(known);
    if (known != path) continue;
    if (!supervision::supervises(spec->type)) return {};
    const std::string type(supervision::kNodeTypeWords.text(spec->type));
    if (spec->children.empty()) return path + " is a " + type + ", and only processes crash";
    return path + " is a " + type + ", and only processes crash, such as " +
           supervision::child_of(path, spec->children.front().id);
  }
  const std::string near = config::nearest(path, paths);
  return "there is no node " + path + (near.empty() ? "" : "; did you mean " + near + "?");
}

Rehearsal told(const simulation::SimulateResult& result, const std::string& source, bool json,
               std::string (*text)(const Json&)) {
  if (!result.error.empty()) return {{}, source.empty() ? result.error : source + ": " + result.error};
  if (json) return {result.output + "\n", {}};
  return {text(Json::parse(result.output)), {}};
}

Rehearsal play_crashes(const Json& words, const ChildSpec& tree, bool json) {
  std::vector<simulation::Crash> crashes;
  for (const std::string word : words) {
    const std::size_t at = word.find('@');
    crashes.push_back({word.substr(0, at), *config::parse_duration(word.substr(at + 1))});
    if (std::string why = why_not(tree, crashes.back().path); !why.empty()) return {{}, std::move(why)};
  }
  return told(simulation::tell_crashes(tree, std::move(crashes)), {}, json, crashes_text);
}

Rehearsal play_scenario(const std::string& file, const ChildSpec* tree, bool json) {
  auto text = read_input(file);
  if (!text) return {{}, text.error().text()};
  const std::string source = file == "-" ? "standard input" : file;
  if (!json) return told(simulation::tell_scenarios(*text, tree), source, false, scenarios_text);
  simulation::SimulateResult result = simulation::simulate(*text, tree);
  if (!result.error.empty()) return {{}, source + ": " + result.error};
  return {std::move(result.output), {}};
}

void mark_jobs(const config::Node& node, ChildSpec& spec) {
  if (node.process && node.process->oneshot) spec.tag = simulation::kJobTag;
  for (const config::Node& child : node.children) {
    const auto found = std::ranges::find(spec.children, child.spec.id, &ChildSpec::id);
    if (found != spec.children.end()) mark_jobs(child, *found);
  }
}

Rehearsal play(const Json& params, const ChildSpec* tree, bool json) {
  if (params.contains("crash")) return play_crashes(params["crash"], *tree, json);
  return play_scenario(params["scenario"].get<std::string>(), tree, json);
}

}  // namespace

sys::Result<std::string> read_input(const std::string& path) {
  const sys::Fd fd(path == "-" ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0) : open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return sys::Error{"open", path, errno};
  std::string out;
  std::array<char, 64 * 1024> buffer;
  for (;;) {
    const ssize_t got = read(fd.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return sys::Error{"read", path, errno};
    if (got == 0) return out;
    out.append(buffer.data(), static_cast<std::size_t>(got));
    if (out.size() > kMaxInput) return sys::Error{"read", path, EFBIG};
  }
}

Rehearsal rehearse(const Json& params, bool json) {
  if (!params.contains("config")) return play(params, nullptr, json);
  const config::Loaded loaded = config::load(params["config"].get<std::string>(), config::patient_host());
  if (loaded.config) {
    ChildSpec tree = config::tree_of_config(loaded.config->root);
    mark_jobs(loaded.config->root, tree);
    return play(params, &tree, json);
  }
  Rehearsal out;
  for (const config::Problem& problem : loaded.problems) out.error += (out.error.empty() ? "" : "\n") + problem.text();
  return out;
}

}  // namespace bulkhead::ctl
