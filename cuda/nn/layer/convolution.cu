// Convolutions and linear maps of values and differences, by fused multiply-adds in the order of
// taps, then input channels.
#include "cuda/nn/begin.hpp"
#include "cuda/nn/place.hpp"
#include "cuda/nn/words.hpp"

namespace zo::cuda::detail {

namespace {

constexpr const char* launch = "launching a convolution";

template <class T>
struct arrange_piece {
  int in, out_channels, taps;
  const T* weights;
  T* out;
  __device__ void operator()(index_t item) const {
    const place_of_item row(item, out_channels), tap(row.high, in);
    out[item] = weights[(static_cast<index_t>(row.low) * in + tap.low) * taps + tap.high];
  }
};

// A step of a weight moves its output channel by that of an input channel, at one tap.
template <class T>
struct weight_step {
  window w;
  const T* x;
  __device__ int channel(int element) const {
    return place_of_item(element, w.in_channels * w.taps()).high;
  }
  __device__ T difference(int element, int row, T step) const {
    const place_of_item of_channel(element, w.in_channels * w.taps());
    const place_of_item from(of_channel.low, w.taps()), tap(from.low, w.width);
    const window_place at(w, row);
    const int y = at.top + tap.high, left = at.left + tap.low;
    if (y < 0 || y >= w.in_height || left < 0 || left >= w.in_width) return T(0);
    const index_t in = at.in_row(w, tap.high, tap.low);
    return step * x[in * w.in_channels + from.high];
  }
};

// A few rows of neighbouring output channels, so that each number is read once for several
// products; Ins input channels are read together. Rows of all probes. A sum has the same order
// whatever Outs and Ins are.
template <class T, int Outs, int Ins>
struct full_piece {
  static constexpr int rows_of_a_thread = 4;

  window w;
  index_t rows;
  change<T> d;
  const T *weights, *bias;
  sink<T> out;

  __device__ void operator()(index_t item) const {
    const int blocks = w.out_channels / Outs;
    const index_t group = item / blocks, first = group * rows_of_a_thread;
    const int o = static_cast<int>(item - group * blocks) * Outs;
    const row_window windows[rows_of_a_thread] = {window_of(first), window_of(first + 1),
                                                  window_of(first + 2), window_of(first + 3)};
    several<T, Outs> sums[rows_of_a_thread] = {};
    if (bias != nullptr) {
      for (auto& sum : sums) {
        for (int n = 0; n < Outs; ++n) sum.value[n] = bias[o + n];
      }
    }
    const T* weight = weights + o;
    for (int dy = 0; dy < w.height; ++dy) {
      for (int dx = 0; dx < w.width; ++dx) {
        index_t from[rows_of_a_thread];  // negative: padding
        for (int r = 0; r < rows_of_a_thread; ++r) {
          const bool there = first + r < rows && windows[r].inside(w, dy, dx);
          from[r] = there ? windows[r].in_row(w, dy, dx) * w.in_channels : -1;
        }
        for (int i = 0; i < w.in_channels; i += Ins) add_products(i, from, weight, sums);
      }
    }
    for (int r = 0; r < rows_of_a_thread; ++r) {
      if (first + r < rows) put_several(out, (first + r) * w.out_channels + o, sums[r]);
    }
  }
  __device__ void add_products(int i, const index_t (&from)[rows_of_a_thread], const T*& weight,
                               several<T, Outs> (&sums)[rows_of_a_thread]) const {
    several<T, Ins> in[rows_of_a_thread];
    for (int r = 0; r < rows_of_a_thread; ++r) {
      if (from[r] >= 0) in[r] = load_several<Ins>(d, from[r] + i);
    }
    for (int k = 0; k < Ins; ++k, weight += w.out_channels) {
      const auto factors = load_several<Outs>(weight);
      for (int r = 0; r < rows_of_a_thread; ++r) {
        if (from[r] < 0) continue;
        for (int n = 0; n < Outs; ++n) {
          T& sum = sums[r].value[n];
          sum = std::fma(factors.value[n], in[r].value[k], sum);
        }
      }
    }
  }
  __device__ row_window window_of(index_t row) const {
    const index_t sample = row / w.out_area();
    return {w, sample, static_cast<int>(row - sample * w.out_area())};
  }
};

// One input channel of each probe: neighbouring output channels of a few rows, for which a weight
// is read once.
template <class T, int Outs>
struct channel_piece {
  static constexpr int rows_of_a_thread = 4;

