// Lambdas as one visitor for std::visit: one for each alternative, so that the compiler finds the one that is missing.
#pragma once

namespace bulkhead::sys {

template <class... Known>
struct Overloaded : Known... {
  using Known::operator()...;
};
template <class... Known>
Overloaded(Known...) -> Overloaded<Known...>;  // Clang 14 does not deduce aggregates

}  // namespace bulkhead::sys
