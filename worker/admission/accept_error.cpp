#include "worker/admission/accept_error.h"

#include <cerrno>

namespace bulkhead::admission {

AcceptVerdict judge_accept_error(int error) noexcept {
  switch (error) {
    case EAGAIN: return AcceptVerdict::empty;
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case EPERM:  // a packet filter has refused one connection
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
    case ETIMEDOUT: return AcceptVerdict::retry;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM: return AcceptVerdict::pause;
    case EINVAL: return AcceptVerdict::dead;
    default: return AcceptVerdict::broken;
  }
}

bool is_shortage(int error) noexcept {
  return error == EAGAIN || error == ENOMEM || error == EMFILE || error == ENFILE;
}

}  // namespace bulkhead::admission
