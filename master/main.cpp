// bulkheadd: reads the command line and the configuration, then hands over to the Daemon.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "master/config/config.h"
#include "master/config/default_file.h"
#include "master/config/host.h"
#include "master/daemon.h"
#include "master/host/descriptor_limit.h"
#include "master/host/detach.h"
#include "master/host/log_target.h"
#include "master/host/pid_file.h"
#include "master/net/ports_in_use.h"
#include "master/protocol/usage_error.h"
#include "master/upgrade/arguments.h"
#include "master/upgrade/program_file.h"
#include "master/upgrade/take_over.h"
#include "master/version.h"
#include "worker/log/log.h"
#include "worker/sys/signal.h"
#include "worker/sys/title.h"

namespace {

using namespace bulkhead;

struct Arguments {
  std::string config = config::default_config_file();
  std::string log_level;
  std::string pid_file;
  std::string control_socket;
  int ready_fd = -1;
  bool detach = false;
  bool check = false;
  bool dump_config = false;
  upgrade::Adopting adopting;             // hidden options, for bulkheadd itself
  std::vector<std::string> command_line;  // without the hidden options
  std::string program;                    // its own file, by the path with which it was started
};

// Signals that the master acts on, or must survive, stay blocked for its life (worker/sys/signal.h).
constexpr auto kBlocked = {SIGCHLD, SIGTERM,  SIGQUIT, SIGINT,  SIGHUP,  SIGUSR1,
                           SIGUSR2, SIGWINCH, SIGTTIN, SIGTTOU, SIGPIPE, SIGALRM};

// If 0, 1 or 2 were closed, the next descriptor that is opened would get its number, and a client's bytes could end up
// in it.
void fill_standard_descriptors() {
  for (int fd = 0; fd <= 2; ++fd) {
    if (fcntl(fd, F_GETFD) < 0) (void)!open("/dev/null", O_RDWR);
  }
}

int fail(host::Detached& shell, const sys::Error& error) {
  const std::string text = fmt::format("bulkheadd: {}\n", error.text());
  (void)!::write(shell.terminal() >= 0 ? shell.terminal() : STDERR_FILENO, text.data(), text.size());
  return kSystemError;
}

// Otherwise the ready line would go to any file of the daemon that gets the number.
std::string why_not_writable(const std::string& fd) {
  const int flags = fcntl(std::stoi(fd), F_GETFL);
  return flags >= 0 && (flags & O_ACCMODE) != O_RDONLY ? "" : "descriptor " + fd + " is not open for writing";
}

// Not options for users: one bulkheadd calls another with them (upgrade/arguments.h). Parsed before the others, which
// depend on them.
void describe_adopting(CLI::App& app, upgrade::Adopting& adopting) {
  app.add_option("--adopt", adopting.descriptors)->group("");
  app.add_option("--rolled-back", adopting.rolled_back)->group("");
  app.add_flag("--dry-run", adopting.dry_run)->group("");
}

void describe(CLI::App& app, Arguments& arguments) {
  describe_adopting(app, arguments.adopting);
  app.add_option("-c,--config", arguments.config, "Read FILE")->type_name("FILE")->capture_default_str();
  app.add_flag("-d,--daemon", arguments.detach, "Leave the terminal once everything serves");
  app.add_flag("-t,--check", arguments.check, "Check the configuration, report every error in it, and exit");
  app.add_flag("--dump-config", arguments.dump_config, "Print the configuration with its defaults filled in, and exit");
  app.add_option("--ready-fd", arguments.ready_fd, "Write one JSON line to descriptor N when everything serves")
      ->type_name("N")
      ->check(CLI::Range(3, 1 << 20))
      ->check([&arguments](const std::string& fd) {
        return arguments.adopting.descriptors.empty() ? why_not_writable(fd) : "";  // already written to
      });
  app.add_option("--log-level", arguments.log_level, "debug, info, warning or error; overrides the configuration")
      ->type_name("LEVEL")
      ->check(CLI::IsMember(std::vector<std::string>(log::kLevelWords.begin(), log::kLevelWords.end())));
  app.add_option("--pid-file", arguments.pid_file, "Keep the pid in FILE, locked; overrides the configuration")
      ->type_name("FILE");
  app.add_option("-s", arguments.control_socket, "Path of the control socket; overrides the configuration")
      ->type_name("SOCKET");
  app.set_version_flag("-V,--version", fmt::format("bulkheadd {}", version()), "Print the version and exit");
  app.set_help_flag("-h,--help", "Print this and exit");
}

void override_with(const Arguments& arguments, config::Config& config) {
  if (const auto level = log::kLevelWords.find(arguments.log_level)) config.log.level = *level;
  // Resolved before detaching changes the directory.
  config.file = std::filesystem::absolute(config.file);
  if (!arguments.pid_file.empty()) config.pid_file = std::filesystem::absolute(arguments.pid_file);
  if (!arguments.control_socket.empty()) config.control.socket = std::filesystem::absolute(arguments.control_socket);
  if (arguments.detach && config.log.target == "stderr") config.log.target = "syslog";
}

std::function<void(config::Config&)> overrule_with(const Arguments& arguments) {
  return [&arguments](config::Config& config) { override_with(arguments, config); };
}

config::Overridden overridden_by(const Arguments& arguments) {
  return {!arguments.pid_file.empty(), !arguments.control_socket.empty()};
}

// Another user checks what root's daemon will probably read.
bool is_roots_to_start(const Arguments& arguments) {
  struct stat status {};
  return arguments.check && geteuid() != 0 && stat(arguments.config.c_str(), &status) == 0 && status.st_uid == 0;
}

config::Loaded load(const Arguments& arguments) {
  config::Daemon daemon{!arguments.check, overridden_by(arguments)};
  if (is_roots_to_start(arguments)) daemon.owner = config::Daemon::Owner::root;
  config::Loaded loaded = config::load(arguments.config, *config::host_of(daemon));
  if (!loaded.needs_root || daemon.owner != config::Daemon::Owner::root) return loaded;
  fmt::print(stderr, "{}: only root can run it, who owns it: it is checked as root's daemon would read it\n",
             arguments.config);
  daemon.owner = config::Daemon::Owner::only_root;
  return config::load(arguments.config, *config::host_of(daemon));
}

void log_warnings(const std::vector<config::Problem>& warnings) {
  for (const std::string& text : config::texts_of(warnings)) log::Line(log::Level::warning, "root").text(text).write();
}

// Everything that has effects, in the process that stays: a second instance is detected before a port is touched.
int serve(const Arguments& arguments, config::Loaded loaded, net::InheritedSockets inherited, host::Detached& shell) {
  config::Config& config = *loaded.config;
  auto target = host::open_log_target(config.log.target);
  if (!target) return fail(shell, target.error());
  host::configure_log(config.log, target->lines.get());
  log_warnings(loaded.warnings);
  host::PidFile pid_file;
  if (!config.pid_file.empty()) {
    auto taken = host::PidFile::take(config.pid_file);
    if (!taken) {
      const bool running = taken.error().code == EWOULDBLOCK;
      log::Line(log::Level::error, "root")
          .text(running ? "another instance is running: " : "")
          .text(taken.error().text())
          .write();
      if (running) return kAlreadyRunning;
      return taken.error().code == EACCES || taken.error().code == EPERM ? kNoPermission : kSystemError;
    }
    pid_file = std::move(*taken);
  }
  host::raise_descriptor_limit();
  const auto on_ready = [&shell] {
    log::echo_errors_to(-1);
    shell.report(kStopped);
  };
  Daemon daemon(std::move(config), std::move(loaded.effective),
                {arguments.ready_fd, on_ready, std::move(inherited), std::move(pid_file), version(),
                 arguments.command_line, arguments.program, overrule_with(arguments), overridden_by(arguments)},
                std::move(*target));
  return daemon.run();
}

// The remarks that the log would get at a start.
void print_remarks(const config::Node& node, const std::string& path, const std::string& file) {
  for (const config::Node& child : node.children) print_remarks(child, path + "/" + child.spec.id, file);
  if (!node.listener) return;
  for (const std::string& remark : node.listener->remarks) fmt::print(stderr, "{}: {}: {}\n", file, path, remark);
}

// Where a configuration names stderr as a log.
struct NamesStderr {
  std::string file;
  std::string pointer;  // of the object that has the log
};

std::optional<NamesStderr> log_to_stderr(const config::Node& node) {
  const config::OwnLog none;
  const config::OwnLog& log = node.listener ? node.listener->log : node.process ? node.process->log : none;
  if (log.target == "stderr") return NamesStderr{node.file, node.pointer};
  for (const config::Node& child : node.children) {
    if (auto found = log_to_stderr(child)) return found;
  }
  return std::nullopt;
}

std::optional<NamesStderr> log_to_stderr(const config::Config& config) {
  if (config.log.target == "stderr" && config.log.target_explicit) return NamesStderr{config.file, ""};
  return log_to_stderr(config.root);
}

int run(const Arguments& arguments) {
  net::InheritedSockets inherited = net::InheritedSockets::take_over();
  config::Loaded loaded = load(arguments);
  for (const config::Problem& problem : loaded.problems) fmt::print(stderr, "{}\n", problem.text());
  if (!loaded.config) return kBadConfiguration;
  if (arguments.check || arguments.dump_config) {
    for (const config::Problem& warning : loaded.warnings) fmt::print(stderr, "{}\n", warning.text());
    print_remarks(loaded.config->root, "root", arguments.config);
  }
  if (arguments.dump_config) fmt::print("{}", loaded.effective);
  if (arguments.check) {
    override_with(arguments, *loaded.config);
    for (const std::string& text : net::addresses_in_use(*loaded.config)) {
      fmt::print(stderr, "{}: {}\n", arguments.config, text);
    }
    fmt::print("{}: the configuration is good\n", arguments.config);
  }
  if (arguments.dump_config || arguments.check) return kStopped;

  config::Config& config = *loaded.config;
  if (const auto wrong = arguments.detach ? log_to_stderr(config) : std::nullopt) {
    fmt::print(stderr, "{}: {}/log/target: a detached daemon has no stderr; say \"syslog\", \"journald\" or a path\n",
               wrong->file, wrong->pointer);
    return kBadConfiguration;
  }
  override_with(arguments, config);
  host::Detached shell;
  if (arguments.detach) {
    auto detached = host::Detached::detach();
    if (!detached) return fail(shell, detached.error());
    shell = std::move(*detached);
    log::echo_errors_to(shell.terminal());
  }
  sys::Title::use_environment_too();
  sys::Title::set("bulkheadd: master");
  const int status = serve(arguments, std::move(loaded), std::move(inherited), shell);
  shell.report(status);
  return status;
}

int take_over(const Arguments& arguments) {
  return upgrade::take_over(
      arguments.adopting, [&arguments](upgrade::Inheritance from) -> std::unique_ptr<upgrade::Heir> {
        DaemonOptions options;
        options.version = version();
        options.arguments = arguments.command_line;
        options.overrule = overrule_with(arguments);
        options.overridden = overridden_by(arguments);
        options.pid_file = std::move(from.pid_file);
        return std::make_unique<Daemon>(std::move(*from.blueprint.config), std::move(from.blueprint.effective),
                                        std::move(options), std::move(from.log));
      });
}

}  // namespace

int main(int argc, char** argv) {
  sys::take_over_signals(kBlocked);
  fill_standard_descriptors();
  sys::Title::init(argc, argv, "bulkheadd");
  Arguments arguments;
  for (int i = 0; i < argc; ++i) {
    if (!upgrade::is_adopting_option(argv[i])) arguments.command_line.emplace_back(argv[i]);
  }
  upgrade::open_way_back_of(arguments.command_line, argv);
  arguments.program = upgrade::own_program_path(argc > 0 ? argv[0] : "");
  CLI::App app("Prefork process supervisor: every connection a process of its own.", "bulkheadd");
  describe(app, arguments);
  try {
    app.parse(argc, argv);
    arguments.adopting.version = version();
    return arguments.adopting.descriptors.empty() ? run(arguments) : take_over(arguments);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    fmt::print(stderr, "bulkheadd: {}\n", protocol::usage_error_text(app, error));
    return kUsage;
  } catch (const std::exception& error) {
    fmt::print(stderr, "bulkheadd: {}\n", error.what());
    return kSystemError;
  }
}
