// CGE, the coordinate-wise gradient estimate: one finite difference a coordinate.
#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <limits>
#include <span>
#include <vector>

#include "zo/candidate.hpp"
#include "zo/config.hpp"
#include "zo/coordinate.hpp"
#include "zo/difference.hpp"
#include "zo/finite.hpp"
#include "zo/objective.hpp"
#include "zo/rge.hpp"
#include "zo/rounding.hpp"

namespace zo {

struct cge_options {
  double smoothing = 1e-3;  ///< mu, the step along a coordinate; above 0
  bool relative = false;  ///< step mu * max(1, |x_i|) instead of mu: for coordinates of large size
  coordinate_selection coordinates = all_coordinates{};
  on_failure failures = on_failure::stop;
};

/// Coordinate-wise gradient estimate, for each selected coordinate i
///   g_i = [f(x + h e_i) - f(x)] / h           (forward)
///   g_i = [f(x + h e_i) - f(x - h e_i)] / 2h  (central)
/// where h is the step that really happened, (x_i + mu) - x_i in the scalar type: never zero,
/// because a mu too small to change x_i is replaced by the distance to the next number.
///
/// Queries for n coordinates: 1 + n forward, 2 n central (and one more, `prepare`, when a
/// coordinate objective is asked by central differences). Memory: O(d) for each thread, or a chunk
/// of `chunk_bytes`. Sources: ZO-AE-DS, ICLR 2022, eq. 4; DeepZero, ICLR 2024.
template <difference_scheme S = forward>
class cge {
 public:
  using scheme_type = S;

  template <detail::number N>
  cge(N, S = {}) = delete;  // give the option its name: zo::cge({.smoothing = 1e-4})
  template <distribution D, class Scheme = S>
  cge(cge_options, D, Scheme = {}) = delete;  // CGE has no distribution: zo::cge({}, zo::central{})
  cge(cge_options options = {}, S = {}) : options_(std::move(options)) {  // NOLINT: reads well
    detail::require(options_.smoothing > 0 && detail::is_finite(options_.smoothing),
                    "zo::cge: smoothing must be a positive number, got ", options_.smoothing);
  }

  const cge_options& options() const { return options_; }

  /// Queries that one estimate costs (for each row of a rowwise objective).
  index_t queries(index_t dimension) const {
    return (S::uses_base ? 1 : 0) +
           S::points * detail::selected_count(options_.coordinates, dimension);
  }

 private:
  cge_options options_;
};

namespace detail {

template <difference_scheme S>
void describe(const cge<S>& how, fingerprint& print) {
  const cge_options& options = how.options();
  print.add(S::points).add(options.smoothing).add(options.relative).add(options.failures);
  print.add(options.coordinates.index());
  if (const auto* list = std::get_if<coordinate_list>(&options.coordinates)) {
    print.add(std::span<const index_t>(list->coordinates));
  } else if (const auto* mask = std::get_if<coordinate_mask>(&options.coordinates)) {
    for (const bool asked : mask->mask) print.add(asked);
  } else if (const auto* random = std::get_if<random_coordinates>(&options.coordinates)) {
    print.add(random->count);
  }
}

// The smoothing must be a number of the scalar type; where it is too small for that, the next
// number is asked.
template <class T>
void check_smoothing(double smoothing) {
  require(is_finite(static_cast<T>(smoothing)), "zo::cge: smoothing ", smoothing,
          " is infinite in this scalar type; use a smaller one or double");
}

// The neighbour of x on one side, step * size away as nearly as the scalar type allows; x itself
// only where the numbers end.
template <class T>
ZO_HD T neighbour(T x, T side, T step, T size) {
  // An explicit fma: a product and a sum would round as the program's own flags say.
  const T moved = fused(side * step, size, x);
  const T end = side * largest<T>();
  if (moved != x) return is_finite(moved) ? moved : end;
  return x == end ? x : std::nextafter(x, side * static_cast<T>(__builtin_inff()));
}

// The same mu away, never x itself: where the numbers end, the neighbour on the other side.
template <class T>
ZO_HD T step_from(T x, double side, double smoothing, bool relative) {
  T size = relative && magnitude(x) > T(1) ? magnitude(x) : T(1);
  auto step = static_cast<T>(smoothing);
  if (!is_finite(step * size)) {
    step = largest<T>();
    size = T(1);
  }
  const T moved = neighbour(x, static_cast<T>(side), step, size);
  return moved != x ? moved : neighbour(x, static_cast<T>(-side), step, size);
}

// What a step along a coordinate makes of an estimate: its slope, and whether that is a number.
template <class T>
ZO_HD T gradient_of(double scale, double slope, bool& good) {
  const T value = static_cast<T>(scale * slope);
  good = is_finite(value);
  return value;
}

// Candidates of the coordinates first …, the coordinates outermost, then sides, then rows.
template <class T, difference_scheme S>
struct coordinate_points {
  const row_problem<T>& problem;
  const chosen_coordinates& chosen;
  const cge_options& how;
  index_t first;

