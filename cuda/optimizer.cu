// One step of the rules of the list on the device. Work of a thread: one coordinate, the same bits
// as the loops of src/optimizer.cpp.
#include <array>
#include <cstddef>

#include "zo/cuda/element.hpp"
#include "zo/cuda/operations.hpp"
#include "zo/rule/list.hpp"

namespace zo::cuda::detail {

namespace {

using walker = void (*)(const stream_context&, const void*, index_t, const void*,
                        unsigned long long*);

template <class Element, class T>
void walk(const stream_context& at, const void* element, index_t count, const void* gradient,
          unsigned long long* infinite) {
  walk_here(at, *static_cast<const Element*>(element), count, static_cast<const T*>(gradient),
            infinite);
}

template <class... Rules>
constexpr auto walkers(zo::detail::rule_list<Rules...>) {
  std::array<walker, 2 * sizeof...(Rules)> all{};
  std::size_t place = 0;
  ((all[place++] = walk<typename Rules::template element<float>, float>,
    all[place++] = walk<typename Rules::template element<double>, double>),
   ...);
  return all;
}

}  // namespace

void walk_compiled(const stream_context& at, int place_in_list, const void* element, index_t count,
                   const void* gradient, unsigned long long* infinite) {
  static constexpr auto all = walkers(zo::detail::rules{});
  all[static_cast<std::size_t>(place_in_list)](at, element, count, gradient, infinite);
}

}  // namespace zo::cuda::detail
