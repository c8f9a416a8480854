// Softmax attention, as the CPU has it: scores are bilinear in queries and keys, outputs in
// probabilities and values,
//   d(q k) = dq (k + dk) + q dk,   d(p v) = dp (v + dv) + p dv,
// and dp has the form of zo/nn/layer/attention.hpp. A thread makes a score, the probabilities of a
// position, or an output.
#include "zo/nn/layer/attention.hpp"

#include "cuda/nn/launches.hpp"
#include "zo/cuda/launch.hpp"

namespace zo::cuda::detail {

namespace {

// Of a sample and a head: a position and one that it attends to.
struct score_place {
  index_t sample;
  int head, from, to;
  __device__ score_place(const attention_shape& a, index_t item) {
    to = static_cast<int>(item % a.area);
    const index_t rest = item / a.area;
    from = static_cast<int>(rest % a.area);
    head = static_cast<int>(rest / a.area % a.heads);
    sample = rest / a.area / a.heads;
  }
};

// Queries, keys and values lie beside each other, each by heads.
enum kind : int { query, key, value };
struct operand {
  index_t row;
  int channel;  // the first one of a head
  __device__ operand(const attention_shape& a, kind of, index_t sample, int position, int head)
      : row(sample * a.area + position), channel((of * a.heads + head) * a.size) {}
  template <class T>
  __device__ T at(const attention_shape& a, const T* x, int c) const {
    return x[row * a.in_channels() + channel + c];
  }
  template <class T>
  __device__ T at(const change<T>& d, index_t probe, int c) const {
    return d.at(probe, row, channel + c);
  }
};

template <class T>
struct score_piece {
  attention_shape a;
  const T* x;
  T* scores;
  __device__ void operator()(index_t item) const {
    const score_place at(a, item);
    if (at.to >= a.seen(at.from)) return;
    const operand q(a, query, at.sample, at.from, at.head), k(a, key, at.sample, at.to, at.head);
    T sum = 0;
    for (int c = 0; c < a.size; ++c) sum += q.at(a, x, c) * k.at(a, x, c);
    scores[item] = sum * static_cast<T>(a.scale());
  }
};

template <class T>
struct numbers_of {
  const T* from;
  __device__ double operator()(index_t j) const { return static_cast<double>(from[j]); }
};

// log_p has the scores before.
template <class T>
struct softmax_piece {
  attention_shape a;
  T *p, *log_p;
  struct put {
    T *p, *log_p;
    __device__ void operator()(index_t j, double found, double logarithm) const {
      p[j] = static_cast<T>(found);
      log_p[j] = static_cast<T>(logarithm);
    }
  };
  __device__ void operator()(index_t row) const {
    T* const own = log_p + row * a.area;
    nn::detail::softmax_of(a.seen(static_cast<int>(row % a.area)), numbers_of<T>{own},
                           put{p + row * a.area, own});
  }
};

// Of an output number: the head's probabilities from its position on.
struct output_place {
  index_t sample, probabilities;
  int position, head, channel;  // of the head
  __device__ output_place(const attention_shape& a, index_t item) {
    const int width = a.heads * a.size, own = static_cast<int>(item % width);
    const index_t row = item / width;
    sample = row / a.area;
    position = static_cast<int>(row % a.area);
    head = own / a.size;
    channel = own % a.size;
    probabilities = ((sample * a.heads + head) * a.area + position) * a.area;
  }
};

template <class T>
struct attended_piece {
  attention_shape a;
  const T *x, *p;
  T* out;
  __device__ void operator()(index_t item) const {
    const output_place at(a, item);
    T sum = 0;
    for (int j = 0; j < a.seen(at.position); ++j) {
      const operand v(a, value, at.sample, j, at.head);
      sum += p[at.probabilities + j] * v.at(a, x, at.channel);
    }
    out[item] = sum;
  }
};

// ---- differences ----

template <class T>
struct score_change_piece {
  attention_shape a;
  index_t items;
  change<T> d;
  const T* x;
  T* changes;
  __device__ void operator()(index_t probe, index_t item) const {
    const score_place at(a, item);
    if (at.to >= a.seen(at.from)) return;
    const operand q(a, query, at.sample, at.from, at.head), k(a, key, at.sample, at.to, at.head);
    T sum = 0;
    for (int c = 0; c < a.size; ++c) {
      sum += q.at(d, probe, c) * (k.at(a, x, c) + k.at(d, probe, c));
    }
    for (int c = 0; c < a.size; ++c) sum += q.at(a, x, c) * k.at(d, probe, c);
    changes[probe * items + item] = sum * static_cast<T>(a.scale());
  }
};

// Differences of scores become those of probabilities.
template <class T>
struct probability_change_piece {
  attention_shape a;
  index_t rows;
  const T* log_p;
  T* changes;
  __device__ void operator()(index_t probe, index_t row) const {
    T* const own = changes + (probe * rows + row) * a.area;
    const numbers_of<T> logarithm{log_p + row * a.area}, by{own};
    const int seen = a.seen(static_cast<int>(row % a.area));
    const double growth = nn::detail::softmax_growth(seen, logarithm, by);
    for (int j = 0; j < seen; ++j) {
      own[j] = static_cast<T>(nn::detail::weight_difference(logarithm(j), by(j) - growth));
    }
  }
};

template <class T>
struct attended_change_piece {
  attention_shape a;
  index_t items, scores;  // of a probe
  change<T> d;
  const T *x, *p, *changes;
  sink<T> out;
  __device__ void operator()(index_t probe, index_t item) const {
    const output_place at(a, item);
    const T* const moved = changes + probe * scores + at.probabilities;
    T sum = 0;
    for (int j = 0; j < a.seen(at.position); ++j) {
      const operand v(a, value, at.sample, j, at.head);
      const T by = v.at(d, probe, at.channel);
      sum += moved[j] * (v.at(a, x, at.channel) + by);
      sum += p[at.probabilities + j] * by;
    }
    out.put(probe * items + item, sum);
  }
};

}  // namespace

template <class T>
void attention_values(cudaStream_t stream, index_t samples, const attention_shape& a,
                      const attention_base<T>& base, const T* x, T* out) {
  for_items(stream, samples * a.scores(), score_piece<T>{a, x, base.log_p}, values_launch);
  for_items(stream, samples * a.heads * a.area, softmax_piece<T>{a, base.p, base.log_p},
            values_launch);
  for_items(stream, samples * a.area * a.heads * a.size, attended_piece<T>{a, x, base.p, out},
            values_launch);
}
ZO_BOTH_TYPES(attention_values);

template <class T>
void attention_changes(cudaStream_t stream, index_t probes, index_t samples,
                       const attention_shape& a, const attention_base<T>& base, const change<T>& d,
                       const T* x, T* changes, const sink<T>& out) {
  const index_t scores = samples * a.scores(), rows = samples * a.heads * a.area;
  const index_t items = samples * a.area * a.heads * a.size;
  for_rows(stream, probes, scores, score_change_piece<T>{a, scores, d, x, changes}, changes_launch);
  for_rows(stream, probes, rows, probability_change_piece<T>{a, rows, base.log_p, changes},
           changes_launch);
  for_rows(stream, probes, items,
           attended_change_piece<T>{a, items, scores, d, x, base.p, changes, out}, changes_launch);
}
ZO_BOTH_TYPES(attention_changes);

}  // namespace zo::cuda::detail
