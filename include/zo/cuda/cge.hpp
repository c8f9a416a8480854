// CGE on the device: the runs of zo/cge.hpp with every number in device memory.
#pragma once

#include <algorithm>

#include "zo/cge.hpp"
#include "zo/config.hpp"
#include "zo/cuda/asker.hpp"
#include "zo/cuda/operations.hpp"
#include "zo/cuda/workspace.hpp"

namespace zo::cuda::detail {

/// Candidates that differ from x in one coordinate. With one row a slot stays a copy of x in which
/// a single coordinate is moved and put back.
template <class T>
struct coordinate_maker {
  coordinate_steps<T> steps;

  void begin(const place& at, index slots, T* to) const {
    if (steps.rows == 1) begin_slots(at, steps, slots, to);
  }
  void write(const place& at, index first, index count, T* to) const {
    if (steps.rows == 1) {
      move_coordinates(at, steps, first, count, false, to);
    } else {
      write_moved(at, steps, first, count, to);
    }
  }
  void restore(const place& at, index first, index count, T* to) const {
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
    zo::detail::require(
        on.options().step_counter == nullptr ||
            !std::holds_alternative<random_coordinates>(how.coordinates),
        "zo::cuda: random coordinates are drawn on the host, so a step counter cannot "
        "change them; use a list, a mask or all coordinates");
    if (chosen_.all) return;
    index* const list = memory.take<index>(room::list, chosen_.count());
    upload(on, chosen_.list.data(), chosen_.count(), list);
    steps_.list = list;
  }

  index count() const { return chosen_.count(); }
  index list_bytes() const { return chosen_.all ? 0 : 8 * chosen_.count(); }
  double scale() const { return chosen_.scale; }
  coordinate_steps<T> from(index first) const {
    coordinate_steps<T> some = steps_;
    some.first = first;
    return some;
  }

 private:
  zo::detail::chosen_coordinates chosen_;
  coordinate_steps<T> steps_;
};

template <class T, class F, difference_scheme S>
index estimate_rows(const policy& on, F& f, const row_problem<T>& problem, const cge<S>& how,
                    const estimate_options& options, workspace& memory) {
  const place at(on);
  const index rows = problem.rows;
  const cge_options& asked = how.options();
  const chosen_on_device<T> chosen(on, problem, asked, S::points, options, memory);
  const index group = group_of(rows, chosen.count(), S::points);
  const index own_bytes =
      chosen.list_bytes() + 8 * (tally::numbers(rows) + rows + group * S::points * rows + 3);
  asker<T, F> ask(on, f, problem, options, asked.failures, own_bytes, memory);
  double* const numbers = memory.take<double>(room::tally, tally::numbers(rows));
  report* const out = memory.take<report>(room::report, 1);
  double* const base = memory.take<double>(room::base, rows);
  double* const answers = memory.take<double>(room::answers, group * S::points * rows);
  ask.reserve(group * S::points * rows);
  fill_zero(at.stream, numbers, tally::numbers(rows) * 8);
  const tally known(numbers, rows);
  fill_zero(at.stream, problem.gradients, rows * problem.dimension * static_cast<index>(sizeof(T)));
  if constexpr (S::uses_base) {
    ask.ask_rows(base);
    count_failed(at, rows, base, known);
  }
  for (index first = 0; first < chosen.count(); first += group) {
    const index count = std::min(group, chosen.count() - first);
    const coordinate_steps<T> steps = chosen.from(first);
    ask.ask(coordinate_maker<T>{steps}, answers, count * S::points * rows);
    write_slopes(at, steps, count, answers, base, chosen.scale(), problem.gradients, known);
    if constexpr (!S::uses_base) add_answers(at, rows, count * S::points, answers, known);
  }
  const ending end{rows,         chosen.count(), asked.failures == on_failure::drop,
                   S::uses_base, S::uses_base,   false};
  close(at, end, known, base, out, problem.losses);
  mend(at, end, known, out, problem.dimension, problem.gradients);
  return ask.queries;
}

// CGE of an objective that answers differences.
template <class T, class F, difference_scheme S>
index estimate_probes(const policy& on, F& f, const row_problem<T>& problem, const cge<S>& how,
                      const estimate_options& options, workspace& memory) {
  const place at(on);
  const cge_options& asked = how.options();
  const sample_id sample = options.sample.value_or(options.step);
  const chosen_on_device<T> chosen(on, problem, asked, S::points, options, memory);
  const index group = group_of(1, chosen.count(), S::points);
  double* const numbers = memory.take<double>(room::tally, tally::numbers(1));
  fill_zero(at.stream, numbers, tally::numbers(1) * 8);
  const tally known(numbers, 1);
  double* const base = memory.take<double>(room::base, 1);
  double* const differences = memory.take<double>(room::answers, group * S::points);
  index* const coordinates = memory.take<index>(room::rows, group * S::points);
  T* const lengths = memory.take<T>(room::steps, group * S::points);
  report* const out = memory.take<report>(room::report, 1);
  fill_zero(at.stream, problem.gradients, problem.dimension * static_cast<index>(sizeof(T)));
  fill_nan(at.stream, base, 8);
  call_objective(
      asked.failures,
      [&] {
        f.prepare(span<const T>(problem.x, problem.dimension), span<double>(base, 1), at.stream,
                  sample);
      },
      [&] { fill_nan(at.stream, base, 8); });
  count_failed(at, 1, base, known);
  for (index first = 0; first < chosen.count(); first += group) {
    const index count = std::min(group, chosen.count() - first);
    const index probes = count * S::points;
    write_probes(at, chosen.from(first), count, coordinates, lengths);
    fill_nan(at.stream, differences, probes * 8);
    call_objective(
        asked.failures,
        [&] {
          f.probe(span<const index>(coordinates, probes), span<const T>(lengths, probes),
                  span<double>(differences, probes), at.stream);
        },
        [&] { fill_nan(at.stream, differences, probes * 8); });
    write_rises(at, count, S::points, coordinates, lengths, differences, chosen.scale(),
                problem.gradients, known);
  }
  const ending end{1, chosen.count(), asked.failures == on_failure::drop, true, true, false};
  close(at, end, known, base, out, problem.losses);
  mend(at, end, known, out, problem.dimension, problem.gradients);
  return 1 + chosen.count() * S::points;
}

}  // namespace zo::cuda::detail
