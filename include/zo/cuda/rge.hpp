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
template <class T, direction_law L>
struct direction_maker {
  row_directions directions;
  int sides = 1;
  double step = 0;
  const T* x = nullptr;
  index_t dimension = 0;

  void begin(const stream_context&, index_t, T*) const {}
  void write(const stream_context& at, index_t first, index_t count, T* to) const {
    enqueue<L>(at, candidates<T>{directions, sides, step, x, dimension, first, count, to});
  }
  void restore(const stream_context&, index_t, index_t, T*) const {}
};

template <class T, class F, distribution D, difference_scheme S>
class rge_run {
 public:
  rge_run(const policy& on, F& f, const row_problem<T>& problem, const rge<D, S>& how,
          const estimate_options& options, workspace& memory)
      : at_(on),
        problem_(problem),
        how_(how.options()),
        watched_(memory.watched()),
        step_(zo::detail::checked_step<T>(how_.smoothing)),
        group_(group_of(problem.rows, how_.directions, S::points)),
        norms_(norms_at_once(memory)),
        asker_(on, f, problem, options, how_.failures, own_bytes(), memory),
        directions_{{options.seed, options.step, 0, purpose::direction},
                    how_.directions,
                    problem.rows,
                    nullptr} {
    zo::detail::check_row_directions(problem.rows, how_.directions);
    const index_t rows = problem.rows;
    known_ = memory.take<double>(room::tally, tally::numbers(rows));
    report_ = memory.take<report>(room::report, 1);
    base_ = memory.take<double>(room::base, rows);
    answers_ = memory.take<double>(room::answers, group_ * S::points * rows);
    weights_ = memory.take<T>(room::weights, group_ * rows);
    if constexpr (D::unit_norm) {
      factors_ = memory.take<double>(room::factors, group_ * rows);
      partial_ = memory.take<double>(room::norms, norms_ * tiles(problem.dimension));
    }
    asker_.reserve(group_ * S::points * rows);
  }

  /// Enqueues the estimate; returns the queries. The report lies in the workspace.
  index_t operator()() {
    const index_t rows = problem_.rows;
    fill_zero(at_.stream, known_, tally::numbers(rows) * 8);
    const tally known(known_, rows);
    find_faults(at_, rows, problem_.dimension,
                zo::detail::check_of<T>(D{}, step_, problem_.dimension), problem_.x, known);
    for (index_t first = 0; first < how_.directions; first += group_) {
      add_directions(first, std::min(group_, how_.directions - first), known);
    }
    const ending end{rows,         how_.directions, how_.failures == on_failure::drop,
                     S::uses_base, S::uses_base,    true,
                     watched_};
    check_gradients(at_, end, known, problem_.dimension, problem_.gradients);
    close(at_, end, known, base_, report_, problem_.losses);
    mend(at_, end, known, report_, problem_.dimension, problem_.gradients);
    return asker_.queries;
  }

 private:
  using law = typename D::law;

  void add_directions(index_t first, index_t count, const tally& known) {
    const index_t rows = problem_.rows, dimension = problem_.dimension;
    row_directions some = directions_;
    some.from.number = static_cast<std::uint32_t>(first);
    if constexpr (D::unit_norm) {
      inverse_norms<law>(at_, some, count, dimension, norms_, partial_, factors_);
      some.factors = factors_;
    }
    const index_t candidates = count * S::points * rows;
    double* const base = S::uses_base && first == 0 ? base_ : nullptr;
    asker_.ask(direction_maker<T, law>{some, S::points, step_, problem_.x, dimension}, base,
               answers_, candidates);
    if (base != nullptr) count_failed(at_, rows, base, known);
    const double scale = D::scale(dimension) / static_cast<double>(how_.directions);
    find_weights(at_, rows, count, S::points, answers_, base_, some.factors, scale, step_, weights_,
                 known);
    if constexpr (!S::uses_base) add_answers(at_, rows, count * S::points, answers_, known);
    enqueue<law>(
        at_, weighted_sums<T>{some, count, weights_, dimension, first == 0, problem_.gradients});
  }

  // Bytes of what grows with the problem, beside norms and candidates.
  index_t plain_bytes() const {
    const index_t rows = problem_.rows, factors = D::unit_norm ? group_ * rows : 0;
    return 8 * (tally::numbers(rows) + rows + group_ * S::points * rows + factors + 3) +
           static_cast<index_t>(sizeof(T)) * group_ * rows;
  }
  index_t own_bytes() const {
    return plain_bytes() + (D::unit_norm ? 8 * norms_ * tiles(problem_.dimension) : 0);
  }
  // Norms that are found together: some MiB of sums, and one candidate's place left beside them.
  index_t norms_at_once(const workspace& memory) const {
    const index_t candidate = problem_.dimension * static_cast<index_t>(sizeof(T));
    const index_t bytes = memory.left_of(index_t{16} << 20, plain_bytes() + candidate);
    return std::clamp(bytes / (8 * tiles(problem_.dimension)), index_t{1},
                      std::min(group_ * problem_.rows, most_norms));
  }

  stream_context at_;
  const row_problem<T>& problem_;
  const rge_options& how_;
  const unsigned long long* watched_;
  double step_;
  index_t group_, norms_;
  asker<T, F> asker_;
  row_directions directions_;
  double* known_ = nullptr;
  report* report_ = nullptr;
  double* base_ = nullptr;
  double* answers_ = nullptr;
  T* weights_ = nullptr;
  double* factors_ = nullptr;
  double* partial_ = nullptr;
};

template <class T, class F, distribution D, difference_scheme S>
index_t estimate_rows(const policy& on, F& f, const row_problem<T>& problem, const rge<D, S>& how,
                      const estimate_options& options, workspace& memory) {
  return rge_run<T, F, D, S>(on, f, problem, how, options, memory)();
}

}  // namespace zo::cuda::detail
