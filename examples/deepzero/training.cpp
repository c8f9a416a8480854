#include "training.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <utility>
#include <zo/interrupt.hpp>
#include <zo/nn/forward.hpp>
#include <zo/nn/objective.hpp>
#include <zo/nn/weights.hpp>
#include <zo/progress.hpp>

#include "common/checkpoint.hpp"
#include "common/fields.hpp"
#include "common/resume.hpp"
#include "common/text.hpp"
#include "estimator.hpp"
#include "sparsity.hpp"

namespace deepzero {

namespace {

using zo::nn::network;

double seconds_now() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(now).count();
}

// What a run consists of at a step, and what a checkpoint holds.
struct state {
  std::vector<float> parameters, statistics;
  zo::updater<zo::sgd, float> optimizer;
  training_report report;
  curve_point now;      // accuracy and loss are set at evaluations
  double loss_sum = 0;  // since the last evaluation
  std::int64_t summed = 0;
};

const char* const velocity = "sgd.velocity";
const char* const counts_name = "coordinates";

nlohmann::json to_json(const curve_point& p) {
  return {{"step", p.step},       {"queries", p.queries},          {"passes", p.passes},
          {"seconds", p.seconds}, {"loss", app::shortest(p.loss)}, {"accuracy", p.accuracy}};
}

// Numbers of a checkpoint end here: none of a run comes near, and sums of them stay finite.
constexpr double most = 1e18;
constexpr double largest_loss = 1e300;
constexpr double least_loss = -1;  // 0 but for rounding
constexpr auto most_queries = static_cast<std::int64_t>(most);

curve_point point_from(const app::fields& f, std::int64_t steps) {
  curve_point p{.step = f.whole("step", 0, steps),
                .queries = f.whole("queries", 0, most_queries),
                .passes = f.number("passes", 0, most),
                .seconds = f.number("seconds", 0, most),
                .loss = f.number_or_nan("loss", least_loss, largest_loss),
                .accuracy = f.number("accuracy", 0, 1)};
  f.require(std::isnan(p.loss) == (p.step == 0), "loss", "is not that of its step");
  return p;
}

// Empty where SGD has no momentum.
std::span<float> velocity_of(state& at) {
  const auto vectors = at.optimizer.state();
  return vectors.empty() ? std::span<float>() : vectors[0];
}

void save(const std::filesystem::path& path, const network& net, state& at,
          const nlohmann::json& options) {
  app::safetensors file;
  for (const auto& t : zo::nn::tensors_of<float>(net, at.parameters, at.statistics)) {
    file.tensors.push_back(app::make_tensor<float>(t.name, t.dims, t.values));
  }
  const std::span<float> moved = velocity_of(at);
  file.tensors.push_back(app::make_tensor<float>(
      velocity, {static_cast<std::int64_t>(moved.size())}, std::span<const float>(moved)));
  file.tensors.push_back(app::make_tensor<std::int64_t>(
      counts_name, {static_cast<std::int64_t>(at.report.counts.size())},
      std::span<const std::int64_t>(at.report.counts)));
  nlohmann::json curve = nlohmann::json::array();
  for (const curve_point& p : at.report.curve) curve.push_back(to_json(p));
  file.metadata["curve"] = curve.dump();
  file.metadata["step"] = std::to_string(at.now.step);
  file.metadata["queries"] = std::to_string(at.now.queries);
  file.metadata["passes"] = app::shortest(at.now.passes);
  file.metadata["seconds"] = app::shortest(at.now.seconds);
  file.metadata["loss"] = app::shortest(at.loss_sum);
  file.metadata["losses"] = std::to_string(at.summed);
  file.metadata["settings"] = options.dump();
  app::save_checkpoint(path, file);
}

// Steps after which the network is evaluated: `evaluations` times an epoch, evenly.
bool is_evaluated(std::int64_t step, std::int64_t per_epoch, std::int64_t evaluations) {
  const auto before = (step - 1) * evaluations / per_epoch;
  return step == 0 || step * evaluations / per_epoch != before;
}

// The evaluations up to a step.
std::vector<curve_point> curve_from(const app::fields& f, std::int64_t step, std::int64_t per_epoch,
                                    const settings& s) {
  std::vector<curve_point> curve;
  for (const app::fields& each : f.list("curve")) {
    const curve_point p = point_from(each, step);
    const curve_point before = curve.empty() ? curve_point{.step = -1} : curve.back();
    f.require(p.step > before.step && is_evaluated(p.step, per_epoch, s.evaluations) &&
                  p.queries >= before.queries && p.passes >= before.passes &&
                  p.seconds >= before.seconds,
              "curve", "is not that of a run");
    curve.push_back(p);
  }
  f.require(!curve.empty() && curve.front().step == 0, "curve", "does not begin at step 0");
  return curve;
}

// How many coordinates of each parameter are asked: where an estimator has that choice.
std::vector<zo::index_t> counts_from(const app::safetensors& file, const network& net,
                                     const std::string& estimator, const app::fields& f) {
  const auto counts = file.at(counts_name).values<std::int64_t>();
  const auto& parameters = net.parameters();
  const std::size_t expected = estimator == "sparse-cge" ? parameters.size() : 0;
  file.at(counts_name).require_shape({static_cast<std::int64_t>(expected)});
  for (std::size_t i = 0; i < expected; ++i) {
    const zo::index_t size = parameters[i].size;
    f.require(
        counts[i] >= 1 && counts[i] <= size && (is_prunable(parameters[i]) || counts[i] == size),
        counts_name, "are not those of this network");
  }
  return {counts.begin(), counts.end()};
}

void load(const app::safetensors& file, const network& net, const settings& s, const app::fields& f,
          state& at) {
  const std::int64_t steps = s.epochs * at.report.per_epoch;
  app::require_same(f.object("settings"), options_of(s, at.report.estimator));
  at.now.step = f.whole("step", 0, steps);
  at.now.queries = f.whole("queries", 0, most_queries);
  at.now.passes = f.number("passes", 0, most);
  at.now.seconds = f.number("seconds", 0, most);
  at.report.curve = curve_from(f, at.now.step, at.report.per_epoch, s);
  const curve_point& last = at.report.last();
  f.require(at.now.queries >= last.queries && at.now.passes >= last.passes &&
                at.now.seconds >= last.seconds,
            "curve", "is ahead of its run");
  at.summed = f.whole("losses", 0, steps);
  f.require(at.summed == at.now.step - last.step, "losses", "do not fit its curve");
  at.loss_sum = f.number("loss", least_loss, largest_loss);
  at.report.counts = counts_from(file, net, at.report.estimator, f);

  std::vector<std::vector<float>> storage;
  std::vector<zo::nn::named_values<float>> tensors;
  for (const app::tensor& t : file.tensors) {
    if (t.name == velocity || t.name == counts_name) continue;
    storage.push_back(t.values<float>());
    tensors.push_back({t.name, t.shape, storage.back()});
  }
  zo::nn::load<float>(net, tensors, "", at.parameters, at.statistics);
  const std::vector<float> moved = file.at(velocity).values<float>();
  const std::span<float> to = velocity_of(at);
  file.at(velocity).require_shape({static_cast<std::int64_t>(to.size())});
  std::ranges::copy(moved, to.begin());
  at.optimizer.resume_at(static_cast<std::uint64_t>(at.now.step));
}

// Scores the initial weights on 25 images of each class, as the paper does, and turns them into
// counts. In double: the scores are second differences.
void count_coordinates(const problem& p, const network& net, const settings& s,
                       const std::string& label, const app::processes& all, state& at) {
  const grasp_options options{.smoothing = s.smoothing, .seed = app::seed_for(s.seed, "scores")};
  zo::progress progress(label + " ZO-GraSP", grasp_queries(options), {.quiet = s.quiet});
  minibatch batch = scored_images(p, s);
  const std::vector<double> inputs(batch.inputs.begin(), batch.inputs.end());
  const std::vector<double> parameters(at.parameters.begin(), at.parameters.end());
  const std::vector<double> statistics(at.statistics.begin(), at.statistics.end());
  // One pass on all threads, for one pass a thread would need its memory many times.
  zo::nn::forward_pass<double> pass(net);
  std::int64_t asked = 0;  // by this process
  const auto loss = [&](std::span<const double> x) {
    if (const int signal = zo::interrupt_guard::signal_number()) throw app::interrupted{signal};
    pass.run(zo::par.with_threads(s.threads), x, statistics, inputs, batch.count,
             zo::nn::norm_mode::train);
    ++asked;
    const std::int64_t by_all = std::min(asked * all.ranks(), grasp_queries(options));
    progress.update(by_all, by_all);
    return batch.loss.prepare<double>(pass.outputs());
  };
  const std::vector<double> scores = all.estimate(zo::seq, [&](const auto& policy) {
    return zo_grasp_scores(policy, loss, parameters, options);
  });
  at.report.counts = layer_counts(net, scores, s.sparsity);
  asked = std::llround(all.sum(static_cast<double>(asked)));
  at.now.queries += asked;
  at.now.passes += static_cast<double>(asked * batch.count) / static_cast<double>(s.batch);
  at.now.seconds += progress.seconds();
}

state initial_state(const std::string& estimator, const network& net, std::int64_t per_epoch,
                    const settings& s) {
  const auto size = static_cast<std::size_t>(net.parameter_count());
  state at{std::vector<float>(size),
           std::vector<float>(static_cast<std::size_t>(net.statistic_count())),
           recipe(estimator, net, per_epoch, s).start<float>(net.parameter_count()),
           {estimator, net.parameter_count(), per_epoch, {}, {}},
           {}};
  zo::nn::initialize<float>(net, zo::nn::initialization::kaiming_normal,
                            app::seed_for(s.seed, "weights"), at.parameters);
  zo::nn::initialize_statistics<float>(net, at.statistics);
  return at;
}

bool all_finite(std::span<const float> values) {
  return std::ranges::all_of(values, [](float value) { return std::isfinite(value); });
}

// Before a step counts, so that no checkpoint holds what cannot be trained any further.
void require_finite(const state& at) {
  if (all_finite(at.parameters) && all_finite(at.statistics)) return;
  throw std::runtime_error("step " + std::to_string(at.now.step) +
                           " led to weights that are no numbers; give a lower --rate or "
                           "--weight-decay");
}

}  // namespace

