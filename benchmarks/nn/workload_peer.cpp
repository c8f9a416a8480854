// Apart, so that programs without a peer need no LibTorch.
#include "workload.hpp"

namespace bench {

std::unique_ptr<peers::torch_resnet> workload::peer(const peers::torch_options& how) const {
  std::vector<peers::named_tensor> weights;
  for (const zo::nn::view& v : net.parameters()) {
    weights.push_back(
        {v.name, v.dims,
         std::span(parameters)
             .subspan(static_cast<std::size_t>(v.offset), static_cast<std::size_t>(v.size))});
  }
  return peers::make_torch_resnet(weights, images, classes, how);
}

}  // namespace bench
