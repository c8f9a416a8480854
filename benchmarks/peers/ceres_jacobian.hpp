// Broyden's tridiagonal residual differentiated by Ceres: a residual block a row, forward differences,
// Jacobian in compressed rows.
#pragma once

#include <memory>
#include <vector>

namespace bench::peers {

bool ceres_is_here();

class ceres_jacobian {
 public:
  explicit ceres_jacobian(std::vector<double> x);
  ceres_jacobian(const ceres_jacobian&) = delete;
  ceres_jacobian& operator=(const ceres_jacobian&) = delete;
  ~ceres_jacobian();

  /// The nonzeros, row by row.
  const std::vector<double>& evaluate();

 private:
  struct parts;
  std::unique_ptr<parts> parts_;
};

}  // namespace bench::peers
