// Values and differences of networks, number by number, and the sums of batch norms. A thread makes
// one number, or the same one of a few probes, so that base values are read once for these.
#include "cuda/network_kernels.hpp"
#include "cuda/words.hpp"
#include "zo/cuda/launch.hpp"
#include "zo/nn/layer/loss.hpp"
#include "zo/nn/layer/mean.hpp"
#include "zo/nn/layer/pool.hpp"
#include "zo/nn/layer/relu.hpp"

namespace zo::cuda::detail {

namespace {

// Sizes of one probe fit into 31 bits (the objective sees to it), and 32-bit divisions are cheaper.
struct place_of_item {
  int high, low;
  __device__ place_of_item(index_t item, int low_size)
      : high(static_cast<int>(static_cast<unsigned>(item) / static_cast<unsigned>(low_size))),
        low(static_cast<int>(item) - high * low_size) {}
};

// Where an output position begins in the image.
struct window_place {
  int sample, top, left;
  __device__ window_place(const window& w, int row) {
    const place_of_item image(row, w.out_area());
    const place_of_item line(image.low, w.out_width);
    sample = image.high;
    top = line.high * w.stride - w.padding;
    left = line.low * w.stride - w.padding;
  }
  __device__ int in_row(const window& w, int dy, int dx) const {
    return (sample * w.in_height + top + dy) * w.in_width + left + dx;
  }
};

// ---- values ----

template <class T>
struct channels_last_piece {
  int channels, area;
  const T* rows;
  T* out;
  __device__ void operator()(index_t item) const {
    const place_of_item row(item, channels), image(row.high, area);
    out[item] = rows[(static_cast<index_t>(image.high) * channels + row.low) * area + image.low];
  }
};

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

template <class T>
struct norm_piece {
  int channels;
  norm_base<T> norm;
  const T *gamma, *beta, *x;
  T* out;
  __device__ void operator()(index_t item) const {
    const int c = place_of_item(item, channels).low;
    const auto line = nn::detail::norm_line_of(gamma[c], beta[c], norm.root[c], norm.rest[c]);
    out[item] = nn::detail::norm_value(line, x[item] - norm.centre[c]);
  }
};

template <class T>
struct relu_piece {
  const T* x;
  T* out;
  __device__ void operator()(index_t i) const { out[i] = nn::detail::relu_value(x[i]); }
};

template <class T>
struct add_piece {
  const T *a, *b;
  T* out;
  __device__ void operator()(index_t i) const { out[i] = a[i] + b[i]; }
};

template <class T>
struct max_pool_piece {
  window w;
  const T* x;
  T* out;
  __device__ void operator()(index_t item) const {
    const place_of_item row(item, w.in_channels);
    const window_place at(w, row.high);
    T most = x[static_cast<index_t>(at.in_row(w, 0, 0)) * w.in_channels + row.low];
    for (int dy = 0; dy < w.height; ++dy) {
      for (int dx = 0; dx < w.width; ++dx) {
        const T next = x[static_cast<index_t>(at.in_row(w, dy, dx)) * w.in_channels + row.low];
        most = nn::detail::larger(most, next);
      }
    }
    out[item] = most;
  }
};

// ---- sums ----

template <class T>
struct value_sums_piece {
  index_t rows;
  int channels;
  const T *x, *centre;
  T* partial;
  __device__ void operator()(index_t item) const {
    const place_of_item at(item, channels);
    const index_t tiles = tiles_of(rows), first = at.high * tile_rows;
    const index_t last = first + tile_rows < rows ? first + tile_rows : rows;
    const T middle = centre == nullptr ? T(0) : centre[at.low];
    T sum = 0, squares = 0;
    for (index_t row = first; row < last; ++row) {
      const T c = x[row * channels + at.low] - middle;
      sum += c;
      squares += c * c;
    }
    partial[at.low * tiles + at.high] = sum;
    partial[(channels + at.low) * tiles + at.high] = squares;
  }
};

template <class T>
struct pivot_piece {
  change<T> d;
  int channels;
  T* responses;
  __device__ void operator()(index_t probe, index_t c) const {
    const index_t count = tile_rows < d.rows ? tile_rows : d.rows;
    double sum = 0;
    for (index_t row = 0; row < count; ++row) {
      sum += static_cast<double>(d.number((probe * d.rows + row) * channels + c));
    }
    responses[(probe * response_planes + shift_plane) * channels + c] =
        static_cast<T>(sum / static_cast<double>(count));
  }
};

template <class T>
struct change_sums_piece {
  change<T> d;
  int channels;  // of the sums: one of each probe, or all
  const T *x, *centre, *responses;
  T* partial;
  __device__ void operator()(index_t probe, index_t item) const {
    const place_of_item at(item, channels);
    const index_t tiles = tiles_of(d.rows), first = at.high * tile_rows;
    const index_t last = first + tile_rows < d.rows ? first + tile_rows : d.rows;
    const int c = d.how == extent::channel ? d.channel(probe) : at.low;
    const T middle = centre[c];
    const T pivot = responses[(probe * response_planes + shift_plane) * channels + at.low];
    const index_t moved = probe * d.rows * channels + at.low;
    T sum = 0, squares = 0;
    for (index_t row = first; row < last; ++row) {
      const T centred = x[row * d.all_channels + c] - middle;
      const T by = d.number(moved + row * channels) - pivot;
      sum += by;
      squares += nn::detail::square_difference(centred, by);
    }
    T* const to = partial + probe * 2 * channels * tiles + at.high;
    to[at.low * tiles] = sum;
    to[(channels + at.low) * tiles] = squares;
  }
};

// A warp for each channel of each probe: use(probe, channel, sum, squares).
template <class T, class Use>
__global__ void __launch_bounds__(block_threads)
    sum_tiles(Use use, index_t probes, int channels, index_t tiles, const T* partial) {
  constexpr int warp = 32;
  const auto lane = static_cast<int>(threadIdx.x) % warp;
  const index_t warps = static_cast<index_t>(gridDim.x) * (block_threads / warp);
  index_t item = static_cast<index_t>(blockIdx.x) * (block_threads / warp) + threadIdx.x / warp;
  for (; item < probes * channels; item += warps) {
    const index_t probe = item / channels;
    const int c = static_cast<int>(item - probe * channels);
    const T* const from = partial + (probe * 2 * channels + c) * tiles;
    double sum = 0, squares = 0;
    for (index_t tile = lane; tile < tiles; tile += warp) {
      sum += static_cast<double>(from[tile]);
      squares += static_cast<double>(from[channels * tiles + tile]);
    }
    for (int apart = warp / 2; apart >= 1; apart /= 2) {
      sum += __shfl_xor_sync(0xffffffffU, sum, apart);
      squares += __shfl_xor_sync(0xffffffffU, squares, apart);
    }
    if (lane == 0) use(probe, c, sum, squares);
  }
}

template <class T, class Use>
void for_sums(cudaStream_t stream, index_t probes, int channels, index_t tiles, const T* partial,
              const Use& use) {
  const index_t blocks = std::clamp<index_t>((probes * channels + 7) / 8, 1, index_t{1} << 16);
  const cudaLaunchConfig_t config =
      configuration(stream, {static_cast<unsigned>(blocks), 1, block_threads});
  check(cudaLaunchKernelEx(&config, sum_tiles<T, Use>, use, probes, channels, tiles, partial),
        "launching the sums of a batch norm");
}

template <class T>
struct mean_use {
  double rows;
  norm_base<T> norm;
  __device__ void operator()(index_t, int c, double sum, double) const {
    norm.centre[c] = static_cast<T>(sum / rows);
  }
};

// Values or differences of one channel, from row to row.
template <class T>
struct channel_of {
  const T* values;
  int channels;
  __device__ double operator()(index_t row) const {
    return static_cast<double>(values[row * channels]);
  }
};
template <class T>
struct channel_of_change {
  change<T> d;
  index_t probe;
  int channel;
  __device__ double operator()(index_t row) const {
    return static_cast<double>(d.at(probe, row, channel));
  }
};

template <class T>
__device__ void store_moments(const norm_base<T>& norm, index_t c,
                              const nn::detail::norm_moments<T>& found) {
  norm.mean[c] = found.mean;
  norm.variance[c] = found.variance;
  norm.root[c] = found.root;
  norm.centre[c] = found.centre;
  norm.rest[c] = found.rest;
}

template <class T>
struct root_use {
  index_t rows;
  int channels;
  const T* x;
  double epsilon;
  norm_base<T> norm;
  __device__ void operator()(index_t, int c, double sum, double squares) const {
    store_moments(norm, c,
                  nn::detail::norm_moments_of<T>(sum, squares, static_cast<double>(rows),
                                                 static_cast<double>(norm.centre[c]), epsilon,
                                                 careful{rows, {x + c, channels}, epsilon}));
  }
  struct careful {
    index_t rows;
    channel_of<T> value;
    double epsilon;
    __device__ nn::detail::moments operator()() const {
      return nn::detail::careful_moments(rows, value, epsilon);
    }
  };
};

template <class T>
struct running_piece {
  const T *mean, *variance;
  double epsilon;
  norm_base<T> norm;
  __device__ void operator()(index_t c) const {
    store_moments(norm, c, nn::detail::norm_moments_from(mean[c], variance[c], epsilon));
  }
};

template <class T>
struct keep_piece {
  int channels;
  const T* gamma;
  norm_base<T> norm;
  __device__ void operator()(index_t c) const {
    norm.kept[c] = static_cast<T>(static_cast<double>(gamma[c]) / norm.root[c]);
    for (int plane = 1; plane < response_planes; ++plane) norm.kept[plane * channels + c] = T(0);
  }
};

template <class T>
struct response_use {
  change<T> d;
  int channels;
  const T* x;
  bool pivoted;
  const T* gamma;
  double epsilon;
  norm_base<T> norm;
  T* responses;
  __device__ void operator()(index_t probe, int item, double sum, double squares) const {
    const int c = d.how == extent::channel ? d.channel(probe) : item;
    T* const to = responses + probe * response_planes * channels + item;
    const double pivot = pivoted ? static_cast<double>(to[shift_plane * channels]) : 0;
    const nn::detail::norm_input input{static_cast<double>(norm.centre[c]), norm.rest[c],
                                       norm.root[c], epsilon, static_cast<double>(gamma[c])};
    const auto found = nn::detail::norm_response_of<T>(
        sum, squares, static_cast<double>(d.rows), pivot, input,
        careful{channel_of<T>{x + c, d.all_channels}, channel_of_change<T>{d, probe, c}, input});
    to[0] = found.scale;
    to[channels] = found.slope;
    to[shift_plane * channels] = found.shift;
    to[3 * channels] = found.rest;
  }
  struct careful {
    channel_of<T> value;
    channel_of_change<T> change;
    nn::detail::norm_input input;
    __device__ norm_response<T> operator()() const {
      return nn::detail::careful_norm_response<T>(change.d.rows, value, change, input);
    }
  };
};

template <class T>
struct statistics_piece {
  double rows, momentum;
  norm_base<T> norm;
  T *mean, *variance;
  __device__ void operator()(index_t c) const {
    mean[c] = nn::detail::moved_statistic(mean[c], momentum, 1, norm.mean[c]);
    variance[c] = nn::detail::moved_statistic(variance[c], momentum,
                                              nn::detail::unbiased_share(rows), norm.variance[c]);
  }
};

// ---- differences ----

template <class T>
struct begin_piece {
  probe_group<T> group;
  tensor_of tensor;
  window w;
  index_t rows;
  const T* x;
  norm_base<T> norm;
  int* channels;
  T* out;
  __device__ void operator()(index_t probe, index_t row) const {
    const index_t number = group.order[probe];
    const place_of_item element(group.coordinates[number] - tensor.offset, tensor.per_channel);
    const T step = group.steps[number];
    if (row == 0) channels[probe] = element.high;
    out[probe * rows + row] = value(element, static_cast<int>(row), step);
  }
  __device__ T value(const place_of_item& element, int row, T step) const {
    if (tensor.role == tensor_role::bias || tensor.role == tensor_role::beta) return step;
    if (tensor.role == tensor_role::gamma) {
      const int c = element.high;
      return nn::detail::gamma_difference(x[static_cast<index_t>(row) * w.in_channels + c],
                                          static_cast<double>(norm.centre[c]), norm.rest[c],
                                          norm.root[c], step);
    }
    const place_of_item channel(element.low, w.taps()), tap(channel.low, w.width);
    const window_place at(w, row);
    const int y = at.top + tap.high, left = at.left + tap.low;
    if (y < 0 || y >= w.in_height || left < 0 || left >= w.in_width) return T(0);
    const index_t in = at.in_row(w, tap.high, tap.low);
    return step * x[in * w.in_channels + channel.high];
  }
};

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

// An element of the output of a pool: its row and channel, of all or of the probe's.
template <class T>
struct pool_element {
  int row, channel;
  index_t out;
  __device__ pool_element(const change<T>& d, index_t probe, index_t item, index_t items)
      : out(probe * items + item) {
    if (d.how == extent::channel) {
      row = static_cast<int>(item);
      channel = d.channel(probe);
      return;
    }
    const place_of_item at(item, d.all_channels);
    row = at.high;
    channel = at.low;
  }
};

template <class T>
struct max_change_piece {
  window w;
  change<T> d;
  index_t items;
  const T *x, *value;
  sink<T> out;
  __device__ void operator()(index_t probe, index_t item) const {
    const pool_element<T> e(d, probe, item, items);
    const window_place at(w, e.row);
    const T was = value[static_cast<index_t>(e.row) * w.in_channels + e.channel];
    T best = 0;
    for (int tap = 0; tap < w.taps(); ++tap) {
      const index_t row = at.in_row(w, tap / w.width, tap % w.width);
      const T grown = nn::detail::above_maximum(x[row * w.in_channels + e.channel], was,
                                                d.at(probe, row, e.channel));
      best = tap > 0 ? nn::detail::larger(best, grown) : grown;
    }
    out.put(e.out, best);
  }
};

template <class T>
struct mean_change_piece {
  window w;
  change<T> d;
  index_t items;
  sink<T> out;
  __device__ void operator()(index_t probe, index_t item) const {
    const pool_element<T> e(d, probe, item, items);
    const window_place at(w, e.row);
    out.put(e.out, nn::detail::mean_of<T>(w.taps(), taps_of{w, d, probe, at, e.channel}));
  }
  struct taps_of {
    const window& w;
    const change<T>& d;
    index_t probe;
    const window_place& at;
    int channel;
    __device__ T operator()(index_t tap) const {
      const int k = static_cast<int>(tap);
      return d.at(probe, at.in_row(w, k / w.width, k % w.width), channel);
    }
  };
};

template <class T>
struct subsample_piece {
  window w;
  change<T> d;
  index_t items;
  sink<T> out;
  __device__ void operator()(index_t probe, index_t item) const {
    const bool single = d.how == extent::channel;
    const place_of_item at(item, single ? 1 : w.out_channels);
    const window_place from(w, at.high);
    const int before = (w.out_channels - w.in_channels) / 2;
    const int channel = single ? d.channel(probe) : at.low - before;
    const bool has = channel >= 0 && channel < w.in_channels;
    const T moved = has ? d.at(probe, from.in_row(w, 0, 0), channel) : T(0);
    out.put(probe * items + item, moved);
  }
};

// ---- losses ----

// Outputs of a sample in the order of the network: channel, then position.
template <class T>
struct logits_of {
  const T* values;
  int channels, area;
  __device__ double operator()(index_t k) const {
    return static_cast<double>(values[k % area * channels + k / area]);
  }
};
template <class T>
struct changes_of {
  change<T> d;
  index_t probe;
  index_t first_row;
  int area;
  __device__ double operator()(index_t k) const {
    return static_cast<double>(d.at(probe, first_row + k % area, static_cast<int>(k / area)));
  }
};

struct square_of {
  const double* residuals;
  __device__ double operator()(index_t k) const { return residuals[k] * residuals[k]; }
};
template <class T>
struct square_difference_of {
  const double* residuals;
  changes_of<T> moved;
  __device__ double operator()(index_t k) const {
    return nn::detail::square_difference(residuals[k], moved(k));
  }
};

template <class T>
struct begin_loss_piece {
  int channels, area;
  index_t samples;
  loss_targets targets;
  const T* outputs;
  double *kept, *parts;
  __device__ void operator()(index_t b) const {
    const index_t size = static_cast<index_t>(channels) * area;
    const logits_of<T> logit{outputs + b * size, channels, area};
    double* const own = kept + b * size;
    if (targets.classes != nullptr) {
      const index_t target = targets.classes[b];
      const bool known = target >= 0 && target < size;
      const double loss =
          nn::detail::cross_entropy_of(size, known ? target : 0, logit, own, own + samples * size);
      parts[b] = known ? loss : nan("");
      return;
    }
    for (index_t k = 0; k < size; ++k) own[k] = logit(k) - targets.numbers[b * size + k];
    parts[b] = nn::detail::mean_of<double>(size, square_of{own});
  }
};

template <class T>
struct loss_piece {
  int area;
  index_t samples;
  loss_targets targets;
  change<T> outputs;
  const double* kept;
  double* parts;
  __device__ void operator()(index_t probe, index_t b) const {
    const index_t size = static_cast<index_t>(outputs.all_channels) * area;
    const changes_of<T> moved{outputs, probe, b * area, area};
    const double* const own = kept + b * size;
    double& part = parts[probe * samples + b];
    if (targets.classes != nullptr) {
      const index_t target = targets.classes[b];
      const bool known = target >= 0 && target < size;
      part = known ? nn::detail::cross_entropy_difference(size, target, moved, own,
                                                          own + samples * size)
                   : nan("");
      return;
    }
    part = nn::detail::mean_of<double>(size, square_difference_of<T>{own, moved});
  }
};

struct mean_piece {
  index_t samples;
  const double* parts;
  const index_t* order;
  double* out;
  __device__ void operator()(index_t k) const {
    out[order == nullptr ? k : order[k]] =
        nn::detail::mean_of<double>(samples, nn::detail::row_of<double>{parts + k * samples});
  }
};

constexpr const char* values_launch = "launching values of a network";
constexpr const char* changes_launch = "launching differences of a network";

}  // namespace

template <class T>
void to_channels_last(cudaStream_t stream, index_t samples, int channels, int area, const T* rows,
                      T* out) {
  for_items(stream, samples * channels * area, channels_last_piece<T>{channels, area, rows, out},
            values_launch);
}

template <class T>
void arrange_weights(cudaStream_t stream, const window& w, const T* weights, T* out) {
  const int taps = w.taps();
  for_items(stream, static_cast<index_t>(taps) * w.in_channels * w.out_channels,
            arrange_piece<T>{w.in_channels, w.out_channels, taps, weights, out}, values_launch);
}

template <class T>
void norm_values(cudaStream_t stream, index_t rows, int channels, const norm_base<T>& norm,
                 const T* gamma, const T* beta, const T* x, T* out) {
  for_items(stream, rows * channels, norm_piece<T>{channels, norm, gamma, beta, x, out},
            values_launch);
}

template <class T>
void relu_values(cudaStream_t stream, index_t numbers, const T* x, T* out) {
  for_items(stream, numbers, relu_piece<T>{x, out}, values_launch);
}

template <class T>
void add_values(cudaStream_t stream, index_t numbers, const T* a, const T* b, T* out) {
  for_items(stream, numbers, add_piece<T>{a, b, out}, values_launch);
}

template <class T>
void max_pool_values(cudaStream_t stream, index_t samples, const window& w, const T* x, T* out) {
  for_items(stream, samples * w.out_area() * w.in_channels, max_pool_piece<T>{w, x, out},
            values_launch);
}

template <class T>
void value_sums(cudaStream_t stream, index_t rows, int channels, const T* x, const T* centre,
                T* partial) {
  for_items(stream, tiles_of(rows) * channels,
            value_sums_piece<T>{rows, channels, x, centre, partial}, values_launch);
}

template <class T>
void find_pivots(cudaStream_t stream, index_t probes, const change<T>& d, T* responses) {
  const int channels = d.how == extent::channel ? 1 : d.all_channels;
  for_rows(stream, probes, channels, pivot_piece<T>{d, channels, responses}, changes_launch);
}

template <class T>
void change_sums(cudaStream_t stream, index_t probes, const change<T>& d, const T* x,
                 const T* centre, const T* responses, T* partial) {
  const int channels = d.how == extent::channel ? 1 : d.all_channels;
  for_rows(stream, probes, tiles_of(d.rows) * channels,
           change_sums_piece<T>{d, channels, x, centre, responses, partial}, changes_launch);
}

template <class T>
void find_mean(cudaStream_t stream, index_t rows, int channels, const T* partial,
               const norm_base<T>& norm) {
  for_sums(stream, 1, channels, tiles_of(rows), partial,
           mean_use<T>{static_cast<double>(rows), norm});
}

template <class T>
void find_root(cudaStream_t stream, index_t rows, int channels, const T* x, const T* partial,
               double epsilon, const norm_base<T>& norm) {
  for_sums(stream, 1, channels, tiles_of(rows), partial,
           root_use<T>{rows, channels, x, epsilon, norm});
}

template <class T>
void use_running(cudaStream_t stream, int channels, const T* mean, const T* variance,
                 double epsilon, const norm_base<T>& norm) {
  for_items(stream, channels, running_piece<T>{mean, variance, epsilon, norm}, values_launch);
}

template <class T>
void keep_responses(cudaStream_t stream, int channels, const T* gamma, const norm_base<T>& norm) {
  for_items(stream, channels, keep_piece<T>{channels, gamma, norm}, values_launch);
}

template <class T>
void find_responses(cudaStream_t stream, index_t probes, const change<T>& d, const T* x,
                    const T* partial, index_t tiles, bool pivoted, const T* gamma, double epsilon,
                    const norm_base<T>& norm, T* responses) {
  const int channels = d.how == extent::channel ? 1 : d.all_channels;
  for_sums(stream, probes, channels, tiles, partial,
           response_use<T>{d, channels, x, pivoted, gamma, epsilon, norm, responses});
}

template <class T>
void move_statistics(cudaStream_t stream, index_t rows, int channels, double momentum,
                     const norm_base<T>& norm, T* mean, T* variance) {
  for_items(stream, channels,
            statistics_piece<T>{static_cast<double>(rows), momentum, norm, mean, variance},
            values_launch);
}

template <class T>
void begin_changes(cudaStream_t stream, const probe_group<T>& group, const tensor_of& tensor,
                   const window& w, index_t samples, const T* x, const norm_base<T>& norm,
                   int* channels, T* out) {
  const index_t rows = samples * w.out_area();
  for_rows(stream, group.count, rows,
           begin_piece<T>{group, tensor, w, rows, x, norm, channels, out}, changes_launch);
}

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

template <class T>
void max_pool_changes(cudaStream_t stream, index_t probes, index_t samples, const window& w,
                      const change<T>& d, const T* x, const T* value, const sink<T>& out) {
  const index_t items = samples * w.out_area() * (d.how == extent::channel ? 1 : w.in_channels);
  for_rows(stream, probes, items, max_change_piece<T>{w, d, items, x, value, out}, changes_launch);
}

template <class T>
void mean_pool_changes(cudaStream_t stream, index_t probes, index_t samples, const window& w,
                       const change<T>& d, const sink<T>& out) {
  const index_t items = samples * w.out_area() * (d.how == extent::channel ? 1 : w.in_channels);
  for_rows(stream, probes, items, mean_change_piece<T>{w, d, items, out}, changes_launch);
}

template <class T>
void subsample_changes(cudaStream_t stream, index_t probes, index_t samples, const window& w,
                       const change<T>& d, const sink<T>& out) {
  const index_t items = samples * w.out_area() * (d.how == extent::channel ? 1 : w.out_channels);
  for_rows(stream, probes, items, subsample_piece<T>{w, d, items, out}, changes_launch);
}

template <class T>
void begin_loss(cudaStream_t stream, index_t samples, int channels, int area,
                const loss_targets& targets, const T* outputs, double* kept, double* parts) {
  for_items(stream, samples,
            begin_loss_piece<T>{channels, area, samples, targets, outputs, kept, parts},
            "launching the loss of a network");
}

template <class T>
void loss_changes(cudaStream_t stream, index_t probes, index_t samples, int area,
                  const loss_targets& targets, const change<T>& outputs, const double* kept,
                  double* parts) {
  for_rows(stream, probes, samples, loss_piece<T>{area, samples, targets, outputs, kept, parts},
           "launching differences of losses");
}

void mean_parts(cudaStream_t stream, index_t count, index_t samples, const double* parts,
                const index_t* order, double* out) {
  for_items(stream, count, mean_piece{samples, parts, order, out},
            "launching the mean over samples");
}

#define ZO_INSTANTIATE(T)                                                                          \
  template void to_channels_last(cudaStream_t, index_t, int, int, const T*, T*);                   \
  template void arrange_weights(cudaStream_t, const window&, const T*, T*);                        \
  template void norm_values(cudaStream_t, index_t, int, const norm_base<T>&, const T*, const T*,   \
                            const T*, T*);                                                         \
  template void relu_values(cudaStream_t, index_t, const T*, T*);                                  \
  template void add_values(cudaStream_t, index_t, const T*, const T*, T*);                         \
  template void max_pool_values(cudaStream_t, index_t, const window&, const T*, T*);               \
  template void value_sums(cudaStream_t, index_t, int, const T*, const T*, T*);                    \
  template void find_pivots(cudaStream_t, index_t, const change<T>&, T*);                          \
  template void change_sums(cudaStream_t, index_t, const change<T>&, const T*, const T*, const T*, \
                            T*);                                                                   \
  template void find_mean(cudaStream_t, index_t, int, const T*, const norm_base<T>&);              \
  template void find_root(cudaStream_t, index_t, int, const T*, const T*, double,                  \
                          const norm_base<T>&);                                                    \
  template void use_running(cudaStream_t, int, const T*, const T*, double, const norm_base<T>&);   \
  template void keep_responses(cudaStream_t, int, const T*, const norm_base<T>&);                  \
  template void find_responses(cudaStream_t, index_t, const change<T>&, const T*, const T*,        \
                               index_t, bool, const T*, double, const norm_base<T>&, T*);          \
  template void move_statistics(cudaStream_t, index_t, int, double, const norm_base<T>&, T*, T*);  \
  template void begin_changes(cudaStream_t, const probe_group<T>&, const tensor_of&,               \
                              const window&, index_t, const T*, const norm_base<T>&, int*, T*);    \
  template void follow_chain(cudaStream_t, index_t, const chain<T>&);                              \
  template void max_pool_changes(cudaStream_t, index_t, index_t, const window&, const change<T>&,  \
                                 const T*, const T*, const sink<T>&);                              \
  template void mean_pool_changes(cudaStream_t, index_t, index_t, const window&, const change<T>&, \
                                  const sink<T>&);                                                 \
  template void subsample_changes(cudaStream_t, index_t, index_t, const window&, const change<T>&, \
                                  const sink<T>&);                                                 \
  template void begin_loss(cudaStream_t, index_t, int, int, const loss_targets&, const T*,         \
                           double*, double*);                                                      \
  template void loss_changes(cudaStream_t, index_t, index_t, int, const loss_targets&,             \
                             const change<T>&, const double*, double*)

ZO_INSTANTIATE(float);
ZO_INSTANTIATE(double);
#undef ZO_INSTANTIATE

}  // namespace zo::cuda::detail
