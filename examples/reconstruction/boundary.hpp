// zo::pullback where tensors meet a black box with vector answers.
#pragma once

#include <torch/torch.h>

#include <span>
#include <zo/pullback.hpp>

namespace reconstruction {

struct pulled_back {
  torch::Tensor gradients;  ///< shape of z: estimates of J(z_b)ᵀ v_b
  zo::index_t queries = 0;
  zo::index_t failed = 0;  ///< answers among them that were not finite
  bool ok = true;          ///< false: no gradient; all zeros
};

/// z is (B, ...); `answers` makes (n, m) of (n, ...) like z, without gradients. y and v are (B, m):
/// the answers at z, which are not asked again, and the derivatives of the loss in them. All of
/// type T.
template <zo::scalar T, class Answers, class How>
pulled_back pull_back(const Answers& answers, const torch::Tensor& z, const torch::Tensor& y,
                      const torch::Tensor& v, const How& how, const zo::estimate_options& options) {
  const torch::Tensor at = z.detach().contiguous();
  const torch::Tensor base = y.detach().contiguous();
  const torch::Tensor along = v.detach().contiguous();
  const auto numbers = [](const torch::Tensor& tensor) {
    return std::span<const T>(tensor.data_ptr<T>(), static_cast<std::size_t>(tensor.numel()));
  };
  const auto rows = [&](const torch::Tensor& tensor) {
    return zo::points<T>{numbers(tensor), tensor.size(0), tensor[0].numel()};
  };
  const auto type = at.options();
  const auto map = [&](zo::points<T> candidates, std::span<T> ys) {
    const torch::NoGradGuard no_gradient;
    std::vector<std::int64_t> shape = at.sizes().vec();
    shape[0] = candidates.count;
    // from_blob has no const form; `answers` gets a tensor it must not write to.
    const auto images = torch::from_blob(const_cast<T*>(candidates.data.data()), shape, type);
    torch::from_blob(ys.data(), {candidates.count, base.size(1)}, type).copy_(answers(images));
  };
  const auto found = zo::pullback(zo::par, map, rows(at), rows(along), how, options, numbers(base));
  return {torch::tensor(found.gradients, type).view(z.sizes()), found.queries, found.failed,
          found.ok};
}

}  // namespace reconstruction
