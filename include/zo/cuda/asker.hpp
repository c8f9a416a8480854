// Asks device objectives at points that a maker describes, in chunks that fit in memory.
#pragma once

#include <algorithm>
#include <concepts>
#include <exception>
#include <span>
#include <string>
#include <vector>

#include "zo/config.hpp"
#include "zo/cuda/device_code.hpp"
#include "zo/cuda/objective.hpp"
#include "zo/cuda/operations.hpp"
#include "zo/cuda/workspace.hpp"
#include "zo/objective.hpp"
#include "zo/rge.hpp"
#include "zo/team.hpp"

namespace zo::cuda::detail {

using zo::detail::row_problem;  // here in device memory; losses may be null

// Calls an objective of the host. Its exceptions count as they do on the CPU, but for those of
// CUDA: they and errors that it leaves behind, such as a launch of its own that failed, are no
// answers.
template <class Call, class Thrown>
void call_objective(on_failure failures, const Call& call, const Thrown& thrown) {
  const cudaError_t before = cudaPeekAtLastError();
  try {
    call();
  } catch (const error&) {
    throw;
  } catch (const std::exception&) {
    if (failures == on_failure::stop) throw;
    thrown();
  }
  const cudaError_t after = cudaPeekAtLastError();
  if (after == cudaSuccess || after == before) return;
  cudaGetLastError();
  throw error(std::string("zo::cuda: the objective has left a CUDA error behind: ") +
                  cudaGetErrorString(after) + " (" + cudaGetErrorName(after) + ")",
              after);
}

// Throws unless all processes of a team, if there is one, make the same estimate.
template <class T, class How>
void agree_on_estimate(const policy& on, span<const T> x, index_t rows, const How& how,
                       const estimate_options& options) {
  if (on.team() == nullptr) return;
  zo::detail::agree_on_estimate<T>(*on.team(), x.size(), rows, how, options,
                                   [&on, x] { return fingerprint_of(on, x); });
}

// The lazy half is in zo/cuda/lazy.hpp, where device code is compiled: losses[j - first] of the
// candidates first … first+count-1, of which none is in memory.
template <class T, class F, class Maker>
void ask_lazily(const stream_context& at, const F& f, const Maker& maker, sample_id sample,
                index_t first, index_t count, double* partial, double* losses);

// x itself, as lazy objectives are asked at it.
template <class T>
struct plain_point {
  const T* x;
  index_t dimension;
};

// A maker, as ask() needs it:
//   maker.begin(at, slots, buffer)             once
//   maker.write(at, first, count, buffer)      candidates first … first+count-1
//   maker.restore(at, first, count, buffer)    undoes it where the next write would not
// and as ask_lazily() knows it.
template <class T, class F>
class asker {
 public:
  // `others`: bytes that the estimate takes beside candidates and the rows of candidates.
  asker(const policy& on, F& f, const row_problem<T>& problem, const estimate_options& options,
        on_failure failures, index_t others, workspace& memory)
      : on_(on),
        at_(on),
        f_(f),
        problem_(problem),
        sample_(options.sample.value_or(options.step)),
        failures_(failures),
        memory_(memory) {
    static_assert(
        ZO_DEVICE_CODE || !lazy,
        "zo::cuda: a lazy objective runs on the GPU: compile this file with nvcc (name it "
        "*.cu), or hand in a batch objective f(points, losses, stream)");
    const index_t dimension = problem.dimension;
    if constexpr (lazy) {
      constexpr index_t bytes_at_once = index_t{16} << 20, most_at_once = 65535;
      const index_t bytes = zo::detail::slices(dimension) * static_cast<index_t>(sizeof(double));
      slots_ = std::clamp(memory.left_of(bytes_at_once, others) / bytes, index_t{1}, most_at_once);
    } else {
      const index_t bytes = dimension * static_cast<index_t>(sizeof(T)) +
                            (rowwise_objective<F, T> ? static_cast<index_t>(sizeof(index_t)) : 0);
      slots_ = std::max<index_t>(1, memory.left_of(options.chunk_bytes, others) / bytes);
    }
  }

  // Takes the memory for asking `count` candidates at a time, before anything is asked.
  void reserve(index_t count) {
    slots_ = std::min(slots_, std::max(count, problem_.rows));
    if constexpr (lazy) {
      partial_ =
          memory_.take<double>(room::partial, slots_ * zo::detail::slices(problem_.dimension));
    } else {
      candidates_ = memory_.take<T>(room::candidates, std::min(slots_, count) * problem_.dimension);
      if constexpr (rowwise_objective<F, T>) rows_ = memory_.take<index_t>(room::rows, slots_);
    }
  }

