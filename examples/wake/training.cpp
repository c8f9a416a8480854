#include "training.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <future>
#include <limits>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <utility>
#include <zo/interrupt.hpp>
#include <zo/optimizer.hpp>

#include "common/checkpoint.hpp"
#include "common/fields.hpp"
#include "common/resume.hpp"
#include "common/text.hpp"
#include "gradient.hpp"

namespace wake {

namespace {

using torch::Tensor;

double seconds_now() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(now).count();
}

std::vector<double> as_doubles(const std::vector<std::int64_t>& whole) {
  return {whole.begin(), whole.end()};
}

// What a training consists of at a step, and what a checkpoint holds.
struct state {
  training_report report;
  zo::updater<zo::adam, float> optimizer;
  curve_point now;      // error and loss are set at evaluations
  double loss_sum = 0;  // since the last evaluation
  std::int64_t summed = 0;
};

nlohmann::json to_json(const curve_point& p) {
  return {{"step", p.step},
          {"calls", p.calls},
          {"seconds", p.seconds},
          {"loss", app::shortest(p.loss)},
          {"error", p.error}};
}

const char* const weights_name = "weights";
const char* const moments_name = "adam.";

// Numbers of a checkpoint end here: none of a run comes near.
constexpr double most = 1e18;
constexpr double largest_loss = 1e300;
constexpr auto most_calls = static_cast<std::int64_t>(most);

curve_point point_from(const app::fields& f, std::int64_t steps) {
  curve_point p{.step = f.whole("step", 0, steps),
                .calls = f.whole("calls", 0, most_calls),
                .seconds = f.number("seconds", 0, most),
                .loss = f.number_or_nan("loss", 0, largest_loss),
                .error = f.number("error", 0, most)};
  f.require(std::isnan(p.loss) == (p.step == 0), "loss", "is not that of its step");
  return p;
}

void save(const std::filesystem::path& path, state& at, const nlohmann::json& options) {
  const auto row = std::vector<std::int64_t>{static_cast<std::int64_t>(at.report.weights.size())};
  app::safetensors file;
  file.tensors.push_back(
      app::make_tensor<float>(weights_name, row, std::span<const float>(at.report.weights)));
  for (std::size_t k = 0; k < at.optimizer.state().size(); ++k) {
    file.tensors.push_back(app::make_tensor<float>(
        moments_name + std::to_string(k), row, std::span<const float>(at.optimizer.state()[k])));
  }
  nlohmann::json curve = nlohmann::json::array();
  for (const curve_point& p : at.report.curve) curve.push_back(to_json(p));
  file.metadata["curve"] = curve.dump();
  file.metadata["step"] = std::to_string(at.now.step);
  file.metadata["calls"] = std::to_string(at.now.calls);
  file.metadata["seconds"] = app::shortest(at.now.seconds);
  file.metadata["loss"] = app::shortest(at.loss_sum);
  file.metadata["losses"] = std::to_string(at.summed);
  file.metadata["settings"] = options.dump();
  app::save_checkpoint(path, file);
}

void copy_row(const app::tensor& from, std::span<float> to) {
  from.require_shape({static_cast<std::int64_t>(to.size())});
  std::ranges::copy(from.values<float>(), to.begin());
}

void load(const app::safetensors& file, const app::fields& f, const nlohmann::json& options,
          std::int64_t steps, state& at) {
  app::require_same(f.object("settings"), options);
  at.now.step = f.whole("step", 0, steps);
  at.now.calls = f.whole("calls", 0, most_calls);
  at.now.seconds = f.number("seconds", 0, most);
  at.summed = f.whole("losses", 0, steps);
  at.loss_sum = f.number("loss", 0, largest_loss);
  for (const app::fields& each : f.list("curve")) {
    const curve_point p = point_from(each, at.now.step);
    const curve_point before =
        at.report.curve.empty() ? curve_point{.step = -1} : at.report.curve.back();
    f.require(p.step > before.step && p.calls >= before.calls && p.seconds >= before.seconds,
              "curve", "is not that of a run");
    at.report.curve.push_back(p);
  }
  f.require(!at.report.curve.empty() && at.report.curve.front().step == 0, "curve",
            "does not begin at step 0");
  f.require(at.summed == at.now.step - at.report.last().step, "losses", "do not fit its curve");
  copy_row(file.at(weights_name), at.report.weights);
  const auto moments = at.optimizer.state();
  for (std::size_t k = 0; k < moments.size(); ++k) {
    copy_row(file.at(moments_name + std::to_string(k)), moments[k]);
  }
  at.optimizer.resume_at(static_cast<std::uint64_t>(at.now.step));
}

bool all_finite(std::span<const float> values) {
  return std::ranges::all_of(values, [](float value) { return std::isfinite(value); });
}

// Evenly, and after the last step.
bool is_evaluated(std::int64_t step, std::int64_t steps, std::int64_t evaluations) {
  return step * evaluations / steps != (step - 1) * evaluations / steps;
}

}  // namespace

