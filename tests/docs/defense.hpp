// What docs/defense.md takes for granted.
#if __has_include(<torch/torch.h>)
#include <zo/torch.hpp>

inline torch::nn::Sequential encoder, denoiser, decoder;
inline torch::Tensor noisy, answers, z;
struct black_box {
  torch::Tensor answers(const torch::Tensor& images) const;
};
inline const black_box classifier;
torch::Tensor cross_entropy_of_rows(const torch::Tensor& logits, const torch::Tensor& answers);
inline torch::optim::Adam optimizer({torch::Tensor()});
inline constexpr std::uint64_t t = 0;
inline auto losses = [](const torch::Tensor& candidates, const torch::Tensor&) {
  return candidates;
};
#endif
