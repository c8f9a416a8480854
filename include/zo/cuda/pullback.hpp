// The vector-Jacobian product of a black box on the device: zo::pullback for rows in device memory.
#pragma once

#include <algorithm>
#include <span>
#include <type_traits>
#include <vector>

#include "zo/config.hpp"
#include "zo/cuda/estimate.hpp"
#include "zo/cuda/memory.hpp"
#include "zo/cuda/objective.hpp"
#include "zo/cuda/operations.hpp"
#include "zo/cuda/policy.hpp"
#include "zo/cuda/vector_map.hpp"
#include "zo/cuda/workspace.hpp"
#include "zo/error.hpp"
#include "zo/estimator.hpp"
#include "zo/pullback.hpp"
#include "zo/shared.hpp"

namespace zo {

namespace cuda::detail {

// A map asked as an objective of rows: an answer is worth <v_b, answer - y_b>.
template <class T, class F>
class paired_map {
 public:
  paired_map(const policy& on, F& f, const points<T>& v, index_t rows, span<T> y, sample_id sample)
      : on_(on),
        map_(on, f, v.dimension, sample),
        v_(v.data.data()),
        per_row_(v.count == 1 ? 0 : v.dimension),
        rows_(rows),
        y_(y.data()) {}

  // For the machine.
  index_t bytes_a_candidate() const { return map_.bytes_a_candidate(); }
  void reserve(workspace& memory, index_t candidates) {
    at_once_ = candidates;
    answers_ = memory.take<T>(room::maps, candidates * map_.outputs());
    if constexpr (map::by_rows) mapped_ = memory.take<index_t>(room::mapped, candidates);
  }
  void operator()(const points<T>& candidates, span<const index_t> rows, span<double> worth,
                  cudaStream_t) {
    map_.ask(candidates, rows, answers_);
    const vector_answers<T> work{
        candidates.count, map_.outputs(), rows.data(), answers_, v_, per_row_, y_};
    pair_answers<T>(on_, work, worth.data());
  }

  // y = F at the rows of x, asked by all processes together.
  void ask_at_rows(const points<T>& x, on_failure failures, workspace& memory) {
    if (at_once_ == 0) reserve(memory, 1);
    map_.ask_together(rows_, y_, [&](index_t begin, index_t count) {
      // The rows themselves are handed over, nothing is copied.
      for (index_t first = begin; first < begin + count; first += at_once_) {
        const index_t here = std::min(at_once_, begin + count - first);
        const points<T> chunk{x.data.subspan(first * x.dimension, here * x.dimension), here,
                              x.dimension};
        if constexpr (map::by_rows) write_rows(on_, first, here, rows_, mapped_);
        map_.ask(chunk, {mapped_, here}, y_ + first * map_.outputs(), failures);
      }
    });
  }

 private:
  using map = asked_map<T, F>;

