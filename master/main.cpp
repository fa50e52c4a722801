// bulkheadd: reads the command line and the configuration, then hands over to the Daemon.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <map>

#include "bulkhead_version.h"
#include "master/config/config.h"
#include "master/daemon.h"
#include "master/lifecycle/log_target.h"
#include "worker/ipc/robust_lock.h"
#include "worker/log/log.h"
#include "worker/sys/signal.h"

namespace {

using namespace bulkhead;

struct Arguments {
  std::string config = BULKHEAD_SYSCONFDIR "/bulkhead.json";
  std::string log_level;
  int ready_fd = -1;
  bool check = false;
  bool dump_config = false;
};

// What the master acts on, or must survive, stays blocked for its life (worker/sys/signal.h).
constexpr auto kBlocked = {SIGCHLD, SIGTERM,  SIGQUIT, SIGINT,  SIGHUP,  SIGUSR1,
                           SIGUSR2, SIGWINCH, SIGTTIN, SIGTTOU, SIGPIPE, SIGALRM};

// A closed 0, 1 or 2 would be taken by the next descriptor that is opened, and a client's bytes end up in it.
void fill_standard_descriptors() {
  for (int fd = 0; fd <= 2; ++fd) {
    if (fcntl(fd, F_GETFD) < 0) (void)!open("/dev/null", O_RDWR);
  }
}

void describe(CLI::App& app, Arguments& arguments) {
  app.add_option("-c,--config", arguments.config, "Read FILE")->type_name("FILE")->capture_default_str();
  app.add_flag("--check", arguments.check, "Check the configuration, report every error in it, and exit");
  app.add_flag("--dump-config", arguments.dump_config, "Print the configuration with its defaults filled in, and exit");
  app.add_option("--ready-fd", arguments.ready_fd, "Write one JSON line to descriptor N when everything serves")
      ->type_name("N")
      ->check(CLI::Range(3, 1 << 20));
  app.add_option("--log-level", arguments.log_level, "debug, info, warning or error; overrides the configuration")
      ->type_name("LEVEL")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}));
  app.set_version_flag("--version", "bulkheadd " BULKHEAD_VERSION, "Print the version and exit");
  app.set_help_flag("--help", "Print this and exit");
}

int run(const Arguments& arguments) {
  config::Loaded loaded = config::load(arguments.config);
  for (const config::Problem& problem : loaded.problems) fmt::print(stderr, "{}\n", problem.text());
  if (!loaded.config) return kBadConfiguration;
  if (arguments.dump_config) fmt::print("{}", loaded.effective);
  if (arguments.check) fmt::print("{}: the configuration is good\n", arguments.config);
  if (arguments.dump_config || arguments.check) return kStopped;

  config::Config& config = *loaded.config;
  static const std::map<std::string, config::LogLevel> kLevels{{"debug", config::LogLevel::debug},
                                                               {"info", config::LogLevel::info},
                                                               {"warning", config::LogLevel::warning},
                                                               {"error", config::LogLevel::error}};
  if (!arguments.log_level.empty()) config.log.level = kLevels.at(arguments.log_level);
  auto target = lifecycle::open_log_target(config.log.target);
  if (!target) {
    fmt::print(stderr, "bulkheadd: {}\n", target.error().text());
    return kSystemError;
  }
  log::configure({target->lines.get(), static_cast<log::Format>(config.log.format),
                  static_cast<log::Level>(config.log.level), "bulkheadd"});
  Daemon daemon(std::move(config), std::move(loaded.effective), {arguments.ready_fd}, std::move(*target));
  return daemon.run();
}

}  // namespace

int main(int argc, char** argv) {
  sys::take_over_signals(kBlocked);
  fill_standard_descriptors();
  ipc::register_robust_list();
  Arguments arguments;
  CLI::App app("Prefork process supervisor: every connection a process of its own.", "bulkheadd");
  describe(app, arguments);
  try {
    app.parse(argc, argv);
    return run(arguments);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kStopped : kUsage;
  } catch (const std::exception& error) {
    fmt::print(stderr, "bulkheadd: {}\n", error.what());
    return kSystemError;
  }
}
