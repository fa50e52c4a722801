#include <unordered_set>

#include "master/supervision/tree.h"

namespace bulkhead::supervision {

namespace {

std::string check_id(const std::string& id) {
  if (id.empty()) return "a child has an empty id";
  if (id.find('/') != std::string::npos) return "child " + id + ": an id must not contain a slash, which joins paths";
  return {};
}

std::string check_significance(const ChildSpec& spec, AutoShutdown parent_auto_shutdown) {
  if (!spec.significant) return {};
  if (spec.restart == Restart::permanent) return "child " + spec.id + ": a permanent child cannot be significant";
  if (parent_auto_shutdown != AutoShutdown::never) return {};
  return "child " + spec.id + ": significant needs auto_shutdown any_significant or all_significant in its supervisor";
}

std::string check_children(const ChildSpec& spec) {
  std::unordered_set<std::string_view> ids;
  for (const ChildSpec& child : spec.children) {
    if (!ids.insert(child.id).second) return "child " + spec.id + ": two of its children have the id " + child.id;
    if (std::string wrong = check_child_spec(child, spec.flags.auto_shutdown); !wrong.empty()) return wrong;
  }
  return {};
}

}  // namespace

std::string check_child_spec(const ChildSpec& spec, AutoShutdown parent_auto_shutdown) {
  if (std::string wrong = check_id(spec.id); !wrong.empty()) return wrong;
  if (std::string wrong = check_significance(spec, parent_auto_shutdown); !wrong.empty()) return wrong;
  return supervises(spec.type) ? check_children(spec) : std::string{};
}

}  // namespace bulkhead::supervision
