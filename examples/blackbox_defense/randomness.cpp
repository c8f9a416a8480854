#include "randomness.hpp"

#include <span>
#include <zo/direction.hpp>
#include <zo/random.hpp>

namespace defense {

torch::Tensor normal(std::uint64_t seed, std::uint64_t step, std::uint32_t number,
                     at::IntArrayRef shape) {
  torch::Tensor values = torch::empty(shape, torch::kFloat32);
  zo::fill_direction(
      zo::gaussian{}, {seed, step, number},
      std::span<float>(values.data_ptr<float>(), static_cast<std::size_t>(values.numel())));
  return values;
}

torch::Tensor random_rows(std::uint64_t seed, std::uint64_t step, std::int64_t batch,
                          std::int64_t count) {
  torch::Tensor rows = torch::empty({batch}, torch::kInt64);
  const zo::stream numbers{seed, step, 0};
  for (std::int64_t i = 0; i < batch; ++i) {
    const auto word = numbers.words(static_cast<std::uint32_t>(i));
    const std::uint64_t wide = std::uint64_t{word.w1} << 32 | word.w0;
    rows.data_ptr<std::int64_t>()[i] =
        static_cast<std::int64_t>(wide % static_cast<std::uint64_t>(count));
  }
  return rows;
}

}  // namespace defense
