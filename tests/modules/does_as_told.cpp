// Carries out the commands of its client, line by line, and echoes unknown ones; its options say what init() and fini()
// do. See module_test.py.
#include <bulkhead/handler.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>

namespace {

struct State {
  std::string options;
  pid_t worker = 0;
  std::jmp_buf place;
  int descriptor = -1;
};

const bulkhead_host* the_host = nullptr;
const bulkhead_connection* the_connection = nullptr;
State* the_state = nullptr;
int forks_told = 0;
std::string& the_diary = *new std::string("/dev/null");  // where append() writes; outlives static destructors

void say(const std::string& line) {
  (void)!write(1, (line + "\n").data(), line.size() + 1);
}
void append(const char* what) {
  const int file = open(the_diary.c_str(), O_WRONLY | O_APPEND);
  dprintf(file, "%s\n", what);
  close(file);
}

// A destructor that must not run in a connection, and not twice anywhere.
struct Static {
  ~Static() { append("static destructor"); }
} static_object;

void* spin(void*) {
  for (;;) pause();
}

std::string hex_of_random() {
  unsigned char bytes[16];
  (void)!getrandom(bytes, sizeof bytes, 0);
  std::string out;
  char text[3];
  for (const unsigned char byte : bytes) {
    std::snprintf(text, sizeof text, "%02x", byte);
    out += text;
  }
  return out;
}

void report_facts() {
  say("abi " + std::to_string(the_host->abi));
  say(std::string("version ") + the_host->version);
  say(std::string("listener ") + the_host->listener);
  say("worker " + std::to_string(the_host->worker));
  say("generation " + std::to_string(the_host->generation));
  say(std::string("options ") + the_host->options);
  say("options_length " + std::to_string(the_host->options_length));
  say("state " + the_state->options);
  say("fd " + std::to_string(the_connection->fd));
  say(std::string("id ") + the_connection->id);
  say(std::string("peer ") + the_connection->peer);
  say(std::string("local ") + the_connection->local);
  say("init_in_worker " + std::to_string(the_state->worker == getppid() ? 1 : 0));
  say("atfork " + std::to_string(forks_told));
  say("uid " + std::to_string(getuid()));
  for (char** entry = environ; *entry != nullptr; ++entry) say(std::string("env ") + *entry);
  say("end");
}

void wait_for_drain() {
  say("waiting");
  pollfd notice{the_connection->drain_fd, 0, 0};
  (void)poll(&notice, 1, -1);
  say((notice.revents & POLLHUP) != 0 ? "drained" : "something else");
}

[[noreturn]] void throw_error() {
  throw std::runtime_error("as told");
}

int fork_and_return_twice() {
  const pid_t pid = fork();
  say(pid == 0 ? "child" : "parent");
  return 0;
}

// Writes over what malloc(3) keeps in front of a block.
void corrupt_heap() {
  dup2(open("/dev/null", O_WRONLY), 2);  // libc says so, which is not a line of the log
  auto* block = static_cast<char*>(std::malloc(24));
  const volatile std::ptrdiff_t too_far = -16;
  for (volatile char* at = block + too_far; at != block; ++at) *at = 'x';
  std::free(block);
}

// As daemon(3), but the parent leaves only once its child is out of the group, which is asked to end then.
int become_daemon() {
  int ends[2];
  if (pipe(ends) != 0 || fork() != 0) {
    char byte;
    close(ends[1]);
    return read(ends[0], &byte, 1) == 1 ? 0 : 1;
  }
  setsid();
  const int null = open("/dev/null", O_RDWR);
  for (int fd = 0; fd < 3; ++fd) dup2(null, fd);
  for (int fd = 3; fd < 32; ++fd) {
    if (fd != ends[1]) close(fd);
  }
  (void)!write(ends[1], "x", 1);
  sleep(60);
  return 0;
}

void close_everything() {
  for (int fd = 0; fd < 1024; ++fd) close(fd);
}

int do_it(const std::string& word, int argument) {
  if (word == "return") return argument;
  if (word == "exit") std::exit(argument);
  if (word == "_exit") _exit(argument);
  if (word == "abort") std::abort();
  if (word == "throw") throw_error();
  if (word == "throw_int") throw 42;
  if (word == "segv") *reinterpret_cast<volatile int*>(16) = 1;
  if (word == "loop") {
    say("looping");
    for (volatile bool go = true; go;) {
    }
  }
  if (word == "fork") return fork_and_return_twice();
  if (word == "close") close_everything();
  if (word == "daemon") return become_daemon();
  if (word == "longjmp") std::longjmp(the_state->place, 1);
  if (word == "heap") corrupt_heap();
  if (word == "stdio") {
    std::printf("buffered");  // no newline, no flush
    return 0;
  }
  if (word == "atexit") {
    std::atexit([] { say("atexit of serve"); });
    return 0;
  }
  return -1;
}

int serve(const bulkhead_host* host, void* state, const bulkhead_connection* connection) {
  the_host = host;
  the_connection = connection;
  the_state = static_cast<State*>(state);
  char line[256];
  FILE* in = fdopen(dup(0), "r");
  while (std::fgets(line, sizeof line, in) != nullptr) {
    char word[32] = "";
    char rest[128] = "";
    if (std::sscanf(line, "%31s %127[^\n]", word, rest) < 1) continue;
    const std::string what = word;
    if (what == "facts") {
      report_facts();
    } else if (what == "random") {
      say(hex_of_random());
    } else if (what == "drain") {
      wait_for_drain();
    } else if (what == "log") {
      host->log(BULKHEAD_WARNING, rest);
      say("logged");
    } else if (what == "complain") {
      dprintf(2, "%s\n", rest);
      say("complained");
    } else if (what == "version") {
      say(VERSION);
    } else if (const int status = do_it(what, std::atoi(rest)); status != -1) {
      return status;
    } else {
      (void)!write(1, line, std::strlen(line));
    }
  }
  return 0;
}

int refuse(char* error, std::size_t size, const char* words) {
  std::snprintf(error, size, "%s", words);
  return 1;
}

void leave_a_process(const char* options, bool session) {
  if (fork() != 0) return;
  if (session) setsid();
  if (std::strstr(options, "and_keeps") != nullptr) {
    for (int fd = 3; fd < 32; ++fd) fcntl(fd, F_SETFD, 0);
  }
  if (std::strstr(options, "and_execs") != nullptr) execl("/bin/sleep", "sleep", "60", nullptr);
  sleep(60);
  _exit(0);
}

// As daemon(3): the process that it leaves is no child of the worker.
void daemonize(const char* options) {
  const pid_t first = fork();
  if (first == 0) {
    setsid();
    leave_a_process(options, true);
    _exit(0);
  }
  waitpid(first, nullptr, 0);
}

int init(const bulkhead_host* host, void** state, char* error, std::size_t size) {
  auto* made = new State;
  made->options = host->options;
  made->worker = getpid();
  if (const auto at = made->options.find("\"diary\":\""); at != std::string::npos) {
    const auto start = at + std::strlen("\"diary\":\"");
    the_diary = made->options.substr(start, made->options.find('"', start) - start);
  }
  *state = made;
  pthread_atfork(nullptr, nullptr, [] { ++forks_told; });
  std::atexit([] { append("atexit of init"); });
  std::printf("stdio of init");  // must not come out of every connection
  host->log(BULKHEAD_INFO, "initialised");
  const auto asked = [host](const char* word) { return std::strstr(host->options, word) != nullptr; };
#ifdef FORKS
  leave_a_process(host->options, true);
#else
  if (asked("init_forks_twice")) {
    daemonize(host->options);
  } else if (asked("init_forks")) {
    leave_a_process(host->options, asked("init_forks_session"));
  }
#endif
  if (asked("init_refuses")) return refuse(error, size, "the moon is not right");
  if (asked("init_returns")) return 7;
  if (asked("init_throws")) throw_error();
  if (asked("init_exits")) std::exit(5);
  if (asked("init_crashes")) *reinterpret_cast<volatile int*>(16) = 1;
  if (asked("init_hangs")) sleep(60);
  if (asked("init_umask")) umask(0);
  if (asked("init_thread")) {
    pthread_t thread;
    pthread_create(&thread, nullptr, spin, nullptr);
  }
  if (asked("init_opens")) made->descriptor = open("/dev/null", O_RDWR);
  (void)setjmp(made->place);
  return 0;
}

void fini(void* state) {
  append("fini");
  const auto* made = static_cast<State*>(state);
  if (made->options.find("fini_hangs") != std::string::npos) sleep(60);
}

const bulkhead_handler handler{BULKHEAD_HANDLER_ABI, sizeof handler, init, serve, fini};

}  // namespace

const bulkhead_handler* bulkhead_module(std::uint32_t host_abi) {
  return host_abi == BULKHEAD_HANDLER_ABI ? &handler : nullptr;
}
