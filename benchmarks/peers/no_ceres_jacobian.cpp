#include "ceres_jacobian.hpp"

namespace bench::peers {

bool ceres_is_here() { return false; }

struct ceres_jacobian::parts {
  std::vector<double> none;
};
ceres_jacobian::ceres_jacobian(std::vector<double>) : parts_(std::make_unique<parts>()) {}
ceres_jacobian::~ceres_jacobian() = default;
const std::vector<double>& ceres_jacobian::evaluate() { return parts_->none; }

}  // namespace bench::peers
