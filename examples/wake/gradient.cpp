#include "gradient.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>
#include <zo/zo.hpp>

#include "common/resume.hpp"
#include "common/text.hpp"

namespace wake {

namespace {

using torch::Tensor;

std::span<const float> numbers_of(const Tensor& t) {
  return {t.data_ptr<float>(), static_cast<std::size_t>(t.numel())};
}

Tensor tensor_of(std::span<const float> values, at::IntArrayRef shape) {
  // LibTorch has no constant tensors; nothing here is written in place.
  return torch::from_blob(const_cast<float*>(values.data()), shape, torch::kFloat);
}

// The gradient of a mean square error over `numbers` numbers, at one of its states.
Tensor slope_of_error(const Tensor& state, const Tensor& truth, std::int64_t numbers) {
  return (state - truth) * (2.0 / static_cast<double>(numbers));
}

[[noreturn]] void refuse(std::int64_t step, const settings& s) {
  throw std::runtime_error("the answers of step " + std::to_string(step) +
                           " are of no use; give a lower --rate than " + app::shortest(s.rate));
}

// What all teachers know.
struct lesson {
  const corrected_flow& flow;
  const window& truth;
  const settings& s;
  std::uint64_t seed;

  // The windows of a step: each at a random Reynolds number and time.
  window at(std::int64_t step, std::int64_t count, std::int64_t steps) const {
    zo::detail::bounded_integers random(
        zo::stream{app::seed_for(seed, "windows"), static_cast<std::uint64_t>(step)});
    std::vector<Tensor> states;
    std::vector<std::int64_t> flows;
    for (std::int64_t b = 0; b < count; ++b) {
      const auto which = random.below(static_cast<std::uint64_t>(truth.count()));
      const auto first = random.below(static_cast<std::uint64_t>(truth.steps() - steps + 1));
      flows.push_back(static_cast<std::int64_t>(which));
      states.push_back(
          truth.states[flows.back()].narrow(0, static_cast<std::int64_t>(first), steps + 1));
    }
    return {torch::stack(states), truth.viscosities.index_select(0, torch::tensor(flows))};
  }
  window at(std::int64_t step) const { return at(step, s.batch, s.unroll); }

  zo::estimate_options place(std::int64_t step, std::int64_t numbers_at_once) const {
    return {.seed = app::seed_for(seed, "directions"),
            .step = static_cast<std::uint64_t>(step),
            .chunk_bytes = numbers_at_once * static_cast<std::int64_t>(sizeof(float))};
  }
};

// States that are asked about together: as many as stay in the second-level cache.
constexpr std::int64_t states_at_once = 128;

answer back_propagated(const Tensor& loss, const Tensor& weights, std::span<float> gradient,
                       std::int64_t calls) {
  const Tensor found = torch::autograd::grad({loss}, {weights})[0].contiguous();
  std::ranges::copy(numbers_of(found), gradient.begin());
  return {loss.item<double>(), calls};
}

Tensor trained(std::span<const float> weights) {
  return tensor_of(weights, {1, static_cast<std::int64_t>(weights.size())})
      .clone()
      .requires_grad_(true);
}

// FO: through the solver.
class differentiated : public teacher {
 public:
  explicit differentiated(const lesson& l) : l_(l) {}

  answer operator()(std::span<const float> weights, std::int64_t step,
                    std::span<float> gradient) override {
    const Tensor w = trained(weights);
    const Tensor loss = l_.flow.losses(w, l_.at(step)).sum();
    return back_propagated(loss, w, gradient, l_.s.batch * l_.s.unroll);
  }

 private:
  lesson l_;
};

// NON: pairs of a reference state, moved by the solver beforehand, and the next one.
class on_pairs : public teacher {
 public:
  explicit on_pairs(const lesson& l) : l_(l) {
    const torch::NoGradGuard without_gradients;
    const Tensor& states = l.truth.states;
    const Tensor before = states.narrow(1, 0, l.truth.steps());
    const Tensor each = l.truth.viscosities.repeat_interleave(l.truth.steps());
    const Tensor moved = l.flow.flow.step(before.flatten(0, 1), each).view_as(before);
    pairs_ = {torch::stack({moved, states.narrow(1, 1, l.truth.steps())}, 2).flatten(0, 1), each};
  }

