// CGE on the device: the runs of zo/cge.hpp with every number in device memory.
#pragma once

#include <algorithm>
#include <exception>
#include <vector>

#include "zo/cge.hpp"
#include "zo/config.hpp"
#include "zo/cuda/asker.hpp"
#include "zo/cuda/operations.hpp"
#include "zo/cuda/workspace.hpp"
#include "zo/team.hpp"

namespace zo::cuda::detail {

/// Candidates that differ from x in one coordinate. With one row a slot stays a copy of x in which
/// a single coordinate is moved and put back.
template <class T>
struct coordinate_maker {
  coordinate_steps<T> steps;

  void begin(const stream_context& at, index_t slots, T* to) const {
    if (steps.rows == 1) begin_slots(at, steps, slots, to);
  }
  void write(const stream_context& at, index_t first, index_t count, T* to) const {
    if (steps.rows == 1) {
      move_coordinates(at, steps, first, count, false, to);
    } else {
      write_moved(at, steps, first, count, to);
    }
  }
  void restore(const stream_context& at, index_t first, index_t count, T* to) const {
    if (steps.rows == 1) move_coordinates(at, steps, first, count, true, to);
  }
};

// What both kinds of run need of the chosen coordinates.
template <class T>
class chosen_on_device {
 public:
  chosen_on_device(const policy& on, const row_problem<T>& problem, const cge_options& how,
                   int sides, const estimate_options& options, workspace& memory)
      : chosen_(zo::detail::choose_coordinates(how.coordinates, problem.dimension, options.seed,
                                               options.step)),
        steps_{problem.x, problem.rows,  problem.dimension, nullptr,
               0,         how.smoothing, how.relative,      sides} {
    zo::detail::check_smoothing<T>(how.smoothing);
    zo::detail::require(
        on.options().step_counter == nullptr ||
            !std::holds_alternative<random_coordinates>(how.coordinates),
        "zo::cuda: random coordinates are drawn on the host, so a step counter cannot "
        "change them; use a list, a mask or all coordinates");
    if (chosen_.all) return;
    index_t* const list = memory.take<index_t>(room::list, chosen_.count());
    upload(on, chosen_.list.data(), chosen_.count(), list);
    steps_.list = list;
  }

  index_t count() const { return chosen_.count(); }
  index_t list_bytes() const { return chosen_.all ? 0 : 8 * chosen_.count(); }
  double scale() const { return chosen_.scale; }
  // Those of a group of probes, as write_probes orders them.
  std::vector<index_t> known(index_t first, index_t count, int sides) const {
    std::vector<index_t> all;
    all.reserve(static_cast<std::size_t>(count * sides));
    for (int side = 0; side < sides; ++side) {
      for (index_t k = first; k < first + count; ++k) all.push_back(chosen_[k]);
    }
    return all;
  }
  coordinate_steps<T> from(index_t first) const {
    coordinate_steps<T> some = steps_;
    some.first = first;
    return some;
  }

