#include <stdexcept>

#include "device.hpp"

namespace deepzero {

bool has_device() { return false; }

void require_device() { throw std::runtime_error(without_device()); }

std::string without_device() {
  return "--device cuda needs CUDA, which this program was built without; configure zo with "
         "-DZO_CUDA=ON where nvcc is installed, or leave out --device";
}

std::unique_ptr<estimator> make_device_estimator(const zo::nn::network&, coordinate_sets,
                                                 const settings&, const app::processes&) {
  throw std::runtime_error(without_device());
}

}  // namespace deepzero
