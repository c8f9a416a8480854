// The networks of the defense: classifier, autoencoder and DnCNN denoiser.
#pragma once

#include <torch/torch.h>

#include <cstdint>

namespace defense {

/// A small classifier of 1 x 28 x 28 images: (B, 1, 28, 28) in [0, 1] -> (B, 10) logits.
/// Three strided convolutions with batch normalisation, then the mean over positions: 1.2 M
/// multiply-adds, so that a query costs microseconds on a CPU.
torch::nn::Sequential make_classifier();

/// The white-box half of the autoencoder: (B, 1, 28, 28) -> (B, latent).
torch::nn::Sequential make_encoder(std::int64_t latent);

/// The half that is frozen into the black box: (B, latent) -> (B, 1, 28, 28) in [0, 1].
/// Up-samples by convolution and pixel shuffle: the same family of maps as the transposed
/// convolutions of the paper, and about twenty times faster on a CPU.
torch::nn::Sequential make_decoder(std::int64_t latent);

/// DnCNN (Zhang et al. 2017): `depth` 3 x 3 convolutions of `width` channels that predict the
/// noise, which is subtracted from the input. The last one starts at zero, so an untrained denoiser
/// is the identity and the defense starts from the undefended classifier.
///
/// Batch statistics: the layers between normalise with the statistics of the minibatch while
/// training (train()) and with running averages afterwards (eval()). The averages move by
/// `momentum` = 0.1 per step (PyTorch's convention) rather than the reference's 0.95, which would
/// leave a certified network with the statistics of its last minibatch.
class dncnn_impl : public torch::nn::Module {
 public:
  dncnn_impl(std::int64_t channels, std::int64_t depth, std::int64_t width);
  torch::Tensor forward(const torch::Tensor& noisy);

 private:
  torch::nn::Sequential noise_;
};
TORCH_MODULE_IMPL(dncnn, dncnn_impl);

/// Sets `requires_grad` of every parameter of `module`, and eval() mode when they are frozen.
void freeze(torch::nn::Module& module);

}  // namespace defense