  candidate at(index_t j) const { return candidate_of(j, problem.rows, S::points); }
  index_t row(index_t j) const { return at(j).row; }
  index_t coordinate(index_t j) const { return chosen[first + at(j).item]; }
  T value(index_t j) const {
    const T x = problem.x[row(j) * problem.dimension + coordinate(j)];
    return step_from(x, side(at(j).side), how.smoothing, how.relative);
  }
  // With one row a buffer stays a copy of x in which a single coordinate is moved and put back.
  static constexpr bool begins = true;
  static constexpr index_t worth_a_thread() { return index_t{1} << 16; }
  void begin(index_t at, index_t count, T* to) const {
    if (problem.rows == 1) std::copy_n(problem.x + at, count, to);
  }
  void write(index_t j, index_t at, index_t count, T* to) const {
    if (problem.rows > 1) {
      std::copy_n(problem.x + row(j) * problem.dimension + at, count, to);
    }
    const index_t moved = coordinate(j) - at;
    if (moved >= 0 && moved < count) to[moved] = value(j);
  }
  void restore(index_t j, T* buffer) const {
    if (problem.rows == 1) buffer[coordinate(j)] = problem.x[coordinate(j)];
  }
};

// Puts slopes into gradients and keeps count; shared by point and coordinate objectives.
template <class T>
class slope_writer {
 public:
  slope_writer(const row_problem<T>& problem, double scale, buffers<T>& memory)
      : problem_(problem), scale_(scale), survivors_(cleared(memory.survivors, problem.rows)) {}

  void write(index_t row, index_t coordinate, double slope) {
    bool good = false;
    const T value = gradient_of<T>(scale_, slope, good);
    if (!good) return;  // the coordinate stays at zero
    problem_.gradients[row * problem_.dimension + coordinate] = value;
    survivors_[static_cast<std::size_t>(row)] += 1;
  }
  bool enough(on_failure failures, index_t asked) const {
    return enough_slopes(failures, survivors_, asked);
  }

 private:
  const row_problem<T>& problem_;
  double scale_;
  std::vector<index_t>& survivors_;
};

template <class Policy, class T, class F, difference_scheme S>
class cge_run {
 public:
  cge_run(const Policy& policy, F& f, const row_problem<T>& problem, const cge<S>& how,
          const estimate_options& options, workspace<T>& memory)
      : policy_(policy),
        problem_(problem),
        how_(how.options()),
        chosen_(
            choose_coordinates(how_.coordinates, problem.dimension, options.seed, options.step)),
        asker_(policy, f, problem.dimension, options, how_.failures, memory),
        base_(unanswered(memory.buffers().base, problem.rows)),
        means_(problem.rows, memory.buffers()),
        writer_(problem, chosen_.scale, memory.buffers()),
        answers_(memory.buffers().answers) {
    check_smoothing<T>(how_.smoothing);
  }

  estimate_result operator()() {
    std::fill_n(problem_.gradients, problem_.rows * problem_.dimension, T(0));
    bool ok = !S::uses_base || base_comes_along || ask_base();
    const index_t group = std::max<index_t>(1, answers_of(policy_) / (problem_.rows * S::points));
    for (index_t first = 0; ok && first < chosen_.count(); first += group) {
      ok = add_coordinates(first, std::min(group, chosen_.count() - first));
    }
    for (index_t b = 0; b < problem_.rows; ++b) {
      problem_.losses[b] = S::uses_base ? base_[static_cast<std::size_t>(b)] : means_.mean(b);
    }
    const estimate_result result{problem_.losses[0], asker_.queries, asker_.failed, true};
    const auto all = static_cast<std::size_t>(problem_.rows * problem_.dimension);
    if (ok && writer_.enough(how_.failures, chosen_.count())) return result;
    return give_up(result, std::span<T>{problem_.gradients, all});
  }

 private:
  static constexpr bool base_comes_along = S::uses_base && team_policy<Policy>;

  bool may_go_on() const { return how_.failures == on_failure::drop || asker_.failed == 0; }

  bool ask_base() {
    asker_.ask_rows(problem_.x, base_);
    return any_answer(base_) && may_go_on();
  }