minibatch scored_images(const problem& p, const settings& s) {
  constexpr std::int64_t per_class = 25;
  return balanced(p.train, per_class, app::seed_for(s.seed, "scored images"));
}

network make_network(const settings& s, const app::image_set& images) {
  const zo::nn::shape in{images.channels, images.rows, images.columns};
  if (s.network == "cnn") return zo::nn::adjustable_cnn(in, s.channels, s.depth);
  if (s.network == "mlp") {
    std::vector<zo::index_t> sizes(static_cast<std::size_t>(s.depth), s.channels);
    sizes.insert(sizes.begin(), in.size());
    sizes.push_back(10);
    return zo::nn::mlp(sizes);
  }
  const std::string resnet = "resnet";
  zo::index_t depth = 0;
  const char* const end = s.network.data() + s.network.size();
  if (!s.network.starts_with(resnet) ||
      std::from_chars(s.network.data() + resnet.size(), end, depth).ptr != end) {
    throw app::usage_error("--network must be cnn, mlp or resnet20, resnet32, resnet44 …, got " +
                           app::in_quotes(s.network));
  }
  if (!(in == zo::nn::shape{3, 32, 32})) {
    throw app::usage_error("--network " + s.network +
                           " needs images of 3 x 32 x 32, and those of " + s.dataset + " are " +
                           zo::nn::text_of(in) + "; name a folder with CIFAR-10 with --data");
  }
  return zo::nn::resnet(depth);
}

