// Gray boxes on LibTorch tensors: zo::boundary for a latent tensor and a black box of tensors.
// Optional: include it only where LibTorch is linked; no other header of zo includes it.
#pragma once

#include <torch/torch.h>

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "zo/boundary.hpp"

namespace zo {

/// What the black box said about a latent tensor z of B rows.
struct tensor_boundary {
  torch::Tensor losses;     ///< (B), float64 on the CPU
  torch::Tensor gradients;  ///< shape, type and device of z: estimates of dL_b / dz_b
  index queries = 0;        ///< candidates answered, base points included
  index failed = 0;         ///< answers among them that were not finite
  bool ok = true;           ///< false: no gradient; all zeros
};

namespace detail {

// Hands candidates to f as a tensor like z, and its answers back as numbers.
template <class T, class F>
struct tensor_black_box {
  F& f;
  const torch::Tensor& z;

  void operator()(points<T> candidates, std::span<const index> rows, std::span<double> losses) {
    const torch::NoGradGuard no_gradient;
    std::vector<std::int64_t> shape = z.sizes().vec();
    shape[0] = candidates.count;
    // from_blob has no const form; f gets tensors it must not write to.
    const torch::Tensor batch = torch::from_blob(const_cast<T*>(candidates.data.data()), shape,
                                                 torch::CppTypeToScalarType<T>::value)
                                    .to(z.device());
    const torch::Tensor numbers =
        torch::from_blob(const_cast<index*>(rows.data()), {candidates.count}, torch::kInt64)
            .to(z.device());
    const torch::Tensor answers =
        f(batch, numbers).to(torch::kCPU, torch::kFloat64).contiguous().reshape({-1});
    require(answers.numel() == candidates.count, "zo::boundary: the black box must return ",
            candidates.count, " losses, got ", static_cast<index>(answers.numel()));
    std::copy_n(answers.template data_ptr<double>(), candidates.count, losses.data());
  }
};

template <class T, execution_policy Policy, class F, class How>
tensor_boundary boundary_of(const Policy& policy, F& f, const torch::Tensor& z, const How& how,
                            const estimate_options& options) {
  const torch::Tensor rows = z.detach().to(torch::kCPU).contiguous();
  const index count = rows.size(0);
  const index dimension = count == 0 ? 0 : rows.numel() / count;
  const std::span<const T> values{rows.template data_ptr<T>(),
                                  static_cast<std::size_t>(rows.numel())};
  tensor_black_box<T, F> black_box{f, z};
  const boundary_result<T> found =
      boundary(policy, black_box, points<T>{values, count, dimension}, how, options);
  return {torch::tensor(found.losses, torch::kFloat64),
          torch::tensor(found.gradients, rows.options()).view(z.sizes()).to(z.device()),
          found.queries, found.failed, found.ok};
}

}  // namespace detail

/// zo::boundary for tensors. z is (B, ...), float32 or float64, on any device; it is detached and
/// not changed. f(candidates, rows) gets candidates (n, ...) like z and the batch row of each, (n)
/// int64, and returns n losses; it is called without gradients and must not write to its arguments.
/// Back-propagate (z * gradients).sum() through whatever made z. Throws std::invalid_argument for
/// other types and for a wrong number of losses.
template <execution_policy Policy, class F, class How>
tensor_boundary boundary(const Policy& policy, F&& f, const torch::Tensor& z, const How& how,
                         const estimate_options& options = {}) {
  detail::require(z.defined() && z.dim() >= 1, "zo::boundary: z must be a tensor of rows");
  const auto type = z.scalar_type();
  detail::require(type == torch::kFloat32 || type == torch::kFloat64,
                  "zo::boundary: z must hold float32 or float64 numbers");
  if (type == torch::kFloat64) return detail::boundary_of<double>(policy, f, z, how, options);
  return detail::boundary_of<float>(policy, f, z, how, options);
}

}  // namespace zo
