// The members of everything that is handed over, listed once for writing, reading and counting. Internal to
// handover.cpp.
#pragma once

#include "master/upgrade/handover.h"
#include "worker/sys/enum_words.h"

namespace bulkhead::upgrade {

// Fields<T>::visit(visitor, value) calls visitor(name, member) for each member, and visitor.descriptor(name, member)
// for one that is a descriptor's number.
template <class T>
struct Fields;

// The number of enumerators; a number that is not below it is refused.
template <class E>
inline constexpr std::size_t kEnumerators = 0;
template <>
inline constexpr std::size_t kEnumerators<supervision::NodeType> = sys::up_to(supervision::NodeType::worker);
template <>
inline constexpr std::size_t kEnumerators<supervision::NodeState> = sys::up_to(supervision::NodeState::failed);
template <>
inline constexpr std::size_t kEnumerators<supervision::ExitReason> = sys::up_to(supervision::ExitReason::shortage);
template <>
inline constexpr std::size_t kEnumerators<supervision::Cause> = sys::up_to(supervision::Cause::start_failed);

template <>
inline constexpr std::size_t kEnumerators<procedure::Verb> = sys::up_to(procedure::Verb::restart_group);
template <>
inline constexpr std::size_t kEnumerators<net::EndPhase> = sys::up_to(net::EndPhase::done);

// NOLINTBEGIN(cppcoreguidelines-macro-usage): a name and its member, written once
#define BULKHEAD_FIELD(member) v(#member, r.member)
#define BULKHEAD_DESCRIPTOR(member) v.descriptor(#member, r.member)
#define BULKHEAD_FIELDS(Type, ...)     \
  template <>                          \
  struct Fields<Type> {                \
    template <class V>                 \
    static void visit(V& v, Type& r) { \
      __VA_ARGS__;                     \
    }                                  \
  }
// NOLINTEND(cppcoreguidelines-macro-usage)

// clang-format off
BULKHEAD_FIELDS(supervision::MessageRecord,
  BULKHEAD_FIELD(kind); BULKHEAD_FIELD(child); BULKHEAD_FIELD(run); BULKHEAD_FIELD(reason));
BULKHEAD_FIELDS(supervision::JobRecord,
  BULKHEAD_FIELD(kind); BULKHEAD_FIELD(subject); BULKHEAD_FIELD(delay); BULKHEAD_FIELD(cause); BULKHEAD_FIELD(stops);
  BULKHEAD_FIELD(starts); BULKHEAD_FIELD(next_stop); BULKHEAD_FIELD(next_start);
  BULKHEAD_FIELD(awaited); BULKHEAD_FIELD(starting));
BULKHEAD_FIELDS(supervision::SupervisorRecord,
  BULKHEAD_FIELD(restarts); BULKHEAD_FIELD(children); BULKHEAD_FIELD(mailbox); BULKHEAD_FIELD(jobs));
BULKHEAD_FIELDS(supervision::NodeRecord,
  BULKHEAD_FIELD(id); BULKHEAD_FIELD(parent); BULKHEAD_FIELD(name); BULKHEAD_FIELD(type); BULKHEAD_FIELD(state);
  BULKHEAD_FIELD(since); BULKHEAD_FIELD(run); BULKHEAD_FIELD(restarts); BULKHEAD_FIELD(exit_pending);
  BULKHEAD_FIELD(dormant); BULKHEAD_FIELD(ready_at); BULKHEAD_FIELD(ready_for); BULKHEAD_FIELD(due); BULKHEAD_FIELD(deadline);
  BULKHEAD_FIELD(backoff); BULKHEAD_FIELD(ending); BULKHEAD_FIELD(how); BULKHEAD_FIELD(blame);
  BULKHEAD_FIELD(supervisor));
BULKHEAD_FIELDS(supervision::TreeState,
  BULKHEAD_FIELD(last_id); BULKHEAD_FIELD(last_run); BULKHEAD_FIELD(jitter); BULKHEAD_FIELD(nodes));

BULKHEAD_FIELDS(net::SocketHandover,
  BULKHEAD_FIELD(number); BULKHEAD_FIELD(address); BULKHEAD_DESCRIPTOR(fd); BULKHEAD_FIELD(file);
  BULKHEAD_FIELD(device); BULKHEAD_FIELD(inode); BULKHEAD_FIELD(inherited));
BULKHEAD_FIELDS(net::HandlerNames, BULKHEAD_FIELD(generation); BULKHEAD_FIELD(names));
BULKHEAD_FIELDS(net::OrderHandover, BULKHEAD_FIELD(slot); BULKHEAD_FIELD(word));
BULKHEAD_FIELDS(net::ListenerHandover,
  BULKHEAD_FIELD(path); BULKHEAD_FIELD(number); BULKHEAD_FIELD(announced); BULKHEAD_FIELD(suspended);
  BULKHEAD_FIELD(next_socket); BULKHEAD_DESCRIPTOR(table); BULKHEAD_DESCRIPTOR(bell);
  BULKHEAD_DESCRIPTOR(drain_read); BULKHEAD_DESCRIPTOR(drain_write); BULKHEAD_FIELD(room); BULKHEAD_FIELD(first_use);
  BULKHEAD_FIELD(most_slots); BULKHEAD_FIELD(max_connections); BULKHEAD_FIELD(rate_count); BULKHEAD_FIELD(rate_per_ns);
  BULKHEAD_FIELD(counts); BULKHEAD_FIELD(orders); BULKHEAD_FIELD(sockets);
  BULKHEAD_FIELD(handlers));
BULKHEAD_FIELDS(net::InheritedHandover, BULKHEAD_FIELD(number); BULKHEAD_FIELD(name); BULKHEAD_DESCRIPTOR(fd));

BULKHEAD_FIELDS(process::LinesHandover,
  BULKHEAD_FIELD(path); BULKHEAD_DESCRIPTOR(fd); BULKHEAD_FIELD(line); BULKHEAD_FIELD(dropping));
BULKHEAD_FIELDS(process::WorkerHandover,
  BULKHEAD_FIELD(node); BULKHEAD_FIELD(run); BULKHEAD_FIELD(path); BULKHEAD_FIELD(index); BULKHEAD_FIELD(generation);
  BULKHEAD_FIELD(incarnation); BULKHEAD_FIELD(pid); BULKHEAD_FIELD(state); BULKHEAD_FIELD(retiring); BULKHEAD_FIELD(drained);
  BULKHEAD_FIELD(in_hand); BULKHEAD_FIELD(user); BULKHEAD_FIELD(failure); BULKHEAD_FIELD(start_deadline);
  BULKHEAD_FIELD(unanswered_since); BULKHEAD_DESCRIPTOR(channel); BULKHEAD_FIELD(lines));
BULKHEAD_FIELDS(process::StreamHandover, BULKHEAD_DESCRIPTOR(fd); BULKHEAD_FIELD(bytes); BULKHEAD_FIELD(in_long);
  BULKHEAD_FIELD(file_path); BULKHEAD_DESCRIPTOR(file));
BULKHEAD_FIELDS(process::OutputHandover, BULKHEAD_FIELD(out); BULKHEAD_FIELD(error); BULKHEAD_FIELD(unsent));
BULKHEAD_FIELDS(process::GroupEndHandover,
  BULKHEAD_FIELD(asked); BULKHEAD_FIELD(leader_ended); BULKHEAD_FIELD(deadline); BULKHEAD_FIELD(killed_at));
BULKHEAD_FIELDS(process::ChildEnd,
  BULKHEAD_FIELD(node); BULKHEAD_FIELD(run); BULKHEAD_FIELD(path); BULKHEAD_FIELD(wait_status); BULKHEAD_FIELD(reason);
  BULKHEAD_FIELD(start_failed); BULKHEAD_FIELD(expected); BULKHEAD_FIELD(failure); BULKHEAD_FIELD(adopted));
BULKHEAD_FIELDS(process::ProcessHandover,
  BULKHEAD_FIELD(node); BULKHEAD_FIELD(run); BULKHEAD_FIELD(path); BULKHEAD_FIELD(pid); BULKHEAD_FIELD(state);
  BULKHEAD_FIELD(stopping); BULKHEAD_FIELD(watchdog_expired);
  BULKHEAD_FIELD(closed_notify_fd); BULKHEAD_FIELD(failure); BULKHEAD_FIELD(status); BULKHEAD_FIELD(start_deadline);
  BULKHEAD_FIELD(watchdog_deadline); BULKHEAD_FIELD(group); BULKHEAD_FIELD(timed_out); BULKHEAD_FIELD(ended); BULKHEAD_DESCRIPTOR(report); BULKHEAD_DESCRIPTOR(notify);
  BULKHEAD_FIELD(output));
BULKHEAD_FIELDS(process::RemainsHandover,
  BULKHEAD_FIELD(path); BULKHEAD_FIELD(deadline); BULKHEAD_FIELD(output));
BULKHEAD_FIELDS(process::ErrorsHandover,
  BULKHEAD_FIELD(listener); BULKHEAD_FIELD(index); BULKHEAD_DESCRIPTOR(read); BULKHEAD_DESCRIPTOR(write));
BULKHEAD_FIELDS(process::ForgiveHandover,
  BULKHEAD_FIELD(listener); BULKHEAD_FIELD(family); BULKHEAD_FIELD(bits); BULKHEAD_FIELD(address));
BULKHEAD_FIELDS(process::AdoptedHandover,
  BULKHEAD_FIELD(pid); BULKHEAD_FIELD(listener); BULKHEAD_FIELD(slot); BULKHEAD_FIELD(use); BULKHEAD_FIELD(user);
  BULKHEAD_FIELD(asked);
  BULKHEAD_FIELD(lifetime); BULKHEAD_FIELD(cause); BULKHEAD_FIELD(deadline_ns));
BULKHEAD_FIELDS(process::LingeringHandover,
  BULKHEAD_FIELD(listener); BULKHEAD_FIELD(slot); BULKHEAD_FIELD(word); BULKHEAD_FIELD(group);
  BULKHEAD_FIELD(user); BULKHEAD_FIELD(deadline_ns));
BULKHEAD_FIELDS(process::ParkedHandover,
  BULKHEAD_FIELD(pid); BULKHEAD_FIELD(wait_status); BULKHEAD_FIELD(until_ns));
BULKHEAD_FIELDS(process::AdoptionHandover,
  BULKHEAD_FIELD(adopted); BULKHEAD_FIELD(lingering); BULKHEAD_FIELD(parked));

BULKHEAD_FIELDS(journal::RunHandover,
  BULKHEAD_FIELD(run); BULKHEAD_FIELD(pid); BULKHEAD_FIELD(stop_signal); BULKHEAD_FIELD(asked); BULKHEAD_FIELD(ended);
  BULKHEAD_FIELD(wait_status); BULKHEAD_FIELD(remark));
BULKHEAD_FIELDS(upgrade::ClientHandover, BULKHEAD_DESCRIPTOR(fd); BULKHEAD_FIELD(id); BULKHEAD_FIELD(method);
  BULKHEAD_FIELD(params); BULKHEAD_FIELD(input));
BULKHEAD_FIELDS(upgrade::ServerHandover,
  BULKHEAD_DESCRIPTOR(fd); BULKHEAD_FIELD(file); BULKHEAD_FIELD(device); BULKHEAD_FIELD(inode);
  BULKHEAD_FIELD(clients));

BULKHEAD_FIELDS(host::ServiceManager::Handover,
  BULKHEAD_FIELD(address); BULKHEAD_FIELD(interval_us); BULKHEAD_FIELD(last_status));
BULKHEAD_FIELDS(Settled,
  BULKHEAD_FIELD(log_level); BULKHEAD_FIELD(log_target); BULKHEAD_FIELD(pid_file); BULKHEAD_FIELD(control_socket));
BULKHEAD_FIELDS(running::AddedChild,
  BULKHEAD_FIELD(supervisor); BULKHEAD_FIELD(text); BULKHEAD_FIELD(file); BULKHEAD_FIELD(directory));
BULKHEAD_FIELDS(procedure::OperationHandover,
  BULKHEAD_FIELD(verb); BULKHEAD_FIELD(path); BULKHEAD_FIELD(begun); BULKHEAD_FIELD(last); BULKHEAD_FIELD(child));
BULKHEAD_FIELDS(procedure::EndingHandover,
  BULKHEAD_FIELD(path); BULKHEAD_FIELD(phase); BULKHEAD_FIELD(since); BULKHEAD_FIELD(lame_duck));
BULKHEAD_FIELDS(running::PoolRecord, BULKHEAD_FIELD(first); BULKHEAD_FIELD(last); BULKHEAD_FIELD(next));
BULKHEAD_FIELDS(running::ScaledRecord, BULKHEAD_FIELD(path); BULKHEAD_FIELD(workers));
BULKHEAD_FIELDS(running::OverridesRecord,
  BULKHEAD_FIELD(stopped); BULKHEAD_FIELD(deleted); BULKHEAD_FIELD(interrupted); BULKHEAD_FIELD(scaled));
BULKHEAD_FIELDS(IdentityHandover,
  BULKHEAD_FIELD(path); BULKHEAD_FIELD(name); BULKHEAD_FIELD(uid); BULKHEAD_FIELD(gid); BULKHEAD_FIELD(groups));
BULKHEAD_FIELDS(VariableHandover, BULKHEAD_FIELD(name); BULKHEAD_FIELD(value));
BULKHEAD_FIELDS(VariablesHandover, BULKHEAD_FIELD(path); BULKHEAD_FIELD(variables));
BULKHEAD_FIELDS(WishesHandover, BULKHEAD_FIELD(reset); BULKHEAD_FIELD(confirm));
BULKHEAD_FIELDS(UnconfirmedHandover,
  BULKHEAD_FIELD(config); BULKHEAD_FIELD(limit); BULKHEAD_FIELD(until); BULKHEAD_FIELD(identities);
  BULKHEAD_FIELD(variables));
BULKHEAD_FIELDS(DescriptorIdentity, BULKHEAD_FIELD(fd); BULKHEAD_FIELD(identity));
BULKHEAD_FIELDS(Handover,
  BULKHEAD_FIELD(version); BULKHEAD_FIELD(pid); BULKHEAD_FIELD(program); BULKHEAD_FIELD(worker_protocol);
  BULKHEAD_FIELD(config_file); BULKHEAD_FIELD(config); BULKHEAD_FIELD(settled); BULKHEAD_FIELD(generation);
  BULKHEAD_FIELD(next_listener); BULKHEAD_FIELD(started); BULKHEAD_FIELD(last_reload); BULKHEAD_FIELD(last_upgrade);
  BULKHEAD_FIELD(incarnation); BULKHEAD_DESCRIPTOR(own_program); BULKHEAD_DESCRIPTOR(worker_program); BULKHEAD_DESCRIPTOR(module_worker_program);
  BULKHEAD_DESCRIPTOR(log_lines); BULKHEAD_DESCRIPTOR(log_handlers); BULKHEAD_DESCRIPTOR(pid_file);
  BULKHEAD_FIELD(services); BULKHEAD_FIELD(inherited); BULKHEAD_FIELD(control); BULKHEAD_FIELD(added); BULKHEAD_FIELD(leaving);
  BULKHEAD_FIELD(overrides);
  BULKHEAD_FIELD(identities); BULKHEAD_FIELD(pools); BULKHEAD_FIELD(variables);
  BULKHEAD_FIELD(operations); BULKHEAD_FIELD(endings); BULKHEAD_FIELD(reload_asked);
  BULKHEAD_FIELD(reload_wishes); BULKHEAD_FIELD(unconfirmed);
  BULKHEAD_FIELD(tree); BULKHEAD_FIELD(listeners); BULKHEAD_FIELD(workers); BULKHEAD_FIELD(lines);
  BULKHEAD_FIELD(processes);
  BULKHEAD_FIELD(remains); BULKHEAD_FIELD(errors); BULKHEAD_FIELD(adoption); BULKHEAD_FIELD(forgive);
  BULKHEAD_FIELD(runs);
  BULKHEAD_FIELD(descriptor_limit); BULKHEAD_FIELD(last_seq);
  BULKHEAD_FIELD(descriptors));
// clang-format on

#undef BULKHEAD_FIELDS
#undef BULKHEAD_DESCRIPTOR
#undef BULKHEAD_FIELD

}  // namespace bulkhead::upgrade