zo::sgd recipe(const std::string& estimator, const network& net, std::int64_t per_epoch,
               const settings& s) {
  double peak = s.rate;
  if (estimator == "rge") {
    const auto q = static_cast<double>(directions_of(net, s));
    peak *= q / (q + static_cast<double>(net.parameter_count()) + 1);
  }
  const auto warmup = std::lround(s.warmup * static_cast<double>(per_epoch));
  return zo::sgd({.rate = zo::cosine({.peak = peak,
                                      .steps = static_cast<std::uint64_t>(s.epochs * per_epoch),
                                      .warmup = static_cast<std::uint64_t>(warmup)}),
                  .momentum = s.momentum,
                  .weight_decay = s.weight_decay});
}

double accuracy(const network& net, std::span<const float> parameters,
                std::span<const float> statistics, const app::image_set& images, int threads,
                const app::processes& all) {
  constexpr std::int64_t at_once = 256;
  zo::nn::forward_pass<float> pass(net);
  const auto right_of = [&](std::int64_t first) {
    const std::int64_t count = std::min(at_once, images.count - first);
    const minibatch batch = scaled(images, first, count);
    pass.run(zo::par.with_threads(threads), parameters, statistics, batch.inputs, count,
             zo::nn::norm_mode::eval);
    const auto classes = static_cast<std::size_t>(net.output().size());
    std::int64_t right = 0;
    for (std::int64_t i = 0; i < count; ++i) {
      const auto z = pass.outputs().subspan(static_cast<std::size_t>(i) * classes, classes);
      const auto best = std::ranges::max_element(z) - z.begin();
      right += best == batch.loss.targets()[static_cast<std::size_t>(i)] ? 1 : 0;
    }
    return static_cast<double>(right);
  };
  std::vector<double> right(static_cast<std::size_t>((images.count + at_once - 1) / at_once));
  all.share(right, 1, [&](zo::index_t batch, std::span<double> mine) {
    for (double& one : mine) one = right_of(at_once * batch++);
  });
  return std::accumulate(right.begin(), right.end(), 0.0) / static_cast<double>(images.count);
}

