#include "randomness.hpp"

#include <span>
#include <zo/direction.hpp>
#include <zo/random.hpp>

namespace defense {

std::uint64_t seed_for(std::uint64_t seed, std::string_view purpose) {
  std::uint64_t hash = 0xcbf29ce484222325U;  // FNV-1a
  for (const char letter : purpose) {
    hash = (hash ^ static_cast<unsigned char>(letter)) * 0x100000001b3U;
  }
  hash += seed * 0x9e3779b97f4a7c15U;
  hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9U;  // the finalizer of splitmix64
  hash = (hash ^ (hash >> 27)) * 0x94d049bb133111ebU;
  return hash ^ (hash >> 31);
}

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
