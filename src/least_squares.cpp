// The linear algebra of a Levenberg-Marquardt step.
#include "zo/least_squares.hpp"

#if defined(ZO_HAS_EIGEN)
#include <Eigen/Dense>
#include <Eigen/SparseCholesky>
#include <Eigen/SparseCore>
#endif

namespace zo::detail {

#if defined(ZO_HAS_EIGEN)

using dense_matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using sparse_matrix = Eigen::SparseMatrix<double, Eigen::RowMajor, std::int64_t>;
using normal_matrix = Eigen::SparseMatrix<double, Eigen::ColMajor, std::int64_t>;

struct damped_steps::parts {
  Eigen::Index rows = 0, columns = 0;
  const coloring* colors = nullptr;
  dense_matrix dense;
  sparse_matrix sparse;
  Eigen::VectorXd residuals;
  Eigen::VectorXd model;  // J s
  normal_matrix normal;   // JᵀJ, with a whole diagonal
  Eigen::SimplicialLDLT<normal_matrix> factor;
  bool analyzed = false;
};

damped_steps::damped_steps(index_t rows, index_t columns, const coloring* colors)
    : parts_(std::make_unique<parts>()), scale_(static_cast<std::size_t>(columns), 0.0) {
  parts_->rows = rows;
  parts_->columns = columns;
  parts_->colors = colors;
}
damped_steps::~damped_steps() = default;

void damped_steps::linearize(std::span<const double> values, std::span<const double> residuals) {
  parts& p = *parts_;
  p.residuals = Eigen::Map<const Eigen::VectorXd>(residuals.data(), p.rows);
  Eigen::VectorXd gradient, squares;
  if (p.colors == nullptr) {
    p.dense = Eigen::Map<const dense_matrix>(values.data(), p.rows, p.columns);
    gradient = p.dense.transpose() * p.residuals;
    squares = p.dense.colwise().squaredNorm();
  } else {
    const sparsity& pattern = p.colors->pattern();
    p.sparse = Eigen::Map<const sparse_matrix>(
        p.rows, p.columns, static_cast<Eigen::Index>(values.size()), pattern.starts.data(),
        pattern.indices.data(), values.data());
    gradient = p.sparse.transpose() * p.residuals;
    squares = Eigen::VectorXd::Zero(p.columns);
    for (std::size_t k = 0; k < values.size(); ++k) {
      squares[pattern.indices[k]] += values[k] * values[k];
    }
    sparse_matrix whole(p.columns, p.columns);  // so that damping changes no pattern
    whole.setIdentity();
    p.normal = normal_matrix(p.sparse.transpose() * p.sparse) + normal_matrix(0.0 * whole);
    if (!p.analyzed) p.factor.analyzePattern(p.normal);
    p.analyzed = true;
  }
  gradient_.assign(gradient.data(), gradient.data() + p.columns);
  slope_ = 0;
  const double size = p.residuals.norm();
  for (std::size_t j = 0; j < scale_.size(); ++j) {
    const double square = squares[static_cast<Eigen::Index>(j)];
    scale_[j] = std::max(scale_[j], square);
    if (square > 0 && size > 0) {
      slope_ = std::max(slope_, std::abs(gradient_[j]) / (std::sqrt(square) * size));
    }
  }
}

bool damped_steps::solve(double damping) {
  parts& p = *parts_;
  // A column that is zero does not move.
  const auto weight = [&](std::size_t j) { return scale_[j] > 0 ? damping * scale_[j] : 1.0; };
  Eigen::VectorXd step;
  if (p.colors == nullptr) {
    Eigen::MatrixXd stacked(p.rows + p.columns, p.columns);
    stacked.topRows(p.rows) = p.dense;
    stacked.bottomRows(p.columns).setZero();
    for (std::size_t j = 0; j < scale_.size(); ++j) {
      const auto at = static_cast<Eigen::Index>(j);
      stacked(p.rows + at, at) = std::sqrt(weight(j));
    }
    Eigen::VectorXd right = Eigen::VectorXd::Zero(p.rows + p.columns);
    right.head(p.rows) = -p.residuals;
    step = stacked.colPivHouseholderQr().solve(right);
    p.model = p.dense * step;
  } else {
    normal_matrix damped = p.normal;
    for (std::size_t j = 0; j < scale_.size(); ++j) {
      const auto at = static_cast<Eigen::Index>(j);
      damped.coeffRef(at, at) += weight(j);
    }
    p.factor.factorize(damped);
    if (p.factor.info() != Eigen::Success) return false;
    step = p.factor.solve(-Eigen::Map<const Eigen::VectorXd>(gradient_.data(), p.columns));
    p.model = p.sparse * step;
  }
  step_.assign(step.data(), step.data() + p.columns);
  return step.allFinite();
}

double damped_steps::predicted() const {
  const parts& p = *parts_;
  return -(p.model.dot(p.residuals) + p.model.squaredNorm() / 2);
}

#else

struct damped_steps::parts {};
damped_steps::damped_steps(index_t, index_t, const coloring*) {
  throw not_compiled("zo::least_squares", "install Eigen (libeigen3-dev) and build zo again");
}
damped_steps::~damped_steps() = default;
void damped_steps::linearize(std::span<const double>, std::span<const double>) {}
bool damped_steps::solve(double) { return false; }
double damped_steps::predicted() const { return 0; }

#endif

}  // namespace zo::detail