problem make_problem(const settings& s) {
  const std::int64_t gap = std::max<std::int64_t>(1, s.test_steps / 5);
  const auto fine = [&](const std::vector<std::int64_t>& reynolds, std::int64_t steps) {
    at::set_num_threads(1);
    return reference(s.coarse(), s.factor, as_doubles(reynolds), s.settling, steps);
  };
  const std::int64_t tested = s.test_steps + (s.starts - 1) * gap;
  auto beside = std::async(s.threads > 1 ? std::launch::async : std::launch::deferred,
                           [&] { return fine(s.test_reynolds, tested); });
  problem p{
      solver(s.coarse(), s.largest_viscosity()), s.net(), fine(s.reynolds, s.frames), {}, {}, {}};
  const window test = beside.get();
  std::vector<Tensor> states, viscosities;
  for (std::int64_t r = 0; r < test.count(); ++r) {
    for (std::int64_t k = 0; k < s.starts; ++k) {
      states.push_back(test.states[r].narrow(0, k * gap, s.test_steps + 1));
      viscosities.push_back(test.viscosities[r]);
      p.reynolds.push_back(s.test_reynolds[static_cast<std::size_t>(r)]);
      p.starts.push_back(s.settling + k * gap);
    }
  }
  p.test = {torch::stack(states), torch::stack(viscosities)};
  return p;
}

double test_report::mean() const {
  return std::accumulate(of_simulations.begin(), of_simulations.end(), 0.0) /
         static_cast<double>(of_simulations.size());
}

test_report test(const problem& p, const std::vector<float>& weights, std::int64_t shown) {
  const torch::NoGradGuard without_gradients;
  constexpr double fastest = 10;
  const corrected_flow corrected = p.corrected();
  const Tensor w = weights.empty() ? Tensor() : torch::tensor(weights).unsqueeze(0);
  Tensor state = p.test.states.select(1, 0);
  std::vector<Tensor> errors, kept;
  if (shown >= 0) kept.push_back(state[shown]);
  for (std::int64_t t = 1; t <= p.test.steps(); ++t) {
    if (const int signal = zo::interrupt_guard::signal_number()) throw app::interrupted{signal};
    state = weights.empty() ? p.flow.step(state, p.test.viscosities)
                            : corrected.step(w, state.unsqueeze(1), p.test.viscosities).squeeze(1);
    state = state.nan_to_num(fastest).clamp(-fastest, fastest);
    const Tensor error = (state - p.test.states.select(1, t)).abs();
    errors.push_back(error.mean({1, 2, 3}, false, torch::kDouble));
    if (shown >= 0) kept.push_back(state[shown]);
  }
  const Tensor all = torch::stack(errors, 1);
  const auto numbers = [](const Tensor& t) {
    const Tensor flat = t.contiguous();
    return std::vector<double>(flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel());
  };
  return {numbers(all.mean(1)), numbers(all.mean(0)), kept.empty() ? Tensor() : torch::stack(kept)};
}

training_report train(const problem& p, const std::string& method, std::int64_t number,
                      const settings& s, const std::filesystem::path& folder,
                      const std::function<void(double)>& on_progress) {
  const std::uint64_t seed = app::seed_for(s.seed, "network " + std::to_string(number));
  const std::int64_t steps = steps_of(method, s);
  const nlohmann::json options = options_of(s, method);
  const auto path = folder / (method + "_" + std::to_string(number) + ".safetensors");
  const zo::adam how({.rate = zo::cosine({.peak = s.rate,
                                          .steps = static_cast<std::uint64_t>(steps),
                                          .warmup = static_cast<std::uint64_t>(steps / 20)})});

  state at{{method, number, p.net.initial(app::seed_for(seed, "weights")), {}},
           how.start<float>(p.net.parameters()),
           {}};
  const auto evaluate = [&] {
    at.now.error = test(p, at.report.weights).mean();
    at.now.loss = at.summed > 0 ? at.loss_sum / static_cast<double>(at.summed)
                                : std::numeric_limits<double>::quiet_NaN();
    at.loss_sum = 0;
    at.summed = 0;
    at.report.curve.push_back(at.now);
  };
  if (s.resume && std::filesystem::exists(path)) {
    const app::safetensors file = app::load_checkpoint(path);
    app::take_over(path.string(), [&] {
      load(file, app::fields(path.string(), file.metadata), options, steps, at);
    });
  } else {
    evaluate();
    at.now.calls = calls_before(method, s);
  }
  on_progress(static_cast<double>(at.now.step) / static_cast<double>(steps));
  if (at.now.step == steps) return at.report;

  const corrected_flow corrected = p.corrected();
  double started = seconds_now();
  const auto teach = make_teacher(method, corrected, p.train, s, seed);
  if (at.now.step == 0) at.now.seconds += seconds_now() - started;
  std::vector<float> gradient(at.report.weights.size());
  while (at.now.step < steps) {
    started = seconds_now();
    const answer got = (*teach)(at.report.weights, at.now.step, gradient);
    at.optimizer.step(zo::seq, std::span<float>(at.report.weights),
                      std::span<const float>(gradient));
    if (!std::isfinite(got.loss) || !all_finite(at.report.weights)) {
      throw std::runtime_error("step " + std::to_string(at.now.step) + " of " + method +
                               " led to weights that are of no use; give a lower --rate than " +
                               app::shortest(s.rate));
    }
    at.now.step += 1;
    at.now.calls += got.calls;
    at.now.seconds += seconds_now() - started;
    at.loss_sum += got.loss;
    at.summed += 1;
    on_progress(static_cast<double>(at.now.step) / static_cast<double>(steps));
    const bool evaluated = is_evaluated(at.now.step, steps, s.evaluations);
    if (evaluated) evaluate();
    const int signal = zo::interrupt_guard::signal_number();
    if (signal != 0 || evaluated || at.now.step % s.checkpoint_every == 0) save(path, at, options);
    if (signal != 0) throw app::interrupted{signal};
  }
  return at.report;
}

}  // namespace wake