  answer operator()(std::span<const float> weights, std::int64_t step,
                    std::span<float> gradient) override {
    const window some =
        lesson{l_.flow, pairs_, l_.s, l_.seed}.at(step, l_.s.batch * l_.s.unroll, 1);
    const Tensor w = trained(weights);
    const Tensor moved = some.states.select(1, 0).unsqueeze(1);
    const Tensor corrected = moved + l_.flow.net.correction(w, moved, some.viscosities);
    const Tensor error = corrected - some.states.select(1, 1).unsqueeze(1);
    return back_propagated(error.pow(2).mean(), w, gradient, 0);
  }

 private:
  lesson l_;
  window pairs_;
};

// The whole pipeline is one question about the weights.
class of_weights : public teacher {
 public:
  of_weights(const lesson& l, zo::any_estimator<float> how) : l_(l), how_(std::move(how)) {}

  answer operator()(std::span<const float> weights, std::int64_t step,
                    std::span<float> gradient) override {
    const torch::NoGradGuard without_gradients;
    const window truth = l_.at(step);
    const auto f = [&](zo::points<float> candidates, std::span<double> losses) {
      const Tensor found = l_.flow.losses(
          tensor_of(candidates.data, {candidates.count, candidates.dimension}), truth);
      std::copy_n(found.data_ptr<double>(), losses.size(), losses.begin());
    };
    const std::int64_t at_once = std::max<std::int64_t>(1, states_at_once / l_.s.batch);
    const auto found =
        zo::estimate(zo::seq, f, weights, gradient, how_,
                     l_.place(step, at_once * static_cast<std::int64_t>(weights.size())));
    if (!found.ok) refuse(step, l_.s);
    return {found.value, found.queries * l_.s.batch * l_.s.unroll};
  }

 private:
  lesson l_;
  zo::any_estimator<float> how_;
};

// What the states of a run without derivatives leave behind.
struct run_of_states {
  std::vector<Tensor> states;  // s_0 … s_T, B x 2 x rows x columns
  std::vector<Tensor> moved;   // by the solver: moved[t] is the solver's answer to s_t
  std::vector<Tensor> advected;
  Tensor errors;  // sums of squares, B x T, in double
};

// The network is known and differentiated by LibTorch, step by step backwards; the solver between
// its steps only answers.
class at_boundary : public teacher {
 public:
  explicit at_boundary(const lesson& l) : l_(l) {}

  answer operator()(std::span<const float> weights, std::int64_t step,
                    std::span<float> gradient) override {
    const window truth = l_.at(step);
    const std::int64_t steps = truth.steps();
    const auto numbers = truth.states[0][0].numel() * truth.count() * steps;
    const Tensor w = trained(weights);
    const run_of_states run = forward(w, truth);
    if (!run.errors.isfinite().all().item<bool>()) refuse(step, l_.s);
    calls_ = truth.count() * steps;
    Tensor sum = torch::zeros_like(w);
    Tensor behind = torch::zeros_like(run.states[0]);  // the slope by what comes after the state
    for (std::int64_t t = steps; t >= 1; --t) {
      const auto at = static_cast<std::size_t>(t);
      const Tensor cotangent =
          behind + slope_of_error(run.states[at], truth.states.select(1, t), numbers);
      const Tensor moved = run.moved[at - 1].clone().requires_grad_(true);
      const Tensor corrected =
          moved + l_.flow.net.correction(w, moved.unsqueeze(1), truth.viscosities).squeeze(1);
      const auto found = torch::autograd::grad({corrected}, {w, moved}, {cotangent});
      sum += found[0];
      if (t > 1) behind = slope_at(w, truth, run, t - 1, found[1].contiguous(), step);
    }
    std::ranges::copy(numbers_of(sum), gradient.begin());
    return {run.errors.sum().item<double>() / static_cast<double>(numbers), calls_};
  }

 protected:
  /// The slope of what comes after the state s_t, there, where `moved` is the slope at the solver's
  /// answer to it.
  virtual Tensor slope_at(const Tensor& weights, const window& truth, const run_of_states& run,
                          std::int64_t t, const Tensor& moved, std::int64_t step) = 0;

  void count(std::int64_t calls) { calls_ += calls; }
  // An estimate's number within the training.
  std::int64_t place_of(std::int64_t step, std::int64_t t) const { return step * l_.s.unroll + t; }

  lesson l_;

