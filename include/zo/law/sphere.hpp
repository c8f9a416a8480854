// Directions on the unit sphere.
#pragma once

#include "zo/config.hpp"
#include "zo/law/gaussian.hpp"

namespace zo {

/// Uniform on the unit sphere: a Gaussian direction divided by its norm. E[u uᵀ] = I / d, so the
/// scale c(d) is d. This is the estimate of ZO-AE-DS (Zhang et al., ICLR 2022, eq. 3). Each use
/// costs one more generation of the direction, for the norm.
struct sphere {
  using law = gaussian;
  static constexpr bool unit_norm = true;
  static constexpr double scale(index_t dimension) { return static_cast<double>(dimension); }
};

}  // namespace zo
