#include "torch_resnet.hpp"

namespace peers {

std::unique_ptr<torch_resnet> make_torch_resnet(std::span<const named_tensor>,
                                                std::span<const float>,
                                                std::span<const std::int64_t>,
                                                const torch_options&) {
  return nullptr;
}

std::string torch_version() { return "none"; }

}  // namespace peers