  bool add_coordinates(index_t first, index_t count) {
    const index_t rows = problem_.rows;
    const coordinate_points<T, S> maker{problem_, chosen_, how_, first};
    answers_.resize(static_cast<std::size_t>(count * S::points * rows));
    if (base_comes_along && first == 0) {
      asker_.ask_with_rows(maker, problem_.x, base_, answers_);
      if (!any_answer(base_)) return false;
    } else {
      asker_.ask(maker, answers_);
    }
    for (index_t k = 0; k < count; ++k) {
      for (index_t b = 0; b < rows; ++b) write_slope(maker, k * S::points * rows + b);
    }
    return may_go_on();
  }

  void write_slope(const coordinate_points<T, S>& maker, index_t j) {
    const index_t b = maker.row(j);
    const index_t i = maker.coordinate(j);
    const double upper = answers_[static_cast<std::size_t>(j)];
    const auto upper_x = static_cast<double>(maker.value(j));
    means_.add(b, upper);
    if constexpr (S::points == 1) {
      const auto x = static_cast<double>(problem_.x[b * problem_.dimension + i]);
      writer_.write(b, i, quotient(upper, base_[static_cast<std::size_t>(b)], upper_x, x));
    } else {
      const double lower = answers_[static_cast<std::size_t>(j + problem_.rows)];
      const auto lower_x = static_cast<double>(maker.value(j + problem_.rows));
      means_.add(b, lower);
      writer_.write(b, i, quotient(upper, lower, upper_x, lower_x));
    }
  }

  const Policy& policy_;
  const row_problem<T>& problem_;
  const cge_options& how_;
  chosen_coordinates chosen_;
  asker<T, F, Policy> asker_;
  std::vector<double>& base_;
  answer_means means_;
  slope_writer<T> writer_;
  std::vector<double>& answers_;
};

template <class Policy, class T, class F, difference_scheme S>
estimate_result estimate_rows(const Policy& policy, F& f, const row_problem<T>& problem,
                              const cge<S>& how, const estimate_options& options,
                              workspace<T>& memory) {
  return cge_run<Policy, T, F, S>(policy, f, problem, how, options, memory)();
}

// f(x) by f.prepare, NaN where it failed. Each process of a team prepares for probes of its own.
template <class Policy, class T, class F>
double prepared_value(const Policy& policy, F& f, std::span<const T> x,
                      const estimate_options& options, on_failure failures) {
  double value = failed_query;
  const auto prepare = [&] {
    call_guarded(
        failures,
        [&] { value = static_cast<double>(f.prepare(x, options.sample.value_or(options.step))); },
        [] {});
    if (!is_finite(value)) value = failed_query;
  };
  if constexpr (team_policy<Policy>) {
    const std::exception_ptr thrown = caught(prepare);
    policy.team().compare(value, options.step, thrown);
  } else {
    prepare();
  }
  return value;
}

template <class F>
double probe_cost(const F& f, index_t coordinate) {
  if constexpr (priced_objective<F>) {
    const auto cost = static_cast<double>(f.cost(coordinate));
    require(cost > 0 && is_finite(cost), "zo::cge: the cost of coordinate ", coordinate,
            " must be a positive number, got ", cost);
    return cost;
  } else {
    return 1;
  }
}

// CGE of an objective that answers differences.
template <class Policy, class T, class F, difference_scheme S>
class probe_run {
 public:
  probe_run(const Policy& policy, F& f, std::span<const T> x, std::span<T> gradient,
            const cge<S>& how, const estimate_options& options, workspace<T>& memory)
      : policy_(policy),
        f_(f),
        x_(x),
        gradient_(gradient),
        how_(how.options()),
        options_(options),
        problem_{x.data(), 1, static_cast<index_t>(x.size()), gradient.data(), &result_.value},
        chosen_(
            choose_coordinates(how_.coordinates, problem_.dimension, options.seed, options.step)),
        writer_(problem_, chosen_.scale, memory.buffers()),
        base_(unanswered(memory.buffers().base, 1)),
        coordinates_(memory.buffers().rows),
        steps_(memory.buffers().weights),
        differences_(memory.buffers().answers) {
    check_smoothing<T>(how_.smoothing);
  }

  estimate_result operator()() {
    std::ranges::fill(gradient_, T(0));
    result_.queries = 1;
    base_[0] = result_.value = prepared_value(policy_, f_, x_, options_, how_.failures);
    if (is_nan(result_.value)) {
      result_.failed = 1;
      return give_up(result_, gradient_);
    }
    const index_t group = answers_of(policy_) / S::points;
    for (index_t first = 0; first < chosen_.count(); first += group) {
      probe_coordinates(first, std::min(group, chosen_.count() - first));
      if (how_.failures == on_failure::stop && result_.failed > 0)
        return give_up(result_, gradient_);
    }
    const bool enough = writer_.enough(how_.failures, chosen_.count());
    return enough ? result_ : give_up(result_, gradient_);
  }

