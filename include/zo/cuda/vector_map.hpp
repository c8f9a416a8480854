// How a map with vector answers is asked on the device: what zo::pullback and zo::jacobian share.
#pragma once

#include <vector>

#include "zo/config.hpp"
#include "zo/cuda/machine.hpp"
#include "zo/cuda/memory.hpp"
#include "zo/cuda/objective.hpp"
#include "zo/cuda/policy.hpp"
#include "zo/objective.hpp"
#include "zo/outcome.hpp"
#include "zo/vector_map.hpp"

namespace zo::cuda::detail {

template <class T, class F>
class asked_map {
 public:
  static constexpr bool by_rows = rowwise_map<F, T>;

  asked_map(const policy& on, F& f, index_t outputs, sample_id sample)
      : on_(on), f_(f), outputs_(outputs), sample_(sample) {}

  index_t outputs() const { return outputs_; }
  index_t bytes(index_t answers) const {
    return answers * outputs_ * static_cast<index_t>(sizeof(T));
  }
  // Of an answer, and of the number of its row.
  index_t bytes_a_candidate() const { return bytes(1) + (by_rows ? 8 : 0); }

  // to = F at the candidates, of these rows; NaN where no answer was written.
  void ask(const points<T>& candidates, span<const index_t> rows, T* to) const {
    const cudaStream_t stream = on_.stream();
    const span<T> ys(to, candidates.count * outputs_);
    fill_nan(stream, to, bytes(candidates.count));
    if constexpr (by_rows) {
      f_(candidates, rows, ys, stream);
    } else if constexpr (sampled_batch_map<F, T>) {
      f_(candidates, ys, stream, sample_);
    } else {
      f_(candidates, ys, stream);
    }
  }
  // The same where an exception may be a failed query.
  void ask(const points<T>& candidates, span<const index_t> rows, T* to,
           on_failure failures) const {
    call_objective(
        failures, [&] { ask(candidates, rows, to); },
        [&] { fill_nan(on_.stream(), to, bytes(candidates.count)); });
  }

  // Answers 0 … count-1 in `to`, of which each process asks its share: some(first, count).
  template <class Some>
  void ask_together(index_t count, T* to, const Some& some) const {
    if (on_.team() == nullptr) {
      some(index_t{0}, count);
      return;
    }
    std::vector<T> host(static_cast<std::size_t>(count * outputs_));
    zo::detail::ask_vectors(
        on_.team(), count, outputs_, host.data(), [&](index_t first, index_t here) {
          some(first, here);
          copy_to_host(on_, to + first * outputs_, bytes(here), host.data() + first * outputs_);
        });
    copy_to_device(on_, host.data(), bytes(count), to);
  }

 private:
  const policy& on_;
  F& f_;
  index_t outputs_;
  sample_id sample_;
};

}  // namespace zo::cuda::detail
