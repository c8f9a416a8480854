// How values of a batch lie in memory, and the loops over them, once for each instruction set.
//
// Samples are taken in groups of 16, innermost: [group][position][channel][sample of the group].
// A row of 16 samples of one channel at one position is a lane row, and every loop goes from lane
// row to lane row: whatever the shape of a layer, vectors are full and weights are scalars. What is
// beyond the last sample of a batch is computed along and never read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>
#include <vector>

#include "simd/pack.hpp"
#include "zo/config.hpp"
#include "zo/nn/forward.hpp"
#include "zo/nn/network.hpp"

namespace zo::nn::detail {

/// Samples of a group.
inline constexpr index_t lanes = 16;

inline index_t groups_of(index_t samples) {
  return samples / lanes + (samples % lanes > 0 ? 1 : 0);
}

/// Row-major values of `count` samples (sample, channel, row, column) to lane rows, and back.
template <class T>
void to_lanes(const shape& s, index_t count, const T* rows, T* in_lanes);
template <class T>
void from_lanes(const shape& s, index_t count, const T* in_lanes, T* rows);
/// Lane rows to planes of one channel each: [channel][group][position].
template <class T>
void to_planes(const shape& s, index_t groups, const T* in_lanes, T* planes);

// Memory by whole vectors; large arrays by large pages where the system has them.
void* allocate_lanes(std::size_t bytes);
void free_lanes(void* memory, std::size_t bytes) noexcept;

template <class T>
struct lane_allocator {
  using value_type = T;
  lane_allocator() = default;
  template <class U>
  lane_allocator(const lane_allocator<U>&) {}  // NOLINT: allocators convert
  T* allocate(std::size_t n) { return static_cast<T*>(allocate_lanes(n * sizeof(T))); }
  void deallocate(T* p, std::size_t n) noexcept { free_lanes(p, n * sizeof(T)); }
  // Room that is about to be written need not be cleared.
  template <class U>
  void construct(U* p) noexcept {
    ::new (static_cast<void*>(p)) U;
  }
  template <class U, class... A>
  void construct(U* p, A&&... from) {
    ::new (static_cast<void*>(p)) U(std::forward<A>(from)...);
  }
  bool operator==(const lane_allocator&) const = default;
};

template <class T>
using lane_vector = std::vector<T, lane_allocator<T>>;

using zo::detail::bfloat16_pair;

/// Exactly as many numbers: what was there is not needed, and growth would be memory for nothing.
template <class Numbers>
void fit(Numbers& numbers, index_t size) {
  const auto wanted = static_cast<std::size_t>(size);
  if (numbers.capacity() < wanted) numbers = Numbers();
  numbers.resize(wanted);
}

/// Output channels whose weights lie together: [block][row of taps][tap][input channel][8].
inline constexpr index_t block_channels = 8;

inline index_t blocks_of(index_t channels) {
  return (channels + block_channels - 1) / block_channels;
}

/// Output positions beside or below each other with the same taps inside the image.
struct position_run {
  std::int32_t count;       // positions, 1 to 3
  std::int32_t out;         // the first one
  std::int32_t out_stride;  // from one to the next
  std::int32_t in;          // input position of its first tap inside
  std::int32_t in_stride;   // from one to the next
  std::int32_t tap, taps;   // columns of taps inside: the first, how many
  std::int32_t row, rows;   // and rows
};

/// Whole output rows that are worked on at once.
struct chunk {
  index_t first_run, runs;
  index_t first_position, positions;
};

/// The runs of a layer that has weights, chunk by chunk; a linear map is a convolution whose only
/// output position has all input positions as its taps.
std::vector<position_run> runs_of(const node& n);
std::vector<chunk> chunks_of(const node& n, const std::vector<position_run>& runs);

/// Parameters of a convolution or linear map in the order of the loops.
template <class T>
void pack_weights(const node& n, const T* weight, lane_vector<T>& packed);

/// The same in pairs, rounded, for tiles of AMX: [block of 16 output channels][tap][16 pairs of
/// input channels][16 output channels][pair], zeros beyond the last channel.
void pack_pairs(const node& n, const float* weight, std::vector<bfloat16_pair>& packed);
inline constexpr index_t channels_of_tile = 16, pairs_of_tile = 16;

inline index_t pairs_of(index_t channels) { return (channels + 1) / 2; }

/// Layers whose products are formed in pairs, where the processor has tiles for them: with fewer
/// input channels they lose digits that float keeps.
bool has_pairs(const node& n, products how);

/// Numbers that packed weights take, those of tiles, and those of their transformed rows; bytes of
/// weights in pairs.
index_t packed_size(const node& n);
index_t tiles_size(const node& n);
index_t transformed_size(const node& n);
index_t pairs_bytes(const node& n);

/// Products of E, summed in T; channels are pairs of channels where E is one.
template <class T, class E = T>
struct convolution_loop {
  const position_run* runs;
  index_t count;         // of runs
  index_t in_channels;   // that `in` has; one, of which `weights` begins, or all
  index_t all_channels;  // of the input
  index_t weight_step;   // from one channel of `in` to the next, in weights
  index_t out_channels;
  index_t in_row;  // positions from one row of taps to the next
  index_t kernel;  // taps of a row
  index_t kernel_rows;
  const E* weights;
  const T* bias;  // or null
  const E* in;
  T* out;
};

/// 3 x 3 convolutions of stride 1 with half the multiplications: four neighbouring outputs of a row
/// follow from six sums instead of twelve (Winograd's F(4, 3), Lavin and Gray, CVPR 2016), along
/// rows only, so that rounding stays small.
inline constexpr index_t tile = 4, sums_of_tile = 6;
/// Each sum by itself: [block of 8 output channels][sum][row of taps][input channel][8] weights
/// meet [sum][tile][input channel] lane rows.

bool has_tiles(const node& n);

template <class T>
void pack_tiles(const node& n, const T* weight, lane_vector<T>& packed);

/// Rows [first, first + count) of the output of one group, after all before. `transformed` has room
/// for 4 rows of the input, transformed, and for the sums of a row of the output: width / tile x
/// channels x sums_of_tile lane rows each.
template <class T>
struct tile_loop {
  index_t first, count;
  index_t width, height, in_channels, out_channels;
  const T* weights;
  const T* in;
  T* transformed;
  T* out;
};

/// A layer's channels [first, first + count) at some positions. Distances between positions are in
/// lane rows, so that one channel may stand by itself.
struct lane_rows {
  index_t positions;
  index_t channels;
};

template <class T>
struct source {
  const T* data = nullptr;
  index_t step = 0;  // lane rows from one position to the next
};

/// Sums over positions, for every channel and lane: of q = d - pivot, and of q (2 c + q) with
/// c = x - mean. Without d: of c, and of c squared.
template <class T>
struct norm_sums_loop {
  lane_rows size;
  source<T> d, x;
  const T *mean, *pivot;
  double* sums;  // [channel][2][lane], added to
};

/// Values: y = (x - mean) scale + shift, + other, and only its positive part if `rectified`.
template <class T>
struct norm_loop {
  lane_rows size;
  source<T> x, other;
  const T *mean, *scale, *shift;
  bool rectified;
  T* sum;  // y with `other`, before ReLU; or null
  T* out;  // dense
};

/// Differences: e = (d - shift) scale + rest + (x - mean) slope, + other; if `rectified` of the
/// positive part at the base value `before`, or at (x - mean) base_scale + base_shift where that is
/// null.
template <class T>
struct norm_difference_loop {
  lane_rows size;
  source<T> d, x, other, before;
  const T *mean, *scale, *slope, *shift, *rest, *base_scale, *base_shift;
  bool rectified;
  T* out;
  index_t out_step;
};

/// Differences of a max pool: the largest of (base - value) + d over each window, or NaN.
template <class T>
struct max_difference_loop {
  index_t width, height;  // of the output
  index_t kernel, stride, in_width, channels;
  source<T> d, base, value;
  T* out;  // dense
};

/// Positions of one channel, in rows. Distances are in lane rows.
template <class T>
struct plane_rows {
  const T* data = nullptr;
  index_t step = 0;  // from one position of a row to the next
  index_t next = 0;  // from one row to the next
};

/// out = factor x from.
template <class T>
struct scale_loop {
  index_t rows, positions;  // of each row
  plane_rows<T> from;
  T factor;
  T* out;
  index_t out_next;  // lane rows from one row to the next
};

/// Sums of factor x d times c, of `channels` that lie beside each other: a row of positions in T,
/// the rows in double.
template <class T>
struct pair_loop {
  index_t rows, positions, channels;
  T factor;
  plane_rows<T> d, c;
  double* sums;  // [lane], added to
};

template <class T>
struct loops {
  void (*convolve)(const convolution_loop<T>&);
  void (*convolve_tiles)(const tile_loop<T>&);
  void (*norm_sums)(const norm_sums_loop<T>&);
  void (*norm)(const norm_loop<T>&);
  void (*norm_difference)(const norm_difference_loop<T>&);
  void (*max_difference)(const max_difference_loop<T>&);
  void (*scale)(const scale_loop<T>&);
  void (*pair)(const pair_loop<T>&);
};

/// Those of values in bfloat16. Products of pairs are summed in float.
struct pair_loops {
  /// Rounds lane rows of positions x channels to nearest, even where two are.
  void (*round)(index_t positions, index_t channels, const float* in, bfloat16_pair* out);
  /// Without bias.
  void (*convolve)(const convolution_loop<float, bfloat16_pair>&);
};

template <class T>
struct loops_of_set {
  static loops<T> generic();
#if defined(ZO_HAS_X86_KERNELS)
  static loops<T> avx2();
  static loops<T> avx512();
#endif
#if defined(ZO_HAS_NEON_KERNELS)
  static loops<T> neon();
#endif
};

/// Those of the instruction set of this machine. All give the same bits: products are sums of fused
/// multiply-adds in ascending order of tap and channel, everything else is rounded step by step.
template <class T>
const loops<T>& best_loops();

#if defined(ZO_HAS_AMX_KERNELS)
pair_loops amx_pair_loops();
bool may_use_tiles();  // of a processor that has them
#endif

/// Null without tiles: an instruction for pairs in vectors (AVX512-BF16) is no faster than tiles of
/// float are, and without one pairs are slower.
const pair_loops* best_pair_loops();

}  // namespace zo::nn::detail
