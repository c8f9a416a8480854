// expect: compile this file with nvcc .name it
// A law of one's own is device code.
#include "zo/cuda.hpp"

struct ones {
  using law = ones;
  static constexpr bool unit_norm = false;
  static constexpr double scale(zo::index_t) { return 1.0; }
  static constexpr int pieces = 1;
  static constexpr int values = 1;
  static constexpr bool continuous = false;
  static constexpr double largest = 1;
  template <class Visit>
  ZO_HD static void each(const zo::words4<std::uint32_t>&, int, Visit&& visit) {
    visit(0, 1.0f);
  }
};
void run(const zo::cuda::policy& on, zo::cuda::span<double> x) {
  zo::cuda::perturb(on, ones{}, zo::stream{}, x, 0.5, x);
}
