#include "master/procedure/workers_of.h"

#include <algorithm>

#include "master/config/tree_of_config.h"

namespace bulkhead::procedure {

std::vector<std::uint32_t> worker_numbers(const running::Engine& engine, const std::string& listener) {
  std::vector<std::uint32_t> out;
  const auto view = engine.view(listener);
  if (!view) return out;
  for (const supervision::NodeId child : view->children) {
    if (const auto worker = engine.view(child)) {
      out.push_back(static_cast<std::uint32_t>(std::stoul(worker->spec->id)));
    }
  }
  std::ranges::sort(out);
  return out;
}

supervision::ChildSpec spec_of_worker(const running::Engine& engine, const std::string& listener,
                                      std::uint32_t number) {
  const auto view = engine.view(listener);
  return config::worker_spec(number, view ? view->spec->restart_delay : supervision::RestartDelay{});
}

std::optional<std::uint32_t> workers_wanted(running::Catalogue& catalogue, const std::string& listener) {
  const config::Node* const node = catalogue.find(listener);
  if (node == nullptr || !node->listener) return std::nullopt;
  return catalogue.overrides().workers_of(listener).value_or(node->listener->workers);
}

void remember_workers(running::Engine& engine, running::Catalogue& catalogue, const std::string& listener,
                      std::uint32_t workers) {
  const config::Node* const node = catalogue.find(listener);
  if (node == nullptr || !node->listener) return;
  catalogue.overrides().scale(listener, workers, node->listener->workers);
  engine.set_children(listener, config::worker_specs(workers, node->spec.restart_delay));
}

}  // namespace bulkhead::procedure
