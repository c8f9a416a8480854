// Two common ways to estimate a gradient from losses, written as favourably as their idea allows,
// and the objective they and zo are given. Compiled for this very machine (-O3 -march=native),
// which zo's side of a comparison is not.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

namespace peers {

/// sum of (x_i - 1)^2: about the cheapest objective that reads x, vectorized, added in double.
double shifted_squares(std::span<const float> x);

using objective = double (*)(std::span<const float>);

/// The work of one SPSA iteration as in ensmallen: a stored sign vector, and x moved in place by
/// +c, -2c, +c. 2 queries. More favourable than the original: 64 signs from each random number
/// instead of one, no evaluation just for reporting, float instead of double.
class spsa {
 public:
  spsa(std::span<const float> x, float c);
  ~spsa();
  std::span<const float> estimate(objective f);

 private:
  struct state;
  std::unique_ptr<state> state_;
};

/// RGE as a few lines of Eigen: a q x d matrix U of normals drawn for each estimate, forward
/// differences, g = U^T w. 1 + q queries.
class stored_rge {
 public:
  stored_rge(std::span<const float> x, std::int64_t directions, float mu);
  ~stored_rge();
  std::span<const float> estimate(objective f);

 private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace peers