training_report train(const problem& p, const std::string& estimator, const settings& s,
                      const std::filesystem::path& folder, const std::string& label,
                      const app::processes& all) {
  const network net = make_network(s, p.train);
  batches data(p.train, s.batch, s.dataset == "cifar10", s.seed);
  const std::int64_t per_epoch = data.per_epoch(), steps = s.epochs * per_epoch;
  const nlohmann::json options = options_of(s, estimator);
  const auto path = folder / (estimator + ".safetensors");

  state at = initial_state(estimator, net, per_epoch, s);
  const auto evaluate = [&] {
    at.now.accuracy = accuracy(net, at.parameters, at.statistics, p.test, s.threads, all);
    at.now.loss = at.summed > 0 ? at.loss_sum / static_cast<double>(at.summed)
                                : std::numeric_limits<double>::quiet_NaN();
    at.loss_sum = 0;
    at.summed = 0;
    at.report.curve.push_back(at.now);
  };
  const auto earlier = s.resume ? app::load_checkpoint(all, path) : std::nullopt;
  if (earlier) {
    app::take_over(path.string(), [&] {
      load(*earlier, net, s, app::fields(path.string(), earlier->metadata), at);
    });
  } else {
    if (estimator == "sparse-cge") count_coordinates(p, net, s, label, all, at);
    evaluate();
  }

  const auto estimate = make_estimator(estimator, net, at.report.counts, per_epoch, s, all);
  zo::progress progress(label, steps,
                        {.first = at.now.step, .first_queries = at.now.queries, .quiet = s.quiet});
  std::vector<float> gradient(at.parameters.size());
  while (at.now.step < steps) {
    const double started = seconds_now();
    const minibatch batch = data.at(at.now.step);
    const answer got = (*estimate)({at.parameters, at.statistics, batch, at.now.step}, gradient);
    if (!all_finite(gradient)) refuse_estimate(at.now.step, got.loss, s);
    estimate->update_statistics(at.statistics);
    at.optimizer.step(zo::seq, std::span<float>(at.parameters), std::span<const float>(gradient));
    require_finite(at);
    at.now.step += 1;
    at.now.queries += got.queries;
    at.now.passes += got.passes;
    at.now.seconds += seconds_now() - started;
    at.loss_sum += got.loss;
    at.summed += 1;
    progress.update(at.now.step, at.now.queries, got.loss);
    const bool evaluated = is_evaluated(at.now.step, per_epoch, s.evaluations);
    if (evaluated) evaluate();
    const int signal = all.stop_signal();
    const bool due = signal != 0 || evaluated || at.now.step % s.checkpoint_every == 0;
    if (due && all.speaks()) save(path, net, at, options);
    if (signal != 0) throw app::interrupted{signal};
  }
  progress.finish();
  return at.report;
}

}  // namespace deepzero