 private:
  run_of_states forward(const Tensor& weights, const window& truth) const {
    const torch::NoGradGuard without_gradients;
    run_of_states run;
    run.states.push_back(truth.states.select(1, 0).contiguous());
    std::vector<Tensor> errors;
    for (std::int64_t t = 1; t <= truth.steps(); ++t) {
      run.advected.push_back(l_.flow.flow.advect(run.states.back()));
      run.moved.push_back(l_.flow.flow.settle(run.advected.back(), truth.viscosities));
      const Tensor& moved = run.moved.back();
      run.states.push_back(
          moved +
          l_.flow.net.correction(weights, moved.unsqueeze(1), truth.viscosities).squeeze(1));
      const Tensor error = run.states.back() - truth.states.select(1, t);
      errors.push_back(error.pow(2).sum({1, 2, 3}, false, torch::kDouble));
    }
    run.errors = torch::stack(errors, 1);
    return run;
  }

  std::int64_t calls_ = 0;
};

// In the loop, but as if a step of the solver did not depend on the state before it: what asking
// for that dependence has to beat.
class cut_off : public at_boundary {
 public:
  using at_boundary::at_boundary;

 protected:
  Tensor slope_at(const Tensor&, const window&, const run_of_states& run, std::int64_t t,
                  const Tensor&, std::int64_t) override {
    return torch::zeros_like(run.states[static_cast<std::size_t>(t)]);
  }
};

// A map of rows of states, of the viscosities of their rows, as zo asks it.
auto asked(const std::function<Tensor(const Tensor&, const Tensor&)>& map, const Tensor& states,
           const Tensor& viscosities) {
  return [map, shape = states.sizes().vec(), viscosities](
             zo::points<float> xs, std::span<const zo::index_t> rows, std::span<float> ys) {
    const torch::NoGradGuard without_gradients;
    std::vector<std::int64_t> sizes = shape;
    sizes[0] = xs.count;
    const Tensor which = torch::tensor(std::vector<std::int64_t>(rows.begin(), rows.end()));
    const Tensor found =
        map(tensor_of(xs.data, sizes), viscosities.index_select(0, which)).contiguous();
    std::ranges::copy(numbers_of(found), ys.begin());
  };
}

zo::points<float> rows_of(const Tensor& states) {
  return {numbers_of(states), states.size(0), states.numel() / states.size(0)};
}

// The solver's step is asked for its products with cotangents.
class step_by_step : public at_boundary {
 public:
  step_by_step(const lesson& l, zo::any_estimator<float> how)
      : at_boundary(l), how_(std::move(how)) {}

 protected:
  Tensor slope_at(const Tensor&, const window& truth, const run_of_states& run, std::int64_t t,
                  const Tensor& moved, std::int64_t step) override {
    const auto at = static_cast<std::size_t>(t);
    const Tensor& state = run.states[at];
    const auto f =
        asked([this](const Tensor& x, const Tensor& nu) { return l_.flow.flow.step(x, nu); }, state,
              truth.viscosities);
    const auto x = rows_of(state);
    const auto found = zo::pullback(zo::seq, f, x, rows_of(moved), how_,
                                    l_.place(place_of(step, t), 2 * states_at_once * x.dimension),
                                    numbers_of(run.moved[at]));
    if (!found.ok) refuse(step, l_.s);
    count(found.queries);
    return tensor_of(found.gradients, state.sizes()).clone();
  }

 private:
  zo::any_estimator<float> how_;
};

// All that comes after a state is one question about it, with a loss for an answer.
class by_suffixes : public at_boundary {
 public:
  by_suffixes(const lesson& l, zo::any_estimator<float> how)
      : at_boundary(l), how_(std::move(how)) {}

