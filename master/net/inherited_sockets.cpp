#include "master/net/inherited_sockets.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>

#include "master/net/listen_variables.h"
#include "master/net/socket_address.h"
#include "worker/admission/crc32c.h"
#include "worker/ipc/peer.h"

namespace bulkhead::net {

namespace {

using config::ListenAddress;

constexpr int kFirstPassed = 3;  // SD_LISTEN_FDS_START

template <class T>
std::optional<T> option_of(int fd, int option) {
  T value{};
  socklen_t length = sizeof value;
  if (getsockopt(fd, SOL_SOCKET, option, &value, &length) != 0) return std::nullopt;
  return value;
}

// Why clients cannot be accepted from it, or empty.
const char* why_not_usable(int fd) {
  if (fcntl(fd, F_GETFD) < 0) return "is not open";
  const auto type = option_of<int>(fd, SO_TYPE);
  if (!type) return "is not a socket";
  const auto domain = option_of<int>(fd, SO_DOMAIN);
  const auto protocol = option_of<int>(fd, SO_PROTOCOL);
  const bool tcp = (domain == AF_INET || domain == AF_INET6) && (protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP);
  if (*type != SOCK_STREAM || (!tcp && domain != AF_UNIX)) return "is not a TCP or Unix stream socket";
  if (option_of<int>(fd, SO_ACCEPTCONN).value_or(0) == 0) return "is not listening";
  return "";
}

constexpr std::string_view kStored = "bulkhead_stored-";

std::string text_of(const SocketAddress& address) {
  if (address.storage.ss_family == AF_UNIX) return "unix:" + unix_path(address);
  return std::string(ipc::PeerText(ipc::peer_of(address.storage)).view());
}

// Empty if it is not bound.
std::string device_of(int fd) {
  char name[IF_NAMESIZE] = {};
  socklen_t length = sizeof name;
  return getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &length) == 0 ? std::string(name) : "";
}

bool same_socket(int a, int b) {
  return cookie_of(a) == cookie_of(b);
}

// Descriptors 0 to 2 always stay open, so that no file gets their numbers.
void close_number(int number) {
  if (number > STDERR_FILENO) {
    close(number);
    return;
  }
  const sys::Fd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (null) dup2(null.get(), number);
}

std::vector<int> open_descriptors() {
  std::vector<int> out;
  DIR* directory = opendir("/proc/self/fd");
  if (directory == nullptr) return out;
  while (const dirent* entry = readdir(directory)) {
    const std::string_view name = entry->d_name;
    int number = -1;
    const auto result = std::from_chars(name.data(), name.data() + name.size(), number);
    if (result.ec == std::errc() && number != dirfd(directory)) out.push_back(number);
  }
  closedir(directory);
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace

InheritedSockets InheritedSockets::take_over() {
  InheritedSockets out;
  out.find_listening();
  out.read_variables();
  return out;
}

void InheritedSockets::find_listening() {
  for (const int number : open_descriptors()) {
    if (*why_not_usable(number) != '\0') continue;
    Socket socket;
    socket.number = number;
    if (number > STDERR_FILENO) {
      fcntl(number, F_SETFD, FD_CLOEXEC);
      socket.fd.reset(number);
    } else {
      socket.fd.reset(fcntl(number, F_DUPFD_CLOEXEC, kFirstPassed));
    }
    sockets_.push_back(std::move(socket));
  }
}

void InheritedSockets::read_variables() {
  const ListenVariables variables{std::getenv("LISTEN_PID"), std::getenv("LISTEN_FDS"), std::getenv("LISTEN_FDNAMES")};
  PassedDescriptors passed = parse_listen_variables(variables, getpid());
  for (std::size_t i = 0; i < passed.names.size(); ++i) {
    take_passed(kFirstPassed + static_cast<int>(i), passed.names[i]);
  }
  if (!passed.remark.empty()) remarks_.push_back(passed.remark);
  if (passed.names.empty()) why_none_ = std::move(passed.remark);
  for (const char* name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"}) unsetenv(name);
}

void InheritedSockets::take_passed(int number, const std::string& name) {
  const auto ignore = [&](std::string_view why) {
    remarks_.push_back(fmt::format("descriptor {} of LISTEN_FDS, \"{}\", {}: ignored", number, name, why));
  };
  const auto found =
      std::find_if(sockets_.begin(), sockets_.end(), [=](const Socket& each) { return each.number == number; });
  if (found == sockets_.end()) {
    ignore(why_not_usable(number));
    close(number);
    return;
  }
  const auto twin = std::find_if(sockets_.begin(), sockets_.end(), [&](const Socket& each) {
    return &each != &*found && !each.name.empty() && same_socket(each.fd.get(), found->fd.get());
  });
  if (twin != sockets_.end()) {
    ignore(fmt::format("is the same socket as descriptor {}", twin->number));
    sockets_.erase(found);
    return;
  }
  found->name = name;
}

std::vector<std::string> InheritedSockets::take_remarks() {
  return std::exchange(remarks_, {});
}

std::string InheritedSockets::nothing_at(const ListenAddress& address) const {
  const bool by_name = address.form == ListenAddress::Form::systemd;
  std::vector<std::string> offer;
  for (const Socket& socket : sockets_) {
    std::string one = by_name ? socket.name : fmt::format("fd:{}", socket.number);
    if (!one.empty() && std::find(offer.begin(), offer.end(), one) == offer.end()) offer.push_back(std::move(one));
  }
  const std::string what =
      by_name ? fmt::format("no listening socket named \"{}\" was passed", address.name)
              : fmt::format("descriptor {} is not a listening stream socket that was passed", address.descriptor);
  if (!offer.empty()) return fmt::format("{}: {}; these were passed: {}", address.text, what, fmt::join(offer, ", "));
  if (!by_name) return fmt::format("{}: {}", address.text, what);
  return fmt::format("{}: {}; {}", address.text, what, why_none_.empty() ? "LISTEN_FDS is not set" : why_none_);
}

sys::Result<std::vector<InheritedSockets::Lent>> InheritedSockets::open(const ListenAddress& address) {
  const bool by_name = address.form == ListenAddress::Form::systemd;
  std::vector<Lent> out;
  for (Socket& socket : sockets_) {
    if (by_name ? socket.name != address.name : socket.number != address.descriptor) continue;
    if (!socket.lease.expired()) return sys::Error{address.text + ": another listener has this socket", "", 0};
    sys::Fd copy(fcntl(socket.fd.get(), F_DUPFD_CLOEXEC, kFirstPassed));
    if (!copy) return sys::Error{"dup", address.text, errno};
    // Workers take turns at accepting from it (acceptor.h), so none of them may block in accept(2).
    fcntl(copy.get(), F_SETFL, fcntl(copy.get(), F_GETFL) | O_NONBLOCK);
    if (socket.number <= STDERR_FILENO) close_number(socket.number);
    auto lease = std::make_shared<const int>(socket.number);
    socket.lease = lease;
    out.push_back({std::move(copy), std::move(lease)});
  }
  if (out.empty()) return sys::Error{nothing_at(address), "", 0};
  return out;
}

sys::Fd InheritedSockets::take_stored(const ListenAddress& address) {
  const std::string wanted = text_of(socket_address(address));
  const auto found = std::ranges::find_if(sockets_, [&](const Socket& each) {
    return each.name.starts_with(kStored) && each.lease.expired() && bound_text(each.fd.get()) == wanted &&
           device_of(each.fd.get()) == address.device;
  });
  if (found == sockets_.end()) return {};
  sys::Fd out = std::move(found->fd);
  sockets_.erase(found);
  // A killed owner may have left a filter that refuses new connections.
  const int unused = 0;
  setsockopt(out.get(), SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof unused);
  fcntl(out.get(), F_SETFL, fcntl(out.get(), F_GETFL) | O_NONBLOCK);
  return out;
}

std::vector<InheritedHandover> InheritedSockets::hand_over() const {
  std::vector<InheritedHandover> out;
  for (const Socket& socket : sockets_) out.push_back({socket.number, socket.name, socket.fd.get()});
  return out;
}

void InheritedSockets::resume(const std::vector<InheritedHandover>& from) {
  for (const InheritedHandover& one : from) {
    Socket& socket = sockets_.emplace_back();
    socket.number = one.number;
    socket.name = one.name;
    socket.fd.reset(one.fd);
  }
}

int InheritedSockets::number_of(const std::shared_ptr<const void>& lease) const {
  if (lease == nullptr) return -1;
  const auto found = std::ranges::find_if(sockets_, [&](const Socket& each) { return each.lease.lock() == lease; });
  return found == sockets_.end() ? -1 : found->number;
}

std::shared_ptr<const void> InheritedSockets::lease_again(int number) {
  auto lease = std::make_shared<const int>(number);
  for (Socket& socket : sockets_) {
    if (socket.number == number) socket.lease = lease;
  }
  return lease;
}

void InheritedSockets::close_unused() {
  for (const Socket& socket : sockets_) {
    if (!socket.lease.expired() || socket.number <= STDERR_FILENO) continue;
    if (socket.name.starts_with(kStored)) unwanted_.push_back(socket.name);
    std::string name = socket.name.empty() ? "" : fmt::format(" of LISTEN_FDS, \"{}\",", socket.name);
    remarks_.push_back(fmt::format("descriptor {}{} listens on {} but no listener uses it: closed", socket.number, name,
                                   bound_text(socket.fd.get())));
  }
  std::erase_if(sockets_, [](const Socket& socket) { return socket.lease.expired(); });
}

std::uint64_t cookie_of(int fd) {
  return option_of<std::uint64_t>(fd, SO_COOKIE).value_or(0);
}

std::string bound_text(int fd) {
  SocketAddress bound;
  bound.length = sizeof bound.storage;
  getsockname(fd, reinterpret_cast<sockaddr*>(&bound.storage), &bound.length);
  return text_of(bound);
}

// FDNAME= allows few characters, and at most 255 of them (sd_pid_notify_with_fds(3)).
std::string store_name(int fd) {
  constexpr std::size_t kReadable = 150;
  const std::string text = bound_text(fd);
  std::string readable = text.substr(0, kReadable);
  for (char& c : readable) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '.') c = '_';
  }
  const std::uint32_t sum = admission::Crc32c().add(text).add(device_of(fd)).value();
  return fmt::format("{}{}-{:08x}", kStored, readable, sum);
}

}  // namespace bulkhead::net