  const policy& on_;
  map map_;
  const T* v_;
  index_t per_row_;
  index_t rows_;  // of x
  T* y_;
  index_t at_once_ = 0;
  T* answers_ = nullptr;
  index_t* mapped_ = nullptr;
};

template <class T>
void check_pullback(const policy& on, const points<T>& x, const points<T>& v,
                    const estimate_options& options, span<T> y, span<T> gradients,
                    span<const T> known_y) {
  using zo::detail::require;
  constexpr const char* who = "zo::pullback";
  zo::detail::check_dimension(who, x.dimension);
  zo::detail::check_options(who, options);
  require(options.known_values.empty(), who,
          ": known_values are losses; hand answers that are known in as known_y");
  require(x.count >= 1, who, ": x has no rows; give at least 1");
  const index_t numbers = zo::detail::checked_product(who, x.count, x.dimension);
  require(x.data.size() == numbers, who, ": x of ", x.count, " rows of ", x.dimension, " needs ",
          numbers, " numbers, got ", x.data.size());
  require(v.dimension >= 1, who, ": v must have at least 1 number, as many as y");
  require(v.count == 1 || v.count == x.count, who, ": v must have one row, or as many as x, got ",
          v.count, " and ", x.count);
  const index_t answers = zo::detail::checked_product(who, x.count, v.dimension);
  require(v.data.size() == v.count * v.dimension, who, ": v of ", v.count, " rows of ", v.dimension,
          " needs ", v.count * v.dimension, " numbers, got ", v.data.size());
  require(gradients.size() == numbers && y.size() == answers, who,
          ": gradients and y must have room for ", numbers, " and ", answers, " numbers, got ",
          gradients.size(), " and ", y.size());
  require(known_y.size() == 0 || known_y.size() == answers, who, ": known_y must be empty or have ",
          answers, " numbers, got ", known_y.size());
  require(apart(gradients, x.data) && apart(gradients, v.data) && apart(gradients, known_y), who,
          ": gradients must not overlap x, v or known_y");
  require(apart(y, gradients) && apart(y, x.data) && apart(y, v.data), who,
          ": y must not overlap gradients, x or v");
  require(known_y.data() == y.data() || apart(y, known_y), who,
          ": known_y must be y itself or apart from it");
  check_device_pointer(on, who, "x", x.data.data());
  check_device_pointer(on, who, "v", v.data.data());
  check_device_pointer(on, who, "y", y.data());
  check_device_pointer(on, who, "gradients", gradients.data());
  if (known_y.size() > 0) check_device_pointer(on, who, "known_y", known_y.data());
}

// As processes with a CPU have it.
template <class T, class How>
void agree_on_pullback(const policy& on, const points<T>& x, const points<T>& v, const How& how,
                       const estimate_options& options, span<const T> known_y) {
  zo::detail::agree_on_estimate<T>(
      on.team(), x.data.size(), x.count,
      [&](zo::detail::fingerprint& print) {
        print.add("zo::pullback").add(v.dimension).add(known_y.size() == 0);
        zo::detail::describe(how, print);
      },
      options,
      [&] {
        zo::detail::fingerprint print;
        const auto add = [&](span<const T> some) {
          std::vector<T> host(static_cast<std::size_t>(some.size()));
          copy_to_host(on, some.data(), some.size() * static_cast<index_t>(sizeof(T)), host.data());
          print.add(std::span<const T>(host));
        };
        add(x.data);
        add(v.data);
        add(known_y);
        return print.value();
      });
}

}  // namespace cuda::detail

/// Enqueues estimates of J(x_b)ᵀ v_b for B rows x_b of n numbers, all in device memory: see
/// zo::pullback of zo/pullback.hpp. v is B x m or one row for all, `y` (B x m: F at the rows) and
/// `gradients` (B x n) are the caller's. With `known_y`, which may be y itself, F is not asked at
/// the rows. Waits for nothing; can be captured into a graph.
///
/// Gradients have the bits of zo::seq wherever F answers the same numbers. Differences to the CPU:
/// all queries are made, a number of v that is not finite is a failed query, and the `value` of the
/// report says nothing. Memory: candidates and their answers of `chunk_bytes` together (at least
/// one), some numbers a query. Throws std::invalid_argument for bad sizes and options,
/// zo::cuda::error for failed CUDA calls.
template <class F, class T, class How>
requires cuda::vector_map<std::remove_reference_t<F>, T> &&
    estimator_on<How, cuda::machine<T, cuda::detail::paired_map<T, std::remove_reference_t<F>>>>
        cuda::pending_estimate pullback(const cuda::policy& on, F&& f, const cuda::points<T>& x,
                                        const std::type_identity_t<cuda::points<T>>& v,
                                        const How& how, const estimate_options& options,
                                        cuda::span<std::type_identity_t<T>> y,
                                        cuda::span<std::type_identity_t<T>> gradients,
                                        cuda::workspace& memory,
                                        cuda::span<const std::type_identity_t<T>> known_y = {}) {
  using paired = cuda::detail::paired_map<T, std::remove_reference_t<F>>;
  constexpr const char* who = "zo::pullback";
  cuda::detail::check_pullback<T>(on, x, v, options, y, gradients, known_y);
  detail::require(memory.on().stream() == on.stream(), who,
                  ": the workspace belongs to another stream; make one a stream");
  const detail::in_use::hold alone(who, memory.use());
  cuda::detail::agree_on_pullback<T>(on, x, v, how, options, known_y);

  const bool asks = known_y.size() == 0;
  paired answers(on, f, v, x.count, y, options.sample.value_or(options.step));
  cuda::machine<T, paired> here(on, answers, memory);
  // Forward differences start from <v, y_b - y_b>.
  const std::vector<double> known(static_cast<std::size_t>(x.count), 0.0);
  estimate_options own = options;
  own.known_values = known;
  auto run = how.start(here);
  here.begin(own);
  run.begin({x.data.data(), x.count, x.dimension, gradients.data(), nullptr}, own);
  if (asks) {
    answers.ask_at_rows(x, detail::failures_of(how), memory);
  } else if (known_y.data() != y.data()) {
    cuda::detail::copy_on_device(on.stream(), known_y.data(),
                                 y.size() * static_cast<index_t>(sizeof(T)), y.data());
  }
  cuda::detail::spoil_failed(on, x.count, v.dimension, y.data());
  while (run.pose()) here.ask();
  run.end();
  // A row that failed at x has failed once, not at every candidate that is NaN for it.
  auto* const report = memory.take<cuda::detail::report>(cuda::detail::room::report, 1);
  cuda::detail::count_rows(on, x.count, v.dimension, here.queries() / x.count, asks, y.data(),
                           report);
  return {on, here.queries() + (asks ? x.count : 0), report};
}

}  // namespace zo
