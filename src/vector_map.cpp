// Sums over vector answers.
#include "zo/vector_map.hpp"

#include "zo/direction_lane.hpp"
#include "zo/slope.hpp"

namespace zo::detail {

namespace {

// One tile: 16 lanes side by side, added by a tree.
template <bool Based, class T>
double tile_pairing(index_t count, const T* v, const T* y, const T* base) {
  double sum[lanes] = {};
  index_t i = 0;
  const auto term = [&](index_t at, index_t lane) {
    sum[lane] += paired(v[at], y[at], Based ? base[at] : T(0));
  };
  for (; i + lanes <= count; i += lanes) {
    for (index_t lane = 0; lane < lanes; ++lane) term(i + lane, lane);
  }
  for (index_t lane = 0; i + lane < count; ++lane) term(i + lane, lane);
  return lane_tree(sum);
}

}  // namespace

template <class T>
double pairing(index_t count, const T* v, const T* y, const T* base) {
  double total = 0;
  for (index_t at = 0; at < count; at += tile) {
    const index_t here = std::min(tile, count - at);
    total += base != nullptr ? tile_pairing<true>(here, v + at, y + at, base + at)
                             : tile_pairing<false, T>(here, v + at, y + at, nullptr);
  }
  return total;
}

template double pairing(index_t, const float*, const float*, const float*);
template double pairing(index_t, const double*, const double*, const double*);

}  // namespace zo::detail