 protected:
  Tensor slope_at(const Tensor& weights, const window& truth, const run_of_states& run,
                  std::int64_t t, const Tensor&, std::int64_t step) override {
    const auto numbers =
        static_cast<double>(truth.states[0][0].numel() * truth.count() * truth.steps());
    const Tensor& state = run.states[static_cast<std::size_t>(t)];
    std::int64_t calls = 0;
    const auto f = [&](zo::points<float> xs, std::span<const zo::index_t> rows,
                       std::span<double> losses) {
      const torch::NoGradGuard without_gradients;
      const Tensor which = torch::tensor(std::vector<std::int64_t>(rows.begin(), rows.end()));
      std::vector<std::int64_t> sizes = state.sizes().vec();
      sizes[0] = xs.count;
      const window later{truth.states.narrow(1, t, truth.steps() - t + 1).index_select(0, which),
                         truth.viscosities.index_select(0, which)};
      Tensor now = tensor_of(xs.data, sizes).unsqueeze(1);
      Tensor sum = torch::zeros({xs.count}, torch::kDouble);
      for (std::int64_t k = 1; k <= later.steps(); ++k) {
        now = l_.flow.step(weights, now, later.viscosities);
        const Tensor error = now.squeeze(1) - later.states.select(1, k);
        sum = sum + error.pow(2).sum({1, 2, 3}, false, torch::kDouble);
      }
      calls += xs.count * later.steps();
      for (std::size_t j = 0; j < losses.size(); ++j) {
        losses[j] = sum.data_ptr<double>()[j] / numbers;
      }
    };
    const Tensor known = (run.errors.narrow(1, t, truth.steps() - t).sum(1) / numbers).contiguous();
    const auto x = rows_of(state);
    auto options = l_.place(place_of(step, t), states_at_once * x.dimension);
    options.known_values = {known.data_ptr<double>(), static_cast<std::size_t>(known.numel())};
    const auto found = zo::boundary(zo::seq, f, x, how_, options);
    if (!found.ok) refuse(step, l_.s);
    count(calls);
    return tensor_of(found.gradients, state.sizes()).clone();
  }

 private:
  zo::any_estimator<float> how_;
};

// Both parts of the solver's step are asked by themselves: the affine one once and for all, at
// every viscosity, the local one in as many questions as its pattern has colors.
class part_by_part : public at_boundary {
 public:
  explicit part_by_part(const lesson& l)
      : at_boundary(l), colors_(advection_pattern(l.flow.flow.where())) {
    const std::int64_t n = l.flow.flow.where().numbers();
    const Tensor somewhere = l.truth.states.select(1, 0).contiguous();
    for (std::int64_t r = 0; r < l.truth.count(); ++r) {
      const Tensor x = somewhere[r].unsqueeze(0);
      const auto f = asked(
          [&](const Tensor& state, const Tensor& nu) { return l_.flow.flow.settle(state, nu); }, x,
          l.truth.viscosities.narrow(0, r, 1));
      // An affine map has no curvature: a long step has the least rounding.
      const auto found = zo::jacobian(zo::seq, f, numbers_of(x), n, zo::cge({.smoothing = 1}),
                                      l.place(0, 2 * states_at_once * n));
      affine_.push_back(tensor_of(found.values, {n, n}).clone());
    }
  }

 protected:
  Tensor slope_at(const Tensor&, const window& truth, const run_of_states& run, std::int64_t t,
                  const Tensor& moved, std::int64_t step) override {
    const auto at = static_cast<std::size_t>(t);
    const Tensor& state = run.states[at];
    const Tensor slopes = torch::zeros_like(state);
    for (std::int64_t b = 0; b < state.size(0); ++b) {
      const Tensor x = state.narrow(0, b, 1);
      const Tensor nu = truth.viscosities.narrow(0, b, 1);
      const Tensor v = moved[b].reshape({1, -1}).matmul(affine_of(nu)).contiguous();
      const auto f = asked(
          [this](const Tensor& some, const Tensor&) { return l_.flow.flow.advect(some); }, x, nu);
      const auto found =
          zo::jacobian(zo::seq, f, numbers_of(x), colors_, zo::cge({.smoothing = l_.s.smoothing}),
                       l_.place(place_of(step, t), 2 * states_at_once * x.numel()),
                       numbers_of(run.advected[at][b]));
      if (!found.ok) refuse(step, l_.s);
      count(found.queries);
      multiply(found.values, v, slopes[b]);
    }
    return slopes;
  }

 private:
  const Tensor& affine_of(const Tensor& nu) const {
    const auto which = (l_.truth.viscosities == nu).nonzero()[0].item<std::int64_t>();
    return affine_[static_cast<std::size_t>(which)];
  }

  // to += Jᵀ v
  void multiply(const std::vector<float>& values, const Tensor& v, const Tensor& to) const {
    const auto& pattern = colors_.pattern();
    float* const sums = to.data_ptr<float>();
    for (zo::index_t row = 0; row < pattern.rows; ++row) {
      const float weight = v.data_ptr<float>()[row];
      for (auto k = pattern.starts[static_cast<std::size_t>(row)];
           k < pattern.starts[static_cast<std::size_t>(row) + 1]; ++k) {
        sums[pattern.indices[static_cast<std::size_t>(k)]] +=
            weight * values[static_cast<std::size_t>(k)];
      }
    }
  }

