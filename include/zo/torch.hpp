// LibTorch tensors: zo::boundary for a latent tensor and a black box of tensors, and the parameters
// of a module for zo::in_place.
// Optional: include it only where LibTorch is linked; no other header of zo includes it.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <span>
#include <vector>

#include "zo/boundary.hpp"

namespace zo {

/// What the black box said about a latent tensor z of B rows.
struct tensor_boundary {
  torch::Tensor losses;     ///< (B), float64; on the CPU, or on z's device under zo::cuda::on
  torch::Tensor gradients;  ///< shape, type and device of z: estimates of dL_b / dz_b
  index_t queries = 0;      ///< candidates answered, base points included
  index_t failed = 0;       ///< answers among them that were not finite
  bool ok = true;           ///< false: no gradient; all zeros
};

namespace detail {

inline void check_latents(const torch::Tensor& z) {
  require(z.defined() && z.dim() >= 1, "zo::boundary: z must be a tensor of rows");
  require(z.scalar_type() == torch::kFloat32 || z.scalar_type() == torch::kFloat64,
          "zo::boundary: z must hold float32 or float64 numbers");
}

// Numbers of one row of z.
inline index_t row_size(const torch::Tensor& z) {
  return z.size(0) == 0 ? 0 : z.numel() / z.size(0);
}

// Hands `count` candidates to f as a tensor like z, and writes its answers to `losses`. The three
// arrays are memory of the device `memory`.
template <class T, class F>
void ask_tensors(F& f, const torch::Tensor& z, const torch::Device& memory, const T* candidates,
                 const index_t* rows, index_t count, double* losses) {
  const torch::NoGradGuard no_gradient;
  const auto numbers = torch::TensorOptions().device(memory);
  std::vector<std::int64_t> shape = z.sizes().vec();
  shape[0] = count;
  // from_blob has no const form; f gets tensors it must not write to.
  const torch::Tensor batch =
      torch::from_blob(const_cast<T*>(candidates), shape, numbers.dtype(z.scalar_type()))
          .to(z.device());
  const torch::Tensor batch_rows =
      torch::from_blob(const_cast<index_t*>(rows), {count}, numbers.dtype(torch::kInt64))
          .to(z.device());
  const torch::Tensor answers = f(batch, batch_rows);
  require(answers.numel() == count, "zo::boundary: the black box must return ", count,
          " losses, got ", static_cast<index_t>(answers.numel()));
  torch::from_blob(losses, {count}, numbers.dtype(torch::kFloat64)).copy_(answers.reshape({-1}));
}

template <class T, execution_policy Policy, class F, class How>
tensor_boundary boundary_of(const Policy& policy, F& f, const torch::Tensor& z, const How& how,
                            const estimate_options& options) {
  const torch::Tensor rows = z.detach().to(torch::kCPU).contiguous();
  const std::span<const T> values{rows.template data_ptr<T>(),
                                  static_cast<std::size_t>(rows.numel())};
  const auto black_box = [&](points<T> candidates, std::span<const index_t> numbers,
                             std::span<double> losses) {
    ask_tensors(f, z, torch::kCPU, candidates.data.data(), numbers.data(), candidates.count,
                losses.data());
  };
  const boundary_result<T> found =
      boundary(policy, black_box, points<T>{values, rows.size(0), row_size(rows)}, how, options);
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
  detail::check_latents(z);
  if (z.scalar_type() == torch::kFloat64) {
    return detail::boundary_of<double>(policy, f, z, how, options);
  }
  return detail::boundary_of<float>(policy, f, z, how, options);
}

/// The numbers of each tensor, for zo::in_place: zo::parameter_spans<float>(module->parameters()).
/// Tensors of the CPU that hold T and lie densely in memory, whose order is that of coordinates;
/// the spans are valid as long as the tensors. Throws std::invalid_argument for others.
template <scalar T>
std::vector<std::span<T>> parameter_spans(const std::vector<torch::Tensor>& tensors) {
  constexpr const char* who = "zo::parameter_spans: tensor ";
  std::vector<std::span<T>> spans;
  for (const torch::Tensor& one : tensors) {
    const std::size_t k = spans.size();
    detail::require(one.defined(), who, k, " is undefined");
    detail::require(one.scalar_type() == torch::CppTypeToScalarType<T>::value, who, k, " holds ",
                    torch::toString(one.scalar_type()), ", not ",
                    torch::toString(torch::CppTypeToScalarType<T>::value));
    detail::require(one.device().is_cpu(), who, k, " is on ", one.device().str(),
                    "; zo::in_place moves tensors of the CPU");
    detail::require(one.layout() == torch::kStrided && one.is_non_overlapping_and_dense(), who, k,
                    " has gaps in memory; give a contiguous one");
    spans.emplace_back(one.template data_ptr<T>(), static_cast<std::size_t>(one.numel()));
  }
  return spans;
}

}  // namespace zo
