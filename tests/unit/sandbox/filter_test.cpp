// The programs are executed here by a small machine of their kind (the instructions that the kernel allows for filters
// and that ours have), for every number on every architecture.
#include "master/sandbox/filter.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cerrno>
#include <cstring>
#include <random>
#include <set>

#include "master/sandbox/system_calls.h"

namespace bulkhead::sandbox {
namespace {

constexpr std::uint32_t kEperm = SECCOMP_RET_ERRNO | EPERM;
constexpr std::uint32_t kEnosys = SECCOMP_RET_ERRNO | ENOSYS;
constexpr std::uint32_t kAllow = SECCOMP_RET_ALLOW;

// What the kernel answers, as seccomp(2) and the kernel's documentation of socket filters describe it. Stops the test
// at an instruction that no filter may have, and at a jump out of the program.
std::uint32_t run(const Program& program, const seccomp_data& data) {
  std::uint32_t accumulator = 0;
  for (std::size_t at = 0; at < program.size(); ++at) {
    const sock_filter& one = program[at];
    switch (one.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        REQUIRE(one.k % 4 == 0);
        REQUIRE(one.k + 4 <= sizeof data);
        std::memcpy(&accumulator, reinterpret_cast<const char*>(&data) + one.k, 4);
        break;
      case BPF_ALU | BPF_AND | BPF_K: accumulator &= one.k; break;
      case BPF_JMP | BPF_JA: at += one.k; break;
      case BPF_JMP | BPF_JEQ | BPF_K: at += accumulator == one.k ? one.jt : one.jf; break;
      case BPF_JMP | BPF_JGE | BPF_K: at += accumulator >= one.k ? one.jt : one.jf; break;
      case BPF_JMP | BPF_JSET | BPF_K: at += (accumulator & one.k) != 0 ? one.jt : one.jf; break;
      case BPF_RET | BPF_K: return one.k;
      default: FAIL("instruction " << one.code);
    }
  }
  FAIL("ran out of the program");
  return 0;
}

const Architecture& native() {
  return architectures().front();
}

std::uint32_t answer(const Program& program, const Architecture& architecture, std::uint32_t number,
                     std::initializer_list<std::uint64_t> arguments = {}) {
  seccomp_data data{};
  data.arch = architecture.audit;
  data.nr = static_cast<int>(number);
  std::copy(arguments.begin(), arguments.end(), data.args);
  return run(program, data);
}

std::uint32_t answer(const Program& program, const std::string& name,
                     std::initializer_list<std::uint64_t> arguments = {}) {
  return answer(program, native(), number_of(native(), name).value(), arguments);
}

Policy with(CallList list) {
  Policy policy;
  policy.calls.list = list;
  return policy;
}

std::string name_of(const Architecture& architecture, std::uint32_t number) {
  char* const found = seccomp_syscall_resolve_num_arch(architecture.seccomp, static_cast<int>(number));
  const std::string name = found == nullptr ? "" : found;
  std::free(found);
  return name;
}

// Every number, also those that no call has.
template <class Visit>
void for_each_call(const Visit& visit) {
  for (const Architecture& architecture : architectures()) {
    for (std::uint32_t number = 0; number < 2000; ++number) {
      const std::string name = name_of(architecture, number);
      INFO(name << " " << number);
      visit(architecture, number, name);
    }
  }
}

template <class List>
std::set<std::string> set_of(const List& names) {
  return {names.begin(), names.end()};
}

}  // namespace

TEST_CASE("a worker whose children mount may do that, and they may not afterwards") {
  Policy policy = with(CallList::common);
  policy.spaces = ipc::kPrivateTmp;
  CHECK(answer(compile(policy).of_worker, "mount") == SECCOMP_RET_ALLOW);
  CHECK(answer(compile(policy).of_worker, "umount2") != SECCOMP_RET_ALLOW);
  CHECK(answer(compile(policy).of_child, "mount") != SECCOMP_RET_ALLOW);
  CHECK(answer(compile(policy).of_child, "bpf") != SECCOMP_RET_ALLOW);
}

TEST_CASE("the list common refuses what no server calls, and nothing else, on every architecture") {
  const Programs programs = compile(with(CallList::common));
  const auto never = set_of(never_called());
  CHECK(programs.of_child.empty());
  for_each_call([&](const Architecture& architecture, std::uint32_t number, const std::string& name) {
    const bool other_process = name == "prlimit64";
    CHECK(answer(programs.of_worker, architecture, number, {17}) ==
          (never.contains(name) || other_process ? kEperm : kAllow));
  });
}

TEST_CASE("the list server allows what servers call; threads are started by clone") {
  const Programs programs = compile(with(CallList::server));
  const auto called = set_of(called_by_servers());
  CHECK(programs.of_worker.empty());
  for_each_call([&](const Architecture& architecture, std::uint32_t number, const std::string& name) {
    const std::uint32_t refused = name.empty() || name == "clone3" ? kEnosys : kEperm;
    CHECK(answer(programs.of_child, architecture, number) == (called.contains(name) ? kAllow : refused));
  });
}

TEST_CASE("every name of the lists exists") {
  for (const auto list : {never_called(), called_by_servers()}) {
    CHECK(std::is_sorted(list.begin(), list.end()));
    for (const std::string_view name : list) {
      INFO(name);
      CHECK(seccomp_syscall_resolve_name(std::string(name).c_str()) != __NR_SCMP_ERROR);
    }
  }
}

TEST_CASE("a way around: x32 numbers, an architecture that is not filtered, the high half of an argument") {
  const Program program = compile_whole(with(CallList::common));
#if defined(__x86_64__)
  for (const std::uint32_t number : {0U, 101U, 165U, 521U}) {
    CHECK(answer(program, native(), number | 0x40000000U) == kEnosys);
  }
  CHECK(answer(program, native(), ~0U) == kEnosys);
#endif
  seccomp_data data{};
  data.arch = AUDIT_ARCH_S390X;
  CHECK(run(program, data) == SECCOMP_RET_KILL_PROCESS);
  CHECK(answer(program, "prlimit64", {0, 7}) == kAllow);
  CHECK(answer(program, "prlimit64", {1}) == kEperm);
  CHECK(answer(program, "prlimit64", {0xffffffffffffffff}) == kEperm);
}

TEST_CASE("allow and deny change the list, and then is the answer") {
  Policy policy = with(CallList::common);
  policy.calls.allow = {"ptrace"};
  policy.calls.deny = {"unshare"};
  const Programs programs = compile(policy);
  CHECK(answer(programs.of_worker, "ptrace") == kAllow);
  CHECK(answer(programs.of_worker, "unshare") == kAllow);  // a worker bears only the list
  CHECK(answer(programs.of_child, "unshare") == kEperm);
  CHECK(answer(programs.of_child, "ptrace") == kAllow);
  CHECK(answer(compile_whole(policy), "unshare") == kEperm);
  CHECK(answer(compile_whole(policy), "mount") == kEperm);

  policy.calls.then = Then::kill;
  CHECK(compile(policy).of_worker.empty());  // it would be killed itself
  CHECK(answer(compile(policy).of_child, "mount") == SECCOMP_RET_KILL_PROCESS);
  policy.calls.then = Then::log;
  CHECK(answer(compile(policy).of_child, "mount") == SECCOMP_RET_LOG);
  policy.calls.list = CallList::server;
  CHECK(answer(compile(policy).of_child, native(), 1999) == SECCOMP_RET_LOG);
}

TEST_CASE("without a network, sockets are Unix sockets") {
  Policy policy = with(CallList::any);
  policy.network = false;
  const Program program = compile(policy).of_child;
  CHECK(answer(program, "socket", {AF_UNIX}) == kAllow);
  for (const int family : {AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_VSOCK}) {
    CHECK(answer(program, "socket", {static_cast<std::uint64_t>(family)}) == (SECCOMP_RET_ERRNO | EAFNOSUPPORT));
  }
  CHECK(answer(program, "io_uring_setup") == kEnosys);
  CHECK(answer(program, "socketpair", {AF_UNIX}) == kAllow);
}

TEST_CASE("without memory that is written and executed") {
  Policy policy = with(CallList::any);
  policy.write_execute = false;
  const Program program = compile(policy).of_child;
  CHECK(answer(program, "mmap", {0, 4096, PROT_READ | PROT_EXEC}) == kAllow);
  CHECK(answer(program, "mmap", {0, 4096, PROT_READ | PROT_WRITE}) == kAllow);
  CHECK(answer(program, "mmap", {0, 4096, PROT_WRITE | PROT_EXEC}) == kEperm);
  CHECK(answer(program, "mmap", {0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC}) == kEperm);
  CHECK(answer(program, "mprotect", {0, 4096, PROT_READ}) == kAllow);
  CHECK(answer(program, "mprotect", {0, 4096, PROT_READ | PROT_EXEC}) == kEperm);
}

TEST_CASE("a policy that forbids nothing has no program") {
  CHECK(compile(with(CallList::any)).of_worker.empty());
  CHECK(compile(with(CallList::any)).of_child.empty());
  Policy policy = with(CallList::server);
  policy.new_privileges = true;
  CHECK(compile(policy).of_child.empty());
}

TEST_CASE("random policies: worker and child together forbid what the whole program forbids") {
  std::mt19937 random(20261129);
  const auto& names = all_system_calls();
  for (int round = 0; round < 30; ++round) {
    Policy policy = with(static_cast<CallList>(random() % 3));
    for (int i = 0; i < 5; ++i) policy.calls.allow.push_back(names[random() % names.size()]);
    for (int i = 0; i < 5; ++i) policy.calls.deny.push_back(names[random() % names.size()]);
    policy.network = random() % 2 == 0;
    policy.write_execute = random() % 2 == 0;
    const Programs programs = compile(policy);
    const Program whole = compile_whole(policy);
    CHECK(whole.size() < BPF_MAXINSNS);
    for (const Architecture& architecture : architectures()) {
      for (std::uint32_t number = 0; number < 500; ++number) {
        const auto all = [&](const Program& program) {
          return program.empty() ? kAllow : answer(program, architecture, number, {2, 0, PROT_WRITE | PROT_EXEC});
        };
        // seccomp(2): the answer with the highest precedence counts.
        const std::uint32_t both = std::min(all(programs.of_worker), all(programs.of_child));
        const auto kind = [](std::uint32_t one) { return one & SECCOMP_RET_ACTION_FULL; };
        REQUIRE(kind(both) == kind(all(whole)));
      }
    }
  }
}

}  // namespace bulkhead::sandbox
