#include "worker/admission/accept_error.h"

#include <catch2/catch.hpp>
#include <cerrno>

using bulkhead::admission::AcceptVerdict;
using bulkhead::admission::judge_accept_error;

TEST_CASE("an error of accept is classified by its origin") {
  const struct {
    int error;
    AcceptVerdict verdict;
  } rows[] = {
      {EAGAIN, AcceptVerdict::empty},       {EINTR, AcceptVerdict::retry},      {ECONNABORTED, AcceptVerdict::retry},
      {EPROTO, AcceptVerdict::retry},       {EPERM, AcceptVerdict::retry},      {ENETDOWN, AcceptVerdict::retry},
      {ENOPROTOOPT, AcceptVerdict::retry},  {EHOSTDOWN, AcceptVerdict::retry},  {ENONET, AcceptVerdict::retry},
      {EHOSTUNREACH, AcceptVerdict::retry}, {EOPNOTSUPP, AcceptVerdict::retry}, {ENETUNREACH, AcceptVerdict::retry},
      {EMFILE, AcceptVerdict::pause},       {ENFILE, AcceptVerdict::pause},     {ENOBUFS, AcceptVerdict::pause},
      {ENOMEM, AcceptVerdict::pause},       {EBADF, AcceptVerdict::broken},     {ENOTSOCK, AcceptVerdict::broken},
      {EINVAL, AcceptVerdict::dead},        {EFAULT, AcceptVerdict::broken},
  };
  for (const auto& row : rows) {
    INFO("errno " << row.error);
    CHECK(judge_accept_error(row.error) == row.verdict);
  }
}
