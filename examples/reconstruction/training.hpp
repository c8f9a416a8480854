// Training a denoiser (and encoder) in front of a reconstructor, and attacking the result.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <functional>

#include "../blackbox_defense/black_box.hpp"
#include "../blackbox_defense/method.hpp"
#include "../blackbox_defense/training.hpp"
#include "problem.hpp"

namespace reconstruction {

/// Trains `front` by the method; queries are those `reconstructor` was asked. White-box methods
/// differentiate p.base.classifier instead. Loss: the mean squared distance between what is
/// reconstructed of the defended noisy image and of the clean one, by the reconstructor itself: no
/// original image is needed. Query-only methods ask for the whole reconstruction y of each image
/// and pull dloss/dy back through decoder and reconstructor. `s` is that of one of the runs: its
/// seed is the run's, `name` that of the checkpoint.
defense::stage_report train_defense(defense::defended& front, const problem& p,
                                    const defense::method& m, defense::black_box& reconstructor,
                                    const settings& s, const std::string& name,
                                    const app::processes& all);

/// Projected gradient ascent of the distance between `reconstruct` of the measured images and the
/// originals, within a ball of the 2-norm `norm` and the range [0, 1]: `steps` normalized steps of
/// 2 norm / steps from a random point of the sphere (ZO-AE-DS and its code). reconstruct gets the
/// number of the step, for noise that is drawn anew. Returns the attacked measured images.
torch::Tensor attacked(
    const std::function<torch::Tensor(const torch::Tensor&, std::int64_t step)>& reconstruct,
    const torch::Tensor& measured, const torch::Tensor& originals, double norm, std::int64_t steps,
    std::uint64_t seed);

}  // namespace reconstruction
