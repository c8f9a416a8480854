// Element loops of the rules, compiled here without contraction, so that a program's own flags
// cannot change the bits of a run.
#include "zo/optimizer.hpp"

#include <array>
#include <cstddef>

namespace zo::detail {

namespace {

using walker = void (*)(const void*, index_t, index_t, const void*);

template <class... Rules>
constexpr auto walkers(rule_list<Rules...>) {
  std::array<walker, 2 * sizeof...(Rules)> all{};
  std::size_t place = 0;
  ((all[place++] = walk_here<typename Rules::template element<float>, float>,
    all[place++] = walk_here<typename Rules::template element<double>, double>),
   ...);
  return all;
}

}  // namespace

void walk_compiled(int place, const void* element, index_t begin, index_t end,
                   const void* gradient) {
  static constexpr auto all = walkers(rules{});
  all[static_cast<std::size_t>(place)](element, begin, end, gradient);
}

}  // namespace zo::detail
