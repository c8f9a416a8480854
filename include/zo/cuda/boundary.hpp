// Gray box on the device: zo::boundary for rows in device memory.
#pragma once

#include <type_traits>

#include "zo/boundary.hpp"
#include "zo/config.hpp"
#include "zo/cuda/estimate.hpp"

namespace zo {

/// Enqueues estimates of loss and gradient of every row of `z` under a rowwise black box: see
/// zo::boundary of zo/boundary.hpp. `gradients` (rows * dimension) and `losses` (rows) are device
/// memory of the caller's. Waits for nothing.
template <class F, class T, class How>
requires cuda::rowwise_objective<std::remove_reference_t<F>, T> &&
    estimator_on<How, cuda::machine<T, std::remove_reference_t<F>>>
        cuda::pending_estimate boundary(const cuda::policy& on, F&& f, const cuda::points<T>& z,
                                        const How& how, const estimate_options& options,
                                        cuda::span<std::type_identity_t<T>> gradients,
                                        cuda::span<double> losses, cuda::workspace& memory) {
  constexpr const char* who = "zo::boundary";
  detail::check_dimension(who, z.dimension);
  detail::check_options(who, options);
  detail::check_known_values(who, options, z.count);
  detail::require(z.count >= 1, who, ": z has no rows; give at least 1");
  const index_t numbers = detail::checked_product(who, z.count, z.dimension);
  detail::require(z.data.size() == numbers, who, ": z of ", z.count, " rows of ", z.dimension,
                  " needs ", numbers, " numbers, got ", z.data.size());
  detail::require(gradients.size() == z.data.size() && losses.size() == z.count, who,
                  ": gradients and losses must have room for ", z.data.size(), " and ", z.count,
                  " numbers, got ", gradients.size(), " and ", losses.size());
  detail::require(memory.on().stream() == on.stream(), who,
                  ": the workspace belongs to another stream; make one a stream");
  detail::require(cuda::detail::apart(z.data, gradients), who, ": gradients must not overlap z");
  detail::require(cuda::detail::apart(losses, gradients) && cuda::detail::apart(losses, z.data),
                  who, ": losses must not overlap gradients or z");
  cuda::detail::check_device_pointer(on, who, "z", z.data.data());
  cuda::detail::check_device_pointer(on, who, "gradients", gradients.data());
  cuda::detail::check_device_pointer(on, who, "losses", losses.data());
  const row_problem<T> problem{z.data.data(), z.count, z.dimension, gradients.data(),
                               losses.data()};
  // Asked by rows, also where F can answer single points as well.
  auto by_rows = [&f](cuda::points<T> candidates, cuda::span<const index_t> rows,
                      cuda::span<double> answers,
                      cudaStream_t stream) { f(candidates, rows, answers, stream); };
  const detail::in_use::hold alone(who, memory.use());
  cuda::detail::agree_on_estimate(on, z.data, z.count, how, options);
  return cuda::detail::estimate_rows(on, by_rows, problem, how, options, memory);
}

}  // namespace zo