  window w;
  change<T> d;
  int rows;  // of a probe's outputs
  const T* weights;
  sink<T> out;

  ZO_HD int blocks() const { return (rows + rows_of_a_thread - 1) / rows_of_a_thread; }

  __device__ void operator()(index_t probe, index_t item) const {
    const int groups = w.out_channels / Outs;
    const int row = static_cast<int>(item) / groups, o = static_cast<int>(item) % groups * Outs;
    const int step = blocks();  // to the next row of this thread
    const row_window windows[rows_of_a_thread] = {
        {w, row}, {w, row + step}, {w, row + 2 * step}, {w, row + 3 * step}};
    const T* const from = d.exact + probe * d.rows;
    const T* weight = weights + static_cast<index_t>(d.channel(probe)) * w.out_channels + o;
    several<T, Outs> sums[rows_of_a_thread] = {};
    for (int dy = 0; dy < w.height; ++dy) {
      for (int dx = 0; dx < w.width; ++dx) {
        const auto factors = load_several<Outs>(weight);
        weight += static_cast<index_t>(w.in_channels) * w.out_channels;
        for (int r = 0; r < rows_of_a_thread; ++r) {
          if (row + r * step >= rows || !windows[r].inside(w, dy, dx)) continue;
          const T by = from[windows[r].in_row(w, dy, dx)];
          for (int n = 0; n < Outs; ++n) {
            sums[r].value[n] = std::fma(factors.value[n], by, sums[r].value[n]);
          }
        }
      }
    }
    const index_t first = (probe * rows + row) * w.out_channels + o;
    for (int r = 0; r < rows_of_a_thread; ++r) {
      const index_t beyond = static_cast<index_t>(r) * step;
      if (row + beyond < rows) put_several(out, first + beyond * w.out_channels, sums[r]);
    }
  }
};

}  // namespace

template <class T>
void arrange_weights(cudaStream_t stream, const window& w, const T* weights, T* out) {
  const int taps = w.taps();
  for_items(stream, static_cast<index_t>(taps) * w.in_channels * w.out_channels,
            arrange_piece<T>{w.in_channels, w.out_channels, taps, weights, out}, values_launch);
}
ZO_BOTH_TYPES(arrange_weights);

template <class T>
void begin_weight(cudaStream_t stream, const probe_group<T>& group, const window& w,
                  index_t samples, const T* x) {
  begin_by(stream, group, samples * w.out_area(), weight_step<T>{w, x});
}
ZO_BOTH_TYPES(begin_weight);

template <class T>
void convolve(cudaStream_t stream, index_t probes, index_t samples, const window& w,
              const change<T>& d, const T* weights, const T* bias, const sink<T>& out) {
  const index_t rows = samples * w.out_area();
  using one = std::integral_constant<int, 1>;
  using four = std::integral_constant<int, 4>;
  const auto one_channel = [&](auto outs) {
    constexpr int wide = decltype(outs)::value;
    const channel_piece<T, wide> piece{w, d, static_cast<int>(rows), weights, out};
    for_rows(stream, probes, index_t{piece.blocks()} * (w.out_channels / wide), piece, launch);
  };
  const auto all_channels = [&](auto outs, auto ins) {
    constexpr int wide = decltype(outs)::value;
    using piece = full_piece<T, wide, decltype(ins)::value>;
    constexpr index_t together = piece::rows_of_a_thread;
    for_items(stream, (probes * rows + together - 1) / together * (w.out_channels / wide),
              piece{w, probes * rows, d, weights, bias, out}, launch);
  };
  const bool wide_outs = w.out_channels % 4 == 0, wide_ins = w.in_channels % 4 == 0;
  if (d.how == extent::channel) return wide_outs ? one_channel(four()) : one_channel(one());
  if (wide_outs) return wide_ins ? all_channels(four(), four()) : all_channels(four(), one());
  wide_ins ? all_channels(one(), four()) : all_channels(one(), one());
}
ZO_BOTH_TYPES(convolve);

}  // namespace zo::cuda::detail
