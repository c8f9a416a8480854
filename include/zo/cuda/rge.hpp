// RGE on the device: the run of zo/rge.hpp with every number in device memory. Nothing waits, so a
// failed query cannot end an estimate early: all queries are made, and the end says what they are
// worth.
#pragma once

#include <algorithm>

#include "zo/config.hpp"
#include "zo/cuda/asker.hpp"
#include "zo/cuda/operations.hpp"
#include "zo/cuda/workspace.hpp"
#include "zo/rge.hpp"

namespace zo::cuda::detail {

/// Candidates of some directions of every row.
template <class T>
struct direction_maker {
  row_directions directions;
  int sides = 1;
  double step = 0;
  const T* x = nullptr;
  index dimension = 0;

  void begin(const place&, index, T*) const {}
  void write(const place& at, index first, index count, T* to) const {
    write_candidates(at, directions, sides, step, x, dimension, first, count, to);
  }
  void restore(const place&, index, index, T*) const {}
};

template <class T, class F, distribution D, difference_scheme S>
class rge_run {
 public:
  rge_run(const policy& on, F& f, const row_problem<T>& problem, const rge<D, S>& how,
          const estimate_options& options, workspace& memory)
      : at_(on),
        problem_(problem),
        how_(how.options()),
        group_(std::min(how_.directions, std::max<index>(1, zo::detail::answers_at_once /
                                                                (problem.rows * S::points)))),
        memory_(memory),
        asker_(on, f, problem, options, how_.failures, own_bytes(), memory),
        step_(zo::detail::checked_step<T>(how_.smoothing)),
        directions_{D::law,
                    {options.seed, options.step, 0, purpose::direction},
                    how_.directions,
                    problem.rows,
                    nullptr} {
    zo::detail::check_row_directions(problem.rows, how_.directions);
  }

  /// Enqueues the estimate; returns the queries. The report lies in the workspace.
  index operator()() {
    const index rows = problem_.rows;
    double* const known_numbers = memory_.take<double>(room::tally, tally::numbers(rows));
    fill_zero(at_.stream, known_numbers, tally::numbers(rows) * 8);
    const tally known(known_numbers, rows);
    double* const base = memory_.take<double>(room::base, rows);
    double* const answers = memory_.take<double>(room::answers, group_ * S::points * rows);
    T* const weights = memory_.take<T>(room::weights, group_ * rows);
    report* const out = memory_.take<report>(room::report, 1);
    if constexpr (S::uses_base) {
      asker_.ask_rows(base);
      count_failed(at_, rows, base, known);
    }
    const double scale = D::scale(problem_.dimension) / static_cast<double>(how_.directions);
    for (index first = 0; first < how_.directions; first += group_) {
      const index count = std::min(group_, how_.directions - first);
      row_directions some = directions_;
      some.from.number = static_cast<std::uint32_t>(first);
      some.factors = factors(some, count);
      asker_.ask(direction_maker<T>{some, S::points, step_, problem_.x, problem_.dimension},
                 answers, count * S::points * rows);
      find_weights(at_, rows, count, S::points, answers, base, some.factors, scale, step_, weights,
                   known);
      if constexpr (!S::uses_base) add_answers(at_, rows, count * S::points, answers, known);
      combine(at_, some, count, weights, problem_.dimension, first == 0, problem_.gradients);
    }
    const ending end{rows,         how_.directions, how_.failures == on_failure::drop,
                     S::uses_base, S::uses_base,    true};
    close(at_, end, known, base, out, problem_.losses);
    mend(at_, end, known, out, problem_.dimension, problem_.gradients);
    return asker_.queries;
  }

 private:
  // Bytes beside candidates; for the bound that the user may have set.
  index own_bytes() const {
    const index rows = problem_.rows;
    const index norms = D::unit_norm ? group_ * rows + partial_numbers() : 0;
    return 8 * (tally::numbers(rows) + rows + group_ * S::points * rows + norms + 3) +
           static_cast<index>(sizeof(T)) * group_ * rows;
  }
  index partial_numbers() const {
    return std::min(norms_at_once(problem_.dimension), group_ * problem_.rows) *
           tiles(problem_.dimension);
  }

  const double* factors(const row_directions& some, index count) {
    if constexpr (D::unit_norm) {
      double* const found = memory_.take<double>(room::factors, group_ * problem_.rows);
      inverse_norms(at_, some, count, problem_.dimension,
                    memory_.take<double>(room::partial, partial_numbers()), found);
      return found;
    }
    return nullptr;
  }

  place at_;
  const row_problem<T>& problem_;
  const rge_options& how_;
  index group_;
  workspace& memory_;
  asker<T, F> asker_;
  double step_;
  row_directions directions_;
};

template <class T, class F, distribution D, difference_scheme S>
index estimate_rows(const policy& on, F& f, const row_problem<T>& problem, const rge<D, S>& how,
                    const estimate_options& options, workspace& memory) {
  return rge_run<T, F, D, S>(on, f, problem, how, options, memory)();
}

}  // namespace zo::cuda::detail
