#include "ceres_jacobian.hpp"

#include <ceres/ceres.h>

#include <utility>

namespace bench::peers {
namespace {

struct inner_row {
  bool operator()(const double* before, const double* at, const double* after, double* r) const {
    r[0] = (3 - 2 * at[0]) * at[0] - before[0] - 2 * after[0] + 1;
    return true;
  }
};
struct first_row {
  bool operator()(const double* at, const double* after, double* r) const {
    r[0] = (3 - 2 * at[0]) * at[0] - 2 * after[0] + 1;
    return true;
  }
};
struct last_row {
  bool operator()(const double* before, const double* at, double* r) const {
    r[0] = (3 - 2 * at[0]) * at[0] - before[0] + 1;
    return true;
  }
};

}  // namespace

bool ceres_is_here() { return true; }

struct ceres_jacobian::parts {
  std::vector<double> x;
  ceres::Problem problem;
  ceres::Problem::EvaluateOptions options;
  ceres::CRSMatrix jacobian;
  std::vector<double> residuals;
};

ceres_jacobian::ceres_jacobian(std::vector<double> x) : parts_(std::make_unique<parts>()) {
  using ceres::FORWARD;
  using ceres::NumericDiffCostFunction;
  parts_->x = std::move(x);
  double* const at = parts_->x.data();
  const std::size_t n = parts_->x.size();
  ceres::Problem& problem = parts_->problem;
  for (std::size_t i = 0; i < n; ++i) {
    problem.AddParameterBlock(at + i, 1);
    parts_->options.parameter_blocks.push_back(at + i);
  }
  problem.AddResidualBlock(new NumericDiffCostFunction<first_row, FORWARD, 1, 1, 1>(new first_row),
                           nullptr, at, at + 1);
  for (std::size_t i = 1; i + 1 < n; ++i) {
    problem.AddResidualBlock(
        new NumericDiffCostFunction<inner_row, FORWARD, 1, 1, 1, 1>(new inner_row), nullptr,
        at + i - 1, at + i, at + i + 1);
  }
  problem.AddResidualBlock(new NumericDiffCostFunction<last_row, FORWARD, 1, 1, 1>(new last_row),
                           nullptr, at + n - 2, at + n - 1);
}
ceres_jacobian::~ceres_jacobian() = default;

const std::vector<double>& ceres_jacobian::evaluate() {
  parts_->problem.Evaluate(parts_->options, nullptr, &parts_->residuals, nullptr,
                           &parts_->jacobian);
  return parts_->jacobian.values;
}

}  // namespace bench::peers
