#include "master/sandbox/filter.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <map>
#include <span>

#include "master/sandbox/system_calls.h"

namespace bulkhead::sandbox {
namespace {

constexpr std::uint32_t kLongestJump = 255;  // of a conditional jump, in instructions

// What is done with a call: one answer, or one that depends on an argument.
struct Verdict {
  enum class Test : std::uint8_t { none, is_zero, is_unix, is_written_and_executed, has_flag } test = Test::none;
  std::uint32_t argument = 0;  // its number
  std::uint32_t flag = 0;
  std::uint32_t answer = SECCOMP_RET_ALLOW;  // where the test forbids the call, or without one
  bool operator==(const Verdict&) const = default;
};
using Verdicts = std::map<std::uint32_t, Verdict>;  // by number; every other number gets the usual verdict

constexpr std::uint32_t kUnknown = SECCOMP_RET_ERRNO | ENOSYS;

std::uint32_t answer_of(Then then) {
  switch (then) {
    case Then::eperm: return SECCOMP_RET_ERRNO | EPERM;
    case Then::kill: return SECCOMP_RET_KILL_PROCESS;
    case Then::log: return SECCOMP_RET_LOG;
  }
  return SECCOMP_RET_KILL_PROCESS;
}

sock_filter statement(int code, std::uint32_t k) {
  return {static_cast<std::uint16_t>(code), 0, 0, k};
}
sock_filter jump(int test, std::uint32_t k, std::size_t if_true, std::size_t if_false) {
  return {static_cast<std::uint16_t>(BPF_JMP | test | BPF_K), static_cast<std::uint8_t>(if_true),
          static_cast<std::uint8_t>(if_false), k};
}
sock_filter returns(std::uint32_t answer) {
  return statement(BPF_RET | BPF_K, answer);
}
sock_filter load(std::size_t offset) {
  return statement(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset));
}
// The low half, on the little-endian machines that we know.
sock_filter load_argument(std::uint32_t number) {
  return load(offsetof(seccomp_data, args) + 8 * std::size_t{number});
}

Program code_of(const Verdict& verdict) {
  constexpr std::uint32_t kBoth = PROT_WRITE | PROT_EXEC;
  const auto allow = returns(SECCOMP_RET_ALLOW);
  const auto answer = returns(verdict.answer);
  switch (verdict.test) {
    case Verdict::Test::none: return {answer};
    case Verdict::Test::is_zero: return {load_argument(verdict.argument), jump(BPF_JEQ, 0, 0, 1), allow, answer};
    case Verdict::Test::is_unix: return {load_argument(verdict.argument), jump(BPF_JEQ, AF_UNIX, 0, 1), allow, answer};
    case Verdict::Test::has_flag:
      return {load_argument(verdict.argument), jump(BPF_JSET, verdict.flag, 1, 0), allow, answer};
    case Verdict::Test::is_written_and_executed:
      return {load_argument(verdict.argument), statement(BPF_ALU | BPF_AND | BPF_K, kBoth), jump(BPF_JEQ, kBoth, 1, 0),
              allow, answer};
  }
  return {returns(SECCOMP_RET_KILL_PROCESS)};
}

// Numbers from `from` on, up to the next.
struct Interval {
  std::uint32_t from;
  Verdict verdict;
};

std::vector<Interval> intervals_of(const Verdicts& verdicts, const Verdict& usual, std::uint32_t foreign_number) {
  std::vector<Interval> out{{0, usual}};
  const auto begin_at = [&](std::uint32_t from, const Verdict& verdict) {
    if (out.back().from == from)
      out.back().verdict = verdict;
    else if (out.back().verdict != verdict)
      out.push_back({from, verdict});
  };
  for (const auto& [number, verdict] : verdicts) {
    begin_at(number, verdict);
    begin_at(number + 1, usual);
  }
  if (foreign_number != ~std::uint32_t{0}) begin_at(foreign_number, {.answer = kUnknown});
  return out;
}

void append(Program& to, const Program& more) {
  to.insert(to.end(), more.begin(), more.end());
}

// A binary search for the interval of the number that is in the accumulator.
Program search(std::span<const Interval> intervals) {
  if (intervals.size() == 1) return code_of(intervals.front().verdict);
  const std::size_t middle = intervals.size() / 2;
  const Program below = search(intervals.first(middle));
  Program out;
  if (below.size() <= kLongestJump) {
    out.push_back(jump(BPF_JGE, intervals[middle].from, below.size(), 0));
  } else {
    out.push_back(jump(BPF_JGE, intervals[middle].from, 0, 1));
    out.push_back(statement(BPF_JMP | BPF_JA, static_cast<std::uint32_t>(below.size())));
  }
  append(out, below);
  append(out, search(intervals.subspan(middle)));
  return out;
}

// What the policy forbids, on one architecture.
class Forbidding {
 public:
  explicit Forbidding(const Architecture& architecture) : architecture_(architecture) {}
  void judge(std::string_view name, const Verdict& verdict) {
    if (const auto number = number_of(architecture_, name)) verdicts_[*number] = verdict;
  }
  void allow(std::string_view name) { judge(name, {}); }
  [[nodiscard]] bool is_32_bit() const { return (architecture_.audit & __AUDIT_ARCH_64BIT) == 0; }
  Verdict usual;
  [[nodiscard]] Program program() const {
    const bool idle = usual == Verdict{} && std::all_of(verdicts_.begin(), verdicts_.end(),
                                                        [](const auto& one) { return one.second == Verdict{}; });
    if (idle) return {};
    Program out{load(offsetof(seccomp_data, nr))};
    append(out, search(intervals_of(verdicts_, usual, architecture_.foreign_number)));
    return out;
  }