  zo::coloring colors_;
  std::vector<Tensor> affine_;  // by Reynolds number
};

zo::any_estimator<float> random_directions(const settings& s) {
  return zo::rge({.directions = s.directions, .smoothing = s.smoothing});
}

std::int64_t asked_weights(const settings& s) {
  const auto all = static_cast<double>(s.net().parameters());
  return std::max<std::int64_t>(1, std::llround((1 - s.sparsity) * all));
}

}  // namespace

std::unique_ptr<teacher> make_teacher(const std::string& method, const corrected_flow& flow,
                                      const window& truth, const settings& s, std::uint64_t seed) {
  const lesson l{flow, truth, s, seed};
  if (method == "non") return std::make_unique<on_pairs>(l);
  if (method == "cut") return std::make_unique<cut_off>(l);
  if (method == "fo") return std::make_unique<differentiated>(l);
  if (method == "chain") return std::make_unique<part_by_part>(l);
  if (method == "boundary-cge") {
    return std::make_unique<step_by_step>(l, zo::cge({.smoothing = s.smoothing}));
  }
  if (method == "boundary-rge") return std::make_unique<step_by_step>(l, random_directions(s));
  if (method == "suffix-rge") return std::make_unique<by_suffixes>(l, random_directions(s));
  if (method == "rge") return std::make_unique<of_weights>(l, random_directions(s));
  return std::make_unique<of_weights>(
      l,
      zo::cge({.smoothing = s.smoothing, .coordinates = zo::random_coordinates{asked_weights(s)}}));
}

std::int64_t calls_of_step(const std::string& method, const settings& s) {
  const std::int64_t once = s.batch * s.unroll, between = s.batch * (s.unroll - 1);
  if (method == "sparse-cge") return once * (1 + asked_weights(s));
  if (method == "rge") return once * (1 + s.directions);
  if (method == "suffix-rge") return once + between * s.unroll / 2 * s.directions;
  if (method == "boundary-rge") return once + between * s.directions;
  if (method == "boundary-cge") return once + between * s.coarse().numbers();
  if (method == "chain") {
    const zo::coloring colors(advection_pattern(s.coarse()));
    return once + between * colors.colors();
  }
  return method == "fo" || method == "cut" ? once : 0;
}

std::int64_t calls_before(const std::string& method, const settings& s) {
  const auto flows = static_cast<std::int64_t>(s.reynolds.size());
  if (method == "non") return flows * s.frames;
  return method == "chain" ? flows * (1 + s.coarse().numbers()) : 0;
}

std::int64_t steps_of(const std::string& method, const settings& s) {
  if (!only_asks(method)) return s.steps;
  return (s.calls - calls_before(method, s)) / calls_of_step(method, s);
}

zo::sparsity advection_pattern(const grid& where) {
  const std::int64_t rows = where.rows, columns = where.columns;
  zo::sparsity pattern{
      .rows = where.numbers(), .columns = where.numbers(), .starts = {0}, .indices = {}};
  for (int across = 0; across < 2; ++across) {
    for (std::int64_t j = 0; j < rows; ++j) {
      for (std::int64_t i = 0; i < columns; ++i) {
        std::vector<zo::index_t> reached;
        const auto add = [&](int component, std::int64_t down, std::int64_t right) {
          const std::int64_t row = (j + down + rows) % rows;
          const std::int64_t column = i + right;
          if (column < 0 || column >= columns) return;
          reached.push_back((component * rows + row) * columns + column);
        };
        for (std::int64_t down = -1; down <= 1; ++down) {
          for (std::int64_t right = -2; right <= 1; ++right) add(across, down, right);
        }
        // The other velocity at this face is a mean of four.
        const std::int64_t first = across == 0 ? -1 : 0, left = across == 0 ? 0 : -1;
        for (std::int64_t down = first; down <= first + 1; ++down) {
          for (std::int64_t right = left; right <= left + 1; ++right) {
            add(1 - across, down, right);
          }
        }
        std::ranges::sort(reached);
        const auto repeated = std::ranges::unique(reached);
        reached.erase(repeated.begin(), repeated.end());
        pattern.indices.insert(pattern.indices.end(), reached.begin(), reached.end());
        pattern.starts.push_back(static_cast<zo::index_t>(pattern.indices.size()));
      }
    }
  }
  return pattern;
}

}  // namespace wake