 private:
  // Coordinates and steps of one group: all upper sides, then (central) all lower ones.
  void probe_coordinates(index_t first, index_t count) {
    const auto probes = static_cast<std::size_t>(count * S::points);
    coordinates_.resize(probes);
    steps_.resize(probes);
    differences_.assign(probes, failed_query);
    for (std::size_t j = 0; j < probes; ++j) {
      const index_t i = chosen_[first + static_cast<index_t>(j) % count];
      const T x = x_[static_cast<std::size_t>(i)];
      coordinates_[j] = i;
      const double side_of_j = side(static_cast<int>(static_cast<index_t>(j) / count));
      steps_[j] = step_from(x, side_of_j, how_.smoothing, how_.relative) - x;
    }
    result_.queries += count * S::points;
    if constexpr (team_policy<Policy>) {
      probe_share();
    } else {
      probe(coordinates_, steps_, differences_);
    }
    result_.failed += std::ranges::count_if(differences_, [](double d) { return !is_finite(d); });
    write_slopes(static_cast<std::size_t>(count));
  }

  void probe(std::span<const index_t> coordinates, std::span<const T> steps,
             std::span<double> differences) {
    call_guarded(
        how_.failures, [&] { f_.probe(coordinates, steps, differences); },
        [&] { std::ranges::fill(differences, failed_query); });
  }

  // The same of this process's share, by cost, and the answers of the others'.
  void probe_share() {
    team& others = policy_.team();
    const dealt_items dealt =
        deal(static_cast<index_t>(coordinates_.size()), others.ranks(),
             [&](index_t k) { return probe_cost(f_, coordinates_[static_cast<std::size_t>(k)]); });
    const share_range mine = share_of(dealt.ends, others.rank());
    std::vector<index_t> coordinates;
    std::vector<T> steps;
    for (index_t at = mine.first; at < mine.end; ++at) {
      const auto k = static_cast<std::size_t>(dealt.order[static_cast<std::size_t>(at)]);
      coordinates.push_back(coordinates_[k]);
      steps.push_back(steps_[k]);
    }
    std::vector<double> answers(differences_.size(), failed_query);
    const std::exception_ptr thrown = caught([&] {
      if (mine.count() == 0) return;
      probe(coordinates, steps,
            std::span(answers).subspan(static_cast<std::size_t>(mine.first), steps.size()));
    });
    others.exchange(answers, dealt.ends, thrown);
    for (std::size_t at = 0; at < answers.size(); ++at) {
      differences_[static_cast<std::size_t>(dealt.order[at])] = answers[at];
    }
  }

  void write_slopes(std::size_t count) {
    for (std::size_t k = 0; k < count; ++k) {
      double lower = 0, lower_step = 0;
      if constexpr (S::points == 2) {
        lower = differences_[count + k];
        lower_step = static_cast<double>(steps_[count + k]);
      }
      const auto step = static_cast<double>(steps_[k]);
      writer_.write(0, coordinates_[k], quotient(differences_[k], lower, step, lower_step));
    }
  }

  const Policy& policy_;
  F& f_;
  std::span<const T> x_;
  std::span<T> gradient_;
  const cge_options& how_;
  estimate_options options_;
  estimate_result result_;
  row_problem<T> problem_;
  chosen_coordinates chosen_;
  slope_writer<T> writer_;
  std::vector<double>& base_;
  std::vector<index_t>& coordinates_;
  std::vector<T>& steps_;
  std::vector<double>& differences_;
};

template <class Policy, class T, class F, difference_scheme S>
requires objective<F, T> estimate_result estimate_one(const Policy& policy, F& f,
                                                      std::span<const T> x, std::span<T> gradient,
                                                      const cge<S>& how,
                                                      const estimate_options& options,
                                                      workspace<T>& memory) {
  if constexpr (coordinate_objective<F, T>) {
    return probe_run<Policy, T, F, S>(policy, f, x, gradient, how, options, memory)();
  } else {
    double loss = 0;
    const row_problem<T> problem{x.data(), 1, static_cast<index_t>(x.size()), gradient.data(),
                                 &loss};
    return estimate_rows(policy, f, problem, how, options, memory);
  }
}

}  // namespace detail
}  // namespace zo