 private:
  const Architecture& architecture_;
  Verdicts verdicts_;
};

void forbid_list(Forbidding& out, const SystemCalls& calls, std::uint32_t answer) {
  if (calls.list == CallList::server) {
    // A program that tries a new call and gets ENOSYS uses the older one; EPERM would make it give up.
    out.usual = {.answer = calls.then == Then::eperm ? kUnknown : answer};
    for (const std::string& name : all_system_calls()) out.judge(name, {.answer = answer});
    for (const std::string_view name : called_by_servers()) out.allow(name);
    out.judge("clone3", {.answer = kUnknown});  // glibc starts its threads by clone(2) then
  }
  if (calls.list == CallList::common) {
    for (const std::string_view name : never_called()) out.judge(name, {.answer = answer});
  }
  if (calls.list != CallList::any) out.judge("prlimit64", {Verdict::Test::is_zero, 0, 0, answer});
  for (const std::string& name : calls.allow) out.allow(name);
  for (const std::string& name : calls.deny) out.judge(name, {.answer = answer});
}

// io_uring makes sockets without socket(2); socketcall(2) has its arguments in memory.
void forbid_network(Forbidding& out) {
  constexpr std::uint32_t kNoFamily = SECCOMP_RET_ERRNO | EAFNOSUPPORT;
  out.judge("socket", {Verdict::Test::is_unix, 0, 0, kNoFamily});
  for (const char* name : {"socketcall", "io_uring_setup", "io_uring_enter", "io_uring_register"}) {
    out.judge(name, {.answer = kUnknown});
  }
}

void forbid_write_execute(Forbidding& out, std::uint32_t answer) {
  // The first mmap(2) of 32-bit programs has its arguments in memory; glibc calls mmap2.
  if (out.is_32_bit())
    out.judge("mmap", {.answer = kUnknown});
  else
    out.judge("mmap", {Verdict::Test::is_written_and_executed, 2, 0, answer});
  out.judge("mmap2", {Verdict::Test::is_written_and_executed, 2, 0, answer});
  for (const char* name : {"mprotect", "pkey_mprotect"}) {
    out.judge(name, {Verdict::Test::has_flag, 2, PROT_EXEC, answer});
  }
  out.judge("shmat", {Verdict::Test::has_flag, 2, SHM_EXEC, answer});
}

template <class Rules>
Program of_all_architectures(const Rules& rules) {
  Program out{load(offsetof(seccomp_data, arch))};
  bool idle = true;
  for (const Architecture& architecture : architectures()) {
    Forbidding forbidding(architecture);
    rules(forbidding);
    Program program = forbidding.program();
    idle = idle && program.empty();
    if (program.empty()) program = {returns(SECCOMP_RET_ALLOW)};
    if (program.size() <= kLongestJump) {
      out.push_back(jump(BPF_JEQ, architecture.audit, 0, program.size()));
    } else {
      out.push_back(jump(BPF_JEQ, architecture.audit, 1, 0));
      out.push_back(statement(BPF_JMP | BPF_JA, static_cast<std::uint32_t>(program.size())));
    }
    append(out, program);
  }
  out.push_back(returns(SECCOMP_RET_KILL_PROCESS));
  return idle ? Program{} : out;
}

// A worker bears the list `common` and what is allowed of it, answered with an error.
bool worker_bears(const Policy& policy) {
  return policy.calls.list == CallList::common && policy.calls.then == Then::eperm;
}

void forbid_rest(Forbidding& out, const Policy& policy, std::uint32_t answer) {
  if (!policy.network) forbid_network(out);
  if (!policy.write_execute) forbid_write_execute(out, answer);
}

}  // namespace

Programs compile(const Policy& policy) {
  if (policy.new_privileges) return {};
  const std::uint32_t answer = answer_of(policy.calls.then);
  if (!worker_bears(policy)) return {{}, compile_whole(policy)};
  SystemCalls of_worker = policy.calls;
  of_worker.deny.clear();
  if (policy.spaces != 0) {  // its children mount
    of_worker.allow.emplace_back("mount");
    return {of_all_architectures([&](Forbidding& out) { forbid_list(out, of_worker, answer); }), compile_whole(policy)};
  }
  SystemCalls rest = policy.calls;
  rest.list = CallList::any;
  rest.allow.clear();
  return {of_all_architectures([&](Forbidding& out) { forbid_list(out, of_worker, answer); }),
          of_all_architectures([&](Forbidding& out) {
            forbid_list(out, rest, answer);
            forbid_rest(out, policy, answer);
          })};
}

Program compile_whole(const Policy& policy) {
  if (policy.new_privileges) return {};
  const std::uint32_t answer = answer_of(policy.calls.then);
  return of_all_architectures([&](Forbidding& out) {
    forbid_list(out, policy.calls, answer);
    forbid_rest(out, policy, answer);
  });
}

}  // namespace bulkhead::sandbox