 private:
  zo::detail::chosen_coordinates chosen_;
  coordinate_steps<T> steps_;
};

template <class T, class F, difference_scheme S>
index_t estimate_rows(const policy& on, F& f, const row_problem<T>& problem, const cge<S>& how,
                      const estimate_options& options, workspace& memory) {
  const stream_context at(on);
  const index_t rows = problem.rows;
  const cge_options& asked = how.options();
  const chosen_on_device<T> chosen(on, problem, asked, S::points, options, memory);
  const index_t group = group_of(rows, chosen.count(), S::points);
  const index_t own_bytes =
      chosen.list_bytes() + 8 * (tally::numbers(rows) + rows + group * S::points * rows + 3);
  asker<T, F> ask(on, f, problem, options, asked.failures, own_bytes, memory);
  double* const numbers = memory.take<double>(room::tally, tally::numbers(rows));
  report* const out = memory.take<report>(room::report, 1);
  double* const base = memory.take<double>(room::base, rows);
  double* const answers = memory.take<double>(room::answers, group * S::points * rows);
  ask.reserve(group * S::points * rows);
  fill_zero(at.stream, numbers, tally::numbers(rows) * 8);
  const tally known(numbers, rows);
  fill_zero(at.stream, problem.gradients,
            rows * problem.dimension * static_cast<index_t>(sizeof(T)));
  for (index_t first = 0; first < chosen.count(); first += group) {
    const index_t count = std::min(group, chosen.count() - first);
    const coordinate_steps<T> steps = chosen.from(first);
    double* const first_base = S::uses_base && first == 0 ? base : nullptr;
    ask.ask(coordinate_maker<T>{steps}, first_base, answers, count * S::points * rows);
    if (first_base != nullptr) count_failed(at, rows, first_base, known);
    write_slopes(at, steps, count, answers, base, chosen.scale(), problem.gradients, known);
    if constexpr (!S::uses_base) add_answers(at, rows, count * S::points, answers, known);
  }
  const ending end{
      rows,  chosen.count(),  asked.failures == on_failure::drop, S::uses_base, S::uses_base,
      false, memory.watched()};
  close(at, end, known, base, out, problem.losses);
  mend(at, end, known, out, problem.dimension, problem.gradients);
  return ask.queries;
}

// base[0] = f(x) by f.prepare, NaN where no answer was written. Each process of a team prepares for
// probes of its own.
template <class T, class F>
void prepare(const policy& on, F& f, span<const T> x, const estimate_options& options,
             on_failure failures, double* base) {
  const cudaStream_t stream = on.stream();
  const auto ask = [&] {
    fill_nan(stream, base, 8);
    call_objective(
        failures,
        [&] { f.prepare(x, span<double>(base, 1), stream, options.sample.value_or(options.step)); },
        [&] { fill_nan(stream, base, 8); });
  };
  if (on.team() == nullptr) {
    ask();
    return;
  }
  double value = zo::detail::failed_query;
  const std::exception_ptr thrown = zo::detail::caught([&] {
    ask();
    copy_to_host(on, base, 8, &value);
  });
  on.team()->compare(value, options.step, thrown);
}

// `known`: the coordinates, in host memory, where the objective wants them.
template <class T, class F>
void probe(const stream_context& at, F& f, on_failure failures, const std::vector<index_t>& known,
           const index_t* coordinates, const T* lengths, double* differences, index_t probes) {
  fill_nan(at.stream, differences, probes * 8);
  call_objective(
      failures,
      [&] {
        const span<const index_t> these(coordinates, probes);
        const span<const T> by(lengths, probes);
        const span<double> answers(differences, probes);
        if constexpr (planning_objective<F, T>) {
          f.probe(known, these, by, answers, at.stream);
        } else {
          f.probe(these, by, answers, at.stream);
        }
      },
      [&] { fill_nan(at.stream, differences, probes * 8); });
}

// The same of this process's share, by cost, and the answers of the others'. The share is asked
// from the front of the arrays, which are then put back.
template <class T, class F>
void probe_share(const policy& on, F& f, on_failure failures, const std::vector<index_t>& known,
                 index_t* coordinates, T* lengths, double* differences) {
  const auto probes = static_cast<index_t>(known.size());
  constexpr auto length_bytes = static_cast<index_t>(sizeof(T));
  std::vector<T> steps(known.size());
  copy_to_host(on, lengths, probes * length_bytes, steps.data());
  const zo::detail::dealt_items dealt = zo::detail::deal(
      probes, on.team()->ranks(),
      [&](index_t k) { return zo::detail::probe_cost(f, known[static_cast<std::size_t>(k)]); });
  const zo::detail::share_range mine = zo::detail::share_of(dealt.ends, on.team()->rank());
  std::vector<index_t> my_coordinates;
  std::vector<T> my_steps;
  for (index_t at = mine.first; at < mine.end; ++at) {
    const auto k = static_cast<std::size_t>(dealt.order[static_cast<std::size_t>(at)]);
    my_coordinates.push_back(known[k]);
    my_steps.push_back(steps[k]);
  }
  std::vector<double> answers(known.size());
  const std::exception_ptr thrown = zo::detail::caught([&] {
    if (mine.count() == 0) return;
    copy_to_device(on, my_coordinates.data(), mine.count() * 8, coordinates);
    copy_to_device(on, my_steps.data(), mine.count() * length_bytes, lengths);
    probe(stream_context(on), f, failures, my_coordinates, coordinates, lengths, differences,
          mine.count());
    copy_to_host(on, differences, mine.count() * 8, answers.data() + mine.first);
  });
  on.team()->exchange(answers, dealt.ends, thrown);
  std::vector<double> in_order(known.size());
  for (std::size_t at = 0; at < answers.size(); ++at) {
    in_order[static_cast<std::size_t>(dealt.order[at])] = answers[at];
  }
  copy_to_device(on, known.data(), probes * 8, coordinates);
  copy_to_device(on, steps.data(), probes * length_bytes, lengths);
  copy_to_device(on, in_order.data(), probes * 8, differences);
}

// CGE of an objective that answers differences.
template <class T, class F, difference_scheme S>
index_t estimate_probes(const policy& on, F& f, const row_problem<T>& problem, const cge<S>& how,
                        const estimate_options& options, workspace& memory) {
  const stream_context at(on);
  const cge_options& asked = how.options();
  const chosen_on_device<T> chosen(on, problem, asked, S::points, options, memory);
  const index_t group = group_of(1, chosen.count(), S::points);
  double* const numbers = memory.take<double>(room::tally, tally::numbers(1));
  fill_zero(at.stream, numbers, tally::numbers(1) * 8);
  const tally known(numbers, 1);
  double* const base = memory.take<double>(room::base, 1);
  double* const differences = memory.take<double>(room::answers, group * S::points);
  index_t* const coordinates = memory.take<index_t>(room::rows, group * S::points);
  T* const lengths = memory.take<T>(room::steps, group * S::points);
  report* const out = memory.take<report>(room::report, 1);
  fill_zero(at.stream, problem.gradients, problem.dimension * static_cast<index_t>(sizeof(T)));
  prepare(on, f, span<const T>(problem.x, problem.dimension), options, asked.failures, base);
  count_failed(at, 1, base, known);
  for (index_t first = 0; first < chosen.count(); first += group) {
    const index_t count = std::min(group, chosen.count() - first);
    const index_t probes = count * S::points;
    write_probes(at, chosen.from(first), count, coordinates, lengths);
    std::vector<index_t> asked_for;  // in host memory, for whom it matters
    if (planning_objective<F, T> || on.team() != nullptr) {
      asked_for = chosen.known(first, count, S::points);
    }
    if (on.team() == nullptr) {
      probe(at, f, asked.failures, asked_for, coordinates, lengths, differences, probes);
    } else {
      probe_share(on, f, asked.failures, asked_for, coordinates, lengths, differences);
    }
    write_rises(at, count, S::points, coordinates, lengths, differences, chosen.scale(),
                problem.gradients, known);
  }
  const ending end{1,     chosen.count(),  asked.failures == on_failure::drop, true, true,
                   false, memory.watched()};
  close(at, end, known, base, out, problem.losses);
  mend(at, end, known, out, problem.dimension, problem.gradients);
  return 1 + chosen.count() * S::points;
}

}  // namespace zo::cuda::detail
