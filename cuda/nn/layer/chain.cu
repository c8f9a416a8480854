// Differences of batch norms, sums and ReLUs that follow one another, in one launch.
#include "cuda/nn/launches.hpp"
#include "cuda/nn/place.hpp"
#include "cuda/nn/words.hpp"
#include "zo/cuda/launch.hpp"
#include "zo/nn/layer/batch_norm.hpp"
#include "zo/nn/layer/relu.hpp"

namespace zo::cuda::detail {

namespace {

constexpr int probes_of_a_thread = 4;
constexpr index_t probe_groups(index_t probes) {
  return (probes + probes_of_a_thread - 1) / probes_of_a_thread;
}

// A result of one channel, or one of all channels where an operand has a single one.
template <class T>
struct chain_piece {
  chain<T> c;
  index_t probes, rows;
  int channels;

  __device__ void operator()(index_t group, index_t item) const {
    const index_t first = group * probes_of_a_thread;
    if (c.how == extent::channel) {
      for (index_t k = first; k < first + probes_of_a_thread && k < probes; ++k) {
        const int channel = c.main.how == extent::channel ? c.main.channel(k) : c.other.channel(k);
        const index_t at = item * channels + channel;
        c.out.put(k * rows + item, value(k, item, channel, centred(at, channel), before(at)));
      }
      return;
    }
    const place_of_item at(item, channels);
    const T middle = centred(item, at.low), was = before(item);
    for (index_t k = first; k < first + probes_of_a_thread && k < probes; ++k) {
      c.out.put(k * rows * channels + item, value(k, at.high, at.low, middle, was));
    }
  }
  __device__ T centred(index_t at, int channel) const {
    return c.normed ? c.x[at] - c.centre[channel] : T(0);
  }
  __device__ T before(index_t at) const { return c.before == nullptr ? T(0) : c.before[at]; }
  __device__ T value(index_t k, index_t row, int channel, T middle, T was) const {
    T e = c.main.at(k, row, channel);
    const bool reached = c.main.how == extent::full ||
                         (c.main.how == extent::channel && channel == c.main.channel(k));
    if (c.normed && reached) {
      e = nn::detail::norm_difference(c.responses.at(k, channel), middle, e);
    }
    e += c.other.at(k, row, channel);
    return c.before == nullptr ? e : nn::detail::relu_difference(was, e);
  }
};

// All channels throughout, four at a time: nearly all of the memory that differences take is read
// and written here. A thread takes a few rows of a few probes, so that base values and responses
// are read once for several numbers; of a probe it reads everything before it writes.
template <class T>
struct wide_chain_piece {
  static constexpr int wide = 4, rows_of_a_thread = 4;
  using numbers = several<T, wide>;

  chain<T> c;
  index_t probes, rows;
  int channels;

  ZO_HD index_t blocks() const { return (rows + rows_of_a_thread - 1) / rows_of_a_thread; }

  __device__ void operator()(index_t group, index_t item) const {
    const place_of_item at(item, channels / wide);  // the first row, and the channels
    const int channel = at.low * wide;
    const index_t step = blocks() * channels;  // to the next row of this thread
    const index_t first = static_cast<index_t>(at.high) * channels + channel,
                  size = rows * channels;
    numbers middle[rows_of_a_thread] = {}, was[rows_of_a_thread] = {};
    for (int r = 0; r < rows_of_a_thread; ++r) {
      const index_t i = first + r * step;
      if (i >= size) continue;
      if (c.normed) middle[r] = load_several<wide>(c.x + i);
      if (c.before != nullptr) was[r] = load_several<wide>(c.before + i);
    }
    if (c.normed) {
      const numbers centre = load_several<wide>(c.centre + channel);
      for (numbers& m : middle) {
        for (int n = 0; n < wide; ++n) m.value[n] -= centre.value[n];
      }
    }
    const index_t last = group * probes_of_a_thread + probes_of_a_thread;
    for (index_t k = group * probes_of_a_thread; k < last && k < probes; ++k) {
      follow(k, k * size + first, step, (k + 1) * size, channel, middle, was);
    }
  }
  // Numbers first, first + step, … before `end`.
  __device__ void follow(index_t probe, index_t first, index_t step, index_t end, int channel,
                         const numbers (&middle)[rows_of_a_thread],
                         const numbers (&was)[rows_of_a_thread]) const {
    numbers main[rows_of_a_thread], other[rows_of_a_thread], scale{}, slope{}, shift{}, rest{};
    for (int r = 0; r < rows_of_a_thread; ++r) {
      if (first + r * step >= end) continue;
      main[r] = load_several<wide>(c.main, first + r * step);
      other[r] = load_several<wide>(c.other, first + r * step);
    }
    if (c.normed) {
      const T* const from = c.responses.numbers + probe * c.responses.probe_step + channel;
      scale = load_several<wide>(from);
      slope = load_several<wide>(from + c.responses.plane);
      shift = load_several<wide>(from + shift_plane * c.responses.plane);
      rest = load_several<wide>(from + 3 * c.responses.plane);
    }
    for (int r = 0; r < rows_of_a_thread; ++r) {
      if (first + r * step >= end) continue;
      for (int n = 0; n < wide; ++n) {
        T& e = main[r].value[n];
        if (c.normed) {
          e = nn::detail::norm_difference(
              {scale.value[n], slope.value[n], shift.value[n], rest.value[n]}, middle[r].value[n],
              e);
        }
        e += other[r].value[n];
        if (c.before != nullptr) e = nn::detail::relu_difference(was[r].value[n], e);
      }
      put_several(c.out, first + r * step, main[r]);
    }
  }
};

}  // namespace

template <class T>
void follow_chain(cudaStream_t stream, index_t probes, const chain<T>& c) {
  const change<T>& any = c.main.how == extent::none ? c.other : c.main;
  const index_t items = any.rows * (c.how == extent::channel ? 1 : any.all_channels);
  using wide = wide_chain_piece<T>;
  const bool whole = c.main.how != extent::channel && c.other.how != extent::channel &&
                     (!c.normed || c.main.how == extent::full);
  if (whole && any.all_channels % wide::wide == 0) {
    const wide piece{c, probes, any.rows, any.all_channels};
    for_rows(stream, probe_groups(probes), piece.blocks() * (any.all_channels / wide::wide), piece,
             changes_launch);
    return;
  }
  for_rows(stream, probe_groups(probes), items,
           chain_piece<T>{c, probes, any.rows, any.all_channels}, changes_launch);
}
ZO_BOTH_TYPES(follow_chain);

}  // namespace zo::cuda::detail