  // base[b] = objective at row b of x, unless `base` is null, and losses[j] = objective at
  // candidate j, for j = 0 … count-1; NaN where no answer was written.
  template <class Maker>
  void ask(const Maker& maker, double* base, double* losses, index_t count) {
    const index_t rows = base == nullptr ? 0 : problem_.rows;
    queries += rows + count;
    if (on_.team() != nullptr) {
      ask_share(maker, base, rows, losses, count);
      return;
    }
    if (rows > 0) ask_rows({0, rows}, base);
    ask_candidates(maker, {0, count}, losses);
  }

  // losses[b] = objective at row b of x.
  void ask_rows(double* losses) {
    ask(plain_point<T>{problem_.x, problem_.dimension}, losses, nullptr, 0);
  }

  index_t queries = 0;

 private:
  static constexpr bool lazy =
      !batch_objective<F, T> && !rowwise_objective<F, T> && lazy_objective<F, T>;

  using range = zo::detail::share_range;

  template <class Maker>
  void ask_candidates(const Maker& maker, range asked, double* losses) {
    const index_t slots = std::min(slots_, asked.count());
    if (slots <= 0) return;
    if constexpr (lazy) {
      for (index_t first = asked.first; first < asked.end; first += slots) {
        ask_lazily<T>(at_, f_, maker, sample_, first, std::min(slots, asked.end - first), partial_,
                      losses + first);
      }
    } else if constexpr (!std::same_as<Maker, plain_point<T>>) {
      maker.begin(at_, slots, candidates_);
      for (index_t first = asked.first; first < asked.end; first += slots) {
        const index_t here = std::min(slots, asked.end - first);
        maker.write(at_, first, here, candidates_);
        call(candidates_, first, here, losses + first);
        maker.restore(at_, first, here, candidates_);
      }
    }
  }

  // The rows themselves are handed over, nothing is copied.
  void ask_rows(range asked, double* losses) {
    if constexpr (lazy) {
      ask_candidates(plain_point<T>{problem_.x, problem_.dimension}, asked, losses);
    } else {
      for (index_t first = asked.first; first < asked.end; first += slots_) {
        call(problem_.x + first * problem_.dimension, first, std::min(slots_, asked.end - first),
             losses + first);
      }
    }
  }

  // This process's share of rows and candidates, and the answers of the others'.
  template <class Maker>
  void ask_share(const Maker& maker, double* base, index_t rows, double* losses, index_t count) {
    std::vector<double> answers(static_cast<std::size_t>(rows + count));
    zo::detail::ask_share(*on_.team(), answers, [&](index_t first, std::span<double> mine) {
      const index_t end = first + static_cast<index_t>(mine.size());
      const range of_rows{std::min(first, rows), std::min(end, rows)};
      const range of_candidates{std::max(first, rows) - rows, std::max(end, rows) - rows};
      ask_rows(of_rows, base);
      ask_candidates(maker, of_candidates, losses);
      copy_to_host(on_, base + of_rows.first, of_rows.count() * 8, mine.data());
      copy_to_host(on_, losses + of_candidates.first, of_candidates.count() * 8,
                   mine.data() + of_rows.count());
    });
    copy_to_device(on_, answers.data(), rows * 8, base);
    copy_to_device(on_, answers.data() + rows, count * 8, losses);
  }

  void call(const T* candidates, index_t first, index_t count, double* losses) {
    const points<T> chunk{{candidates, count * problem_.dimension}, count, problem_.dimension};
    const span<double> answers(losses, count);
    const index_t bytes = count * static_cast<index_t>(sizeof(double));
    fill_nan(at_.stream, losses, bytes);  // an answer that is never written is a failed one
    if constexpr (rowwise_objective<F, T>) write_rows(at_, first, count, problem_.rows, rows_);
    call_objective(
        failures_,
        [&] {
          if constexpr (rowwise_objective<F, T>) {
            f_(chunk, span<const index_t>(rows_, count), answers, at_.stream);
          } else if constexpr (sampled_batch_objective<F, T>) {
            f_(chunk, answers, at_.stream, sample_);
          } else {
            f_(chunk, answers, at_.stream);
          }
        },
        [&] { fill_nan(at_.stream, losses, bytes); });
  }

  const policy& on_;
  stream_context at_;
  F& f_;
  const row_problem<T>& problem_;
  sample_id sample_;
  on_failure failures_;
  workspace& memory_;
  index_t slots_ = 1;
  T* candidates_ = nullptr;
  double* partial_ = nullptr;
  index_t* rows_ = nullptr;
};

}  // namespace zo::cuda::detail
