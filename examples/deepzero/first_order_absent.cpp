#include <stdexcept>

#include "first_order.hpp"

namespace deepzero {

bool has_first_order() { return false; }

std::string without_first_order() {
  return "--estimator first-order needs LibTorch, and this program was built without it: install "
         "libtorch-dev and build again, or leave first-order out";
}

std::unique_ptr<estimator> make_first_order(const zo::nn::network&, const settings&) {
  throw std::runtime_error(without_first_order());
}

}  // namespace deepzero
