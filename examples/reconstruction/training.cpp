#include "training.hpp"

#include <stdexcept>
#include <string>

#include "../blackbox_defense/randomness.hpp"
#include "boundary.hpp"
#include "common/resume.hpp"

namespace reconstruction {

namespace {

// Measured images with noise, and what the reconstructor answers to those without.
struct minibatch {
  torch::Tensor noisy;
  torch::Tensor answers;
};

minibatch draw(const problem& p, defense::black_box& reconstructor, const defense::settings& s,
               std::int64_t step) {
  const torch::NoGradGuard no_gradient;
  const auto at = static_cast<std::uint64_t>(step);
  const auto rows = defense::random_rows(app::seed_for(s.seed, "defense batch"), at, s.batch,
                                         p.base.train.count());
  const auto measured = p.measured(p.base.train.batch(rows));
  const auto noise =
      defense::normal(app::seed_for(s.seed, "defense noise"), at, 0, measured.sizes());
  return {measured + s.noise * noise, reconstructor.answers(measured)};
}

// The gradient of the loss with respect to z, the boundary, comes from queries; the rest is
// back-propagation of <z, gradient>.
defense::step_report query_step(const defense::defended& front, const problem& p,
                                const defense::method& m, defense::black_box& reconstructor,
                                const minibatch& batch, const zo::estimate_options& options) {
  const torch::Tensor z = front.inner(front.denoised(batch.noisy));
  const auto answers = [&](const torch::Tensor& candidates) {
    return reconstructor.answers(m.autoencoder ? p.base.decoder.forward(candidates) : candidates);
  };
  torch::Tensor y, error;
  {
    const torch::NoGradGuard no_gradient;
    y = answers(z);
    error = y - batch.answers;
  }
  const auto found = pull_back<float>(answers, z, y, error * (2.0 / static_cast<double>(y.size(1))),
                                      m.how, options);
  if (!found.ok || found.failed > 0) {
    throw std::runtime_error("answers of step " + std::to_string(options.step) +
                             " are not numbers; give a lower --rate or --mu");
  }
  ((z * found.gradients).sum() / static_cast<double>(z.size(0))).backward();
  return {error.square().mean().item<double>(), 2 * z.size(0) + found.queries};
}

defense::step_report white_box_step(const defense::defended& front, const problem& p,
                                    const minibatch& batch) {
  const auto loss =
      torch::mse_loss(p.base.classifier.forward(front.shown(batch.noisy)), batch.answers);
  loss.backward();
  return {loss.item<double>(), batch.noisy.size(0)};
}

// The 2-norm of each image, to be multiplied with.
torch::Tensor norms(const torch::Tensor& images) {
  return images.flatten(1).norm(2, 1).view({-1, 1, 1, 1});
}

}  // namespace

defense::stage_report train_defense(defense::defended& front, const problem& p,
                                    const defense::method& m, defense::black_box& reconstructor,
                                    const settings& s, const std::string& name,
                                    const app::processes& all) {
  defense::stage training{name, s.common.steps, s.common.rate, defense_options(s), front.modules(),
                          {}};
  training.settings["estimate"] = m.key;
  for (const auto& [part, module] : training.modules) {
    for (const auto& parameter : module->parameters()) training.trained.push_back(parameter);
  }
  front.train(true);
  const std::uint64_t directions = app::seed_for(s.common.seed, "directions");
  const auto report = defense::run_stage(training, s.common, all, [&](std::int64_t step) {
    const minibatch batch = draw(p, reconstructor, s.common, step);
    const zo::estimate_options options{.seed = directions,
                                       .step = static_cast<std::uint64_t>(step)};
    return m.white_box ? white_box_step(front, p, batch)
                       : query_step(front, p, m, reconstructor, batch, options);
  });
  for (const auto& [part, module] : training.modules) defense::freeze(*module);
  return report;
}

torch::Tensor attacked(
    const std::function<torch::Tensor(const torch::Tensor&, std::int64_t step)>& reconstruct,
    const torch::Tensor& measured, const torch::Tensor& originals, double norm, std::int64_t steps,
    std::uint64_t seed) {
  if (norm == 0) return measured;
  constexpr double tiny = 1e-12;  // instead of dividing by zero
  torch::Tensor moved = defense::normal(seed, 0, 0, measured.sizes());
  moved = moved * (norm / norms(moved));
  for (std::int64_t step = 0; step < steps; ++step) {
    moved.set_requires_grad(true);
    (reconstruct(measured + moved, step) - originals.flatten(1)).square().sum().backward();
    const torch::NoGradGuard no_gradient;
    const torch::Tensor gradient = moved.grad();
    moved = moved.detach() +
            gradient / (norms(gradient) + tiny) * (2 * norm / static_cast<double>(steps));
    moved = (measured + moved).clamp(0, 1) - measured;
    moved = moved * (norm / (norms(moved) + tiny)).clamp_max(1);
  }
  return measured + moved;
}

}  // namespace reconstruction
