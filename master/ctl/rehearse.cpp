#include "master/ctl/rehearse.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "master/config/config.h"
#include "master/config/host.h"
#include "master/config/tree_of_config.h"
#include "master/simulate/simulate.h"
#include "worker/sys/fd.h"

namespace bulkhead::ctl {

namespace {

constexpr std::size_t kMaxInput = 64 * 1024 * 1024;

Rehearsal play(const std::string& scenario, const supervision::ChildSpec* tree) {
  auto text = read_input(scenario);
  if (!text) return {{}, text.error().text()};
  simulation::SimulateResult result = simulation::simulate(*text, tree);
  if (!result.error.empty()) return {{}, (scenario == "-" ? "standard input" : scenario) + ": " + result.error};
  return {std::move(result.output), {}};
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

Rehearsal rehearse(const std::string& scenario, const std::optional<std::string>& config) {
  if (!config) return play(scenario, nullptr);
  const config::Loaded loaded = config::load(*config, config::patient_host());
  if (loaded.config) {
    const supervision::ChildSpec tree = config::tree_of_config(loaded.config->root);
    return play(scenario, &tree);
  }
  Rehearsal out;
  for (const config::Problem& problem : loaded.problems) out.error += (out.error.empty() ? "" : "\n") + problem.text();
  return out;
}

}  // namespace bulkhead::ctl
