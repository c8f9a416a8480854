#include "training.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <zo/estimate.hpp>
#include <zo/nn/weights.hpp>
#include <zo/zo.hpp>

#include "blackbox_defense/randomness.hpp"
#include "common/resume.hpp"
#include "common/text.hpp"
#include "deepzero/activation/activation.hpp"
#include "deepzero/sparsity.hpp"
#include "queried.hpp"

namespace denoiser {

namespace {

constexpr std::int64_t asked_at_once = 256;

defense::settings with_seed(const settings& s, std::uint64_t seed) {
  defense::settings base = s.base;
  base.seed = seed;
  base.directions = s.q;
  base.coordinates = std::min(s.q, s.base.latent);
  return base;
}

zo::nn::shape image_of(const task& t) {
  const auto& pixels = t.problem.test.pixels;
  return {pixels.size(1), pixels.size(2), pixels.size(3)};
}

struct weights {
  std::vector<float> parameters, statistics;
};

weights weights_of(const zo::nn::network& net, const torch::nn::Module& module) {
  weights w{std::vector<float>(static_cast<std::size_t>(net.parameter_count())),
            std::vector<float>(static_cast<std::size_t>(net.statistic_count()))};
  std::vector<torch::Tensor> kept;
  std::vector<zo::nn::named_values<float>> tensors;
  const auto add = [&](const std::string& name, const torch::Tensor& value) {
    kept.push_back(value.detach().to(torch::kFloat32).contiguous());
    tensors.push_back({name,
                       kept.back().sizes().vec(),
                       {kept.back().data_ptr<float>(), static_cast<std::size_t>(value.numel())}});
  };
  for (const auto& item : module.named_parameters()) add(item.key(), item.value());
  for (const auto& item : module.named_buffers()) {
    if (item.value().is_floating_point()) add(item.key(), item.value());
  }
  zo::nn::load<float>(net, tensors, "", w.parameters, w.statistics);
  return w;
}

torch::Tensor part_of(std::vector<float>& values, const zo::nn::view& v) {
  return torch::from_blob(values.data() + v.offset, v.dims, torch::kFloat32);
}

std::vector<float> numbers(const torch::Tensor& values) {
  const torch::Tensor here = values.to(torch::kFloat32).contiguous();
  return {here.data_ptr<float>(), here.data_ptr<float>() + here.numel()};
}

noisy_batch<float> batch_of(const defense::minibatch& drawn, zo::nn::shape image) {
  const torch::Tensor targets = drawn.targets.to(torch::kInt64).contiguous();
  const auto* const first = targets.data_ptr<std::int64_t>();
  return {image, numbers(drawn.noisy), {first, first + targets.numel()}};
}

// What a training keeps beside its weights, so that it is in the checkpoint.
struct record : torch::nn::Module {
  record(std::int64_t points, std::int64_t parameters)
      : curve(register_buffer("curve", torch::zeros({points, 3}, torch::kFloat64))),
        counts(register_buffer("counts", torch::zeros({parameters}, torch::kInt64))),
        queries(register_buffer("queries", torch::zeros({2}, torch::kInt64))) {}

  void note(std::int64_t point, std::int64_t step, double accuracy) {
    curve[point][0] = static_cast<double>(step);
    curve[point][1] = queries[0].item<double>();
    curve[point][2] = accuracy;
  }

  torch::Tensor curve, counts;
  torch::Tensor queries;  // all, and those of the last step
};

[[noreturn]] void refuse(std::int64_t step, double loss) {
  const bool near = std::isfinite(loss);
  throw std::runtime_error("answers of step " + std::to_string(step) + " are not numbers; give a " +
                           (near ? "--mu nearer to " + app::shortest(defense::settings{}.smoothing)
                                 : std::string("lower --rate")));
}

}  // namespace

task load_task(const settings& s) {
  task t{defense::load_problem(s.base), {}};
  const std::int64_t seen = t.problem.train.count() - s.held_out;
  t.held_out = {t.problem.train.pixels.slice(0, seen), t.problem.train.labels.slice(0, seen)};
  return t;
}

front::front(const task& t, const std::string& method, const settings& s, std::uint64_t seed)
    : net_(dncnn_network(image_of(t), s.base.depth, s.base.width)),
      networks_(t.problem, method_of(method, s, image_of(t).size()), with_seed(s, seed)),
      threads_(s.base.threads) {}

torch::Tensor front::shown(const torch::Tensor& noisy) const {
  const weights w = weights_of(net_, denoiser());
  zo::nn::forward_pass<float> pass(net_);
  const torch::Tensor here = noisy.contiguous();
  pass.run(zo::par.with_threads(threads_), w.parameters, w.statistics,
           {here.data_ptr<float>(), static_cast<std::size_t>(here.numel())}, here.size(0),
           zo::nn::norm_mode::eval);
  const torch::Tensor noise =
      torch::from_blob(const_cast<float*>(pass.outputs().data()), here.sizes(), torch::kFloat32);
  return networks_.decoded(networks_.inner(here - noise));
}

void front::copy_denoiser(const front& other) {
  const torch::NoGradGuard no_gradient;
  const auto copy = [](auto to, const auto& from) {
    for (auto& item : to) item.value().copy_(from[item.key()]);
  };
  copy(denoiser().named_parameters(), other.denoiser().named_parameters());
  copy(denoiser().named_buffers(), other.denoiser().named_buffers());
}

defense::method method_of(const std::string& method, const settings& s, std::int64_t pixels) {
  const defense::settings base = with_seed(s, s.base.seed);
  if (method == "zo-ae-ds") return defense::make_method("zo-ae-ds-cge", base, pixels);
  if (method == "zo-ds" || !asks(method)) return defense::make_method(method, base, pixels);
  defense::method made;
  made.name = made.key = method;
  return made;
}

stepper::stepper(const task& t, const std::string& method, front& trained,
                 defense::black_box& classifier, const settings& s, std::uint64_t seed,
                 const app::processes& all)
    : task_(t),
      method_(method),
      trained_(trained),
      classifier_(classifier),
      s_(s),
      base_(with_seed(s, seed)),
      all_(all),
      how_(method_of(method, s, image_of(t).size())) {
  if (how_.white_box || how_.step_queries > 0) {
    back_propagated_ =
        defense::gradient_of(trained_.networks(), task_.problem, how_, classifier_, base_, all_);
  }
}

defense::step_report stepper::operator()(std::int64_t step, torch::Tensor& counts) {
  const std::int64_t before = classifier_.queries();
  defense::step_report report =
      back_propagated_ ? back_propagated_(step) : weights_step(step, counts);
  report.queries = classifier_.queries() - before;
  return report;
}

// ZO-GraSP on the start, by as many images and directions as the paper.
void stepper::score(torch::Tensor& counts) {
  defense::settings scored = base_;
  scored.seed = app::seed_for(base_.seed, "scored images");
  scored.batch = std::min<std::int64_t>(250, 8 * base_.batch);
  const auto drawn =
      batch_of(defense::draw(task_.problem, classifier_, scored, all_, 0), image_of(task_));
  const weights w = weights_of(trained_.net(), trained_.denoiser());
  const std::vector<double> parameters(w.parameters.begin(), w.parameters.end());
  const std::vector<double> statistics(w.statistics.begin(), w.statistics.end());
  const noisy_batch<double> batch{
      drawn.image, {drawn.noisy.begin(), drawn.noisy.end()}, drawn.targets};
  // Second differences are lost in float; the classifier takes what images are made of.
  defense::black_box rounding(
      [&](const torch::Tensor& images) { return classifier_.answers(images.to(torch::kFloat32)); },
      classifier_.batch());
  const classifier_losses<double> losses(batch, rounding);
  zo::nn::forward_pass<double> pass(trained_.net());
  const auto loss = [&](std::span<const double> x) {
    pass.run(zo::par.with_threads(base_.threads), x, statistics, batch.noisy, batch.count(),
             zo::nn::norm_mode::train);
    return losses.at(pass.outputs());
  };
  const auto scores = deepzero::zo_grasp_scores(
      zo::seq, loss, parameters,
      {.smoothing = base_.smoothing, .seed = app::seed_for(base_.seed, "scores")});
  const auto found = counts_of(trained_.net(), scores, s_.q);
  std::ranges::copy(found, counts.data_ptr<std::int64_t>());
}

defense::step_report stepper::weights_step(std::int64_t step, torch::Tensor& counts) {
  const zo::nn::network& net = trained_.net();
  if (method_ == "deepzero" && counts.sum().item<std::int64_t>() == 0) score(counts);
  classifier_losses<float> losses(
      batch_of(defense::draw(task_.problem, classifier_, base_, all_, step), image_of(task_)),
      classifier_);
  weights w = weights_of(net, trained_.denoiser());
  const std::span<const float> at(w.parameters), statistics(w.statistics);
  const auto& noisy = losses.batch().noisy;
  const zo::index_t count = losses.batch().count();
  std::vector<float> gradient(w.parameters.size(), 0);
  const zo::estimate_options place{.seed = app::seed_for(base_.seed, "directions"),
                                   .step = static_cast<std::uint64_t>(step)};
  zo::nn::forward_pass<float> pass(net);
  double loss = 0;
  bool ok = true;
  if (method_ == "deepzero") {
    weights_objective<float> objective(net, losses, statistics,
                                       std::max<zo::index_t>(1, classifier_.batch() / count));
    const auto* const first = counts.data_ptr<std::int64_t>();
    const zo::cge how({.smoothing = base_.smoothing,
                       .coordinates = zo::coordinate_list{deepzero::coordinate_set(
                           net, std::span(first, static_cast<std::size_t>(counts.numel())),
                           app::seed_for(base_.seed, "coordinate sets"),
                           static_cast<std::uint64_t>(step / s_.interval))}});
    const auto found = zo::estimate(zo::par.with_threads(base_.threads), objective, at,
                                    std::span<float>(gradient), how, place);
    loss = found.value;
    ok = found.ok;
  } else if (method_ == "weights-rge") {
    const auto whole = [&](std::span<const float> x) {
      pass.run(zo::par.with_threads(base_.threads), x, statistics, noisy, count,
               zo::nn::norm_mode::train);
      return losses.at(pass.outputs());
    };
    const zo::rge how({.directions = s_.q, .smoothing = base_.smoothing}, zo::sphere{});
    const auto found = zo::estimate(zo::seq, whole, at, std::span<float>(gradient), how, place);
    loss = found.value;
    ok = found.ok;
  } else {
    const deepzero::activation_estimator<float> ask(
        zo::par.with_threads(base_.threads), net, noisy, count,
        std::make_unique<activation_losses<float>>(losses), at, statistics,
        zo::nn::norm_mode::train);
    const auto shares = questions_by_layer(net, s_.q);
    const zo::stream from{app::seed_for(base_.seed, "activations"), place.step};
    for (auto layer = static_cast<zo::index_t>(shares.size()) - 1; layer > 0; --layer) {
      const zo::index_t directions = shares[static_cast<std::size_t>(layer)];
      if (directions == 0) continue;
      ask.estimate(
          layer,
          {.directions = directions, .smoothing = base_.smoothing, .shares = deepzero::share::even},
          from, gradient);
    }
    loss = ask.value();
  }
  ok = ok && std::ranges::all_of(gradient, [](float g) { return std::isfinite(g); });
  if (!ok || !std::isfinite(loss)) refuse(step, loss);

  pass.run(zo::par.with_threads(base_.threads), at, statistics, noisy, count,
           zo::nn::norm_mode::train);
  pass.update_statistics(w.statistics);
  const torch::NoGradGuard no_gradient;
  auto parameters = trained_.denoiser().named_parameters();
  auto buffers = trained_.denoiser().named_buffers();
  for (const zo::nn::view& v : net.parameters()) {
    parameters[v.name].mutable_grad() = part_of(gradient, v).clone();
  }
  for (const zo::nn::view& v : net.statistics()) buffers[v.name].copy_(part_of(w.statistics, v));
  return {loss, 0};
}

void train_start(front& start, const task& t, const settings& s, std::uint64_t seed,
                 const app::processes& all) {
  if (s.start == "identity") return;
  constexpr double rate = 3e-3;
  const defense::settings base = with_seed(s, seed);
  const std::uint64_t rows_seed = app::seed_for(seed, "start batch");
  const std::uint64_t noise_seed = app::seed_for(seed, "start noise");
  const defense::stage stage{"start-" + std::to_string(seed),
                             s.start_steps,
                             rate,
                             start_options(s, seed),
                             {{"denoiser", start.networks().modules().front().second}},
                             start.denoiser().parameters()};
  start.networks().train(true);
  defense::run_stage(stage, base, all, [&](std::int64_t step) {
    const auto at = static_cast<std::uint64_t>(step);
    const auto clean = t.problem.train.batch(
        defense::random_rows(rows_seed, at, base.batch, t.problem.train.count()));
    const auto noise = defense::normal(noise_seed, at, 0, clean.sizes());
    const auto loss = torch::mse_loss(start.networks().denoised(clean + base.noise * noise), clean);
    loss.backward();
    return defense::step_report{loss.item<double>(), 0};
  });
  start.networks().train(false);
}

training_report train(front& trained, const std::string& name, const std::string& method,
                      double rate, const task& t, const settings& s, std::uint64_t seed,
                      const app::processes& all) {
  defense::black_box classifier(t.problem.classifier.forward, asked_at_once);
  stepper step_of(t, method, trained, classifier, s, seed, all);
  const auto kept = std::make_shared<record>(
      s.evaluations + 1, static_cast<std::int64_t>(trained.net().parameters().size()));
  defense::stage stage{name,
                       s.base.steps,
                       rate,
                       training_options(s, method, rate, seed),
                       trained.networks().modules(),
                       {}};
  for (const auto& [key, module] : stage.modules) {
    for (const auto& parameter : module->parameters()) stage.trained.push_back(parameter);
  }
  stage.modules.emplace_back("record", kept);
  const auto evaluate = [&](std::int64_t point, std::int64_t step) {
    const torch::NoGradGuard no_gradient;
    trained.networks().train(false);
    kept->note(point, step, noisy_accuracy(trained, t.held_out, t, s, all));
    trained.networks().train(true);
  };
  trained.networks().train(true);
  training_report report{method, seed, rate, {}, 0, {}};
  report.stage = defense::run_stage(stage, s.base, all, [&](std::int64_t step) {
    for (std::int64_t point = 0; point < s.evaluations; ++point) {
      if (point * s.base.steps / s.evaluations == step) evaluate(point, step);
    }
    const defense::step_report made = step_of(step, kept->counts);
    const torch::NoGradGuard no_gradient;
    kept->queries[0] += made.queries;
    kept->queries[1] = made.queries;
    return made;
  });
  evaluate(s.evaluations, s.base.steps);
  trained.networks().train(false);
  report.step_queries = kept->queries[1].item<std::int64_t>();
  for (std::int64_t point = 0; point <= s.evaluations; ++point) {
    const auto number = [&](std::int64_t k) { return kept->curve[point][k].item<double>(); };
    report.curve.push_back({std::llround(number(0)), std::llround(number(1)), number(2)});
  }
  return report;
}

double noisy_accuracy(const front& trained, const defense::image_tensors& images, const task& t,
                      const settings& s, const app::processes& all) {
  defense::black_box uncounted(t.problem.classifier.forward, asked_at_once);
  return defense::accuracy(
      [&](const torch::Tensor& noisy) { return uncounted.classes(trained.shown(noisy)); }, images,
      s.base.noise, s.base.seed, all);
}

}  // namespace denoiser
