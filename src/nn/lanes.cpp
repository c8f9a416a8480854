// Geometry and packing for the loops over lane rows, and the choice among them.
#include "lanes.hpp"

#include <algorithm>
#include <new>
#include <string_view>

#if defined(__linux__)
#include <sys/mman.h>
#endif
#if defined(ZO_HAS_AMX_KERNELS)
#include <cpuid.h>
#endif

#include "zo/bfloat16.hpp"
#include "zo/direction.hpp"

namespace zo::nn::detail {

namespace {

// Taps of output position `at` that lie inside an image of `extent`: the first and how many.
struct inside {
  index_t first, count;
  bool operator==(const inside&) const = default;
};

inside taps_inside(const node& n, index_t at, index_t extent) {
  const index_t corner = at * n.stride - n.padding;
  const index_t first = std::max<index_t>(0, -corner);
  return {first, std::max<index_t>(0, std::min(n.kernel, extent - corner) - first)};
}

// Positions of a chunk: enough that the work is not mostly bookkeeping, and few enough that they
// are still near when a batch norm sums over them.
index_t rows_of_chunk(const node& n) {
  const index_t positions = 32;
  return std::min(n.out.height, (positions + n.out.width - 1) / n.out.width);
}

position_run run_at(const node& n, index_t y, index_t x, const inside& rows,
                    const inside& columns) {
  const index_t row = y * n.stride - n.padding + rows.first;
  const index_t column = x * n.stride - n.padding + columns.first;
  return {.count = 1,
          .out = static_cast<std::int32_t>(y * n.out.width + x),
          .out_stride = 1,
          .in = static_cast<std::int32_t>(row * n.in.width + column),
          .in_stride = static_cast<std::int32_t>(n.stride),
          .tap = static_cast<std::int32_t>(columns.first),
          .taps = static_cast<std::int32_t>(columns.count),
          .row = static_cast<std::int32_t>(rows.first),
          .rows = static_cast<std::int32_t>(rows.count)};
}

}  // namespace

std::vector<position_run> runs_of(const node& n) {
  if (n.what == operation::linear) {
    return {{.count = 1,
             .out = 0,
             .out_stride = 0,
             .in = 0,
             .in_stride = 0,
             .tap = 0,
             .taps = static_cast<std::int32_t>(n.in.area()),
             .row = 0,
             .rows = 1}};
  }
  std::vector<position_run> runs;
  const auto columns_at = [&](index_t x) { return taps_inside(n, x, n.in.width); };
  const auto rows_at = [&](index_t y) { return taps_inside(n, y, n.in.height); };
  const auto alone = [&](index_t x) {  // no neighbour has the taps of this column
    const inside columns = columns_at(x);
    return (x == 0 || columns_at(x - 1) != columns) &&
           (x + 1 == n.out.width || columns_at(x + 1) != columns);
  };
  for (index_t first = 0; first < n.out.height; first += rows_of_chunk(n)) {
    const index_t end = std::min(n.out.height, first + rows_of_chunk(n));
    for (index_t y = first; y < end; ++y) {
      for (index_t x = 0; x < n.out.width;) {
        position_run run = run_at(n, y, x, rows_at(y), columns_at(x));
        const index_t from = x++;
        if (alone(from)) continue;
        for (; run.count < 3 && x < n.out.width && columns_at(x) == columns_at(from); ++x) {
          run.count += 1;
        }
        runs.push_back(run);
      }
    }
    for (index_t x = 0; x < n.out.width; ++x) {
      for (index_t y = first; y < end && alone(x);) {
        position_run run = run_at(n, y, x, rows_at(y), columns_at(x));
        run.out_stride = static_cast<std::int32_t>(n.out.width);
        run.in_stride = static_cast<std::int32_t>(n.stride * n.in.width);
        const index_t from = y++;
        for (; run.count < 3 && y < end && rows_at(y) == rows_at(from); ++y) run.count += 1;
        runs.push_back(run);
      }
    }
  }
  return runs;
}

std::vector<chunk> chunks_of(const node& n, const std::vector<position_run>& runs) {
  const index_t positions = n.what == operation::linear ? 1 : rows_of_chunk(n) * n.out.width;
  std::vector<chunk> chunks;
  for (index_t k = 0; k < static_cast<index_t>(runs.size()); ++k) {
    const position_run& run = runs[static_cast<std::size_t>(k)];
    const index_t number = run.out / positions;
    if (number == static_cast<index_t>(chunks.size())) {
      chunks.push_back(
          {.first_run = k, .runs = 0, .first_position = number * positions, .positions = 0});
    }
    chunks.back().runs += 1;
    chunks.back().positions += run.count;
  }
  return chunks;
}

namespace {

index_t taps_of(const node& n) {
  return n.what == operation::linear ? n.in.area() : n.kernel * n.kernel;
}

}  // namespace

index_t packed_size(const node& n) {
  return blocks_of(n.out.channels) * taps_of(n) * n.in.channels * block_channels;
}

index_t tiles_size(const node& n) {
  return blocks_of(n.out.channels) * n.kernel * n.in.channels * sums_of_tile * block_channels;
}

index_t transformed_size(const node& n) {
  return n.in.width / tile * sums_of_tile * (4 * n.in.channels + n.out.channels) * lanes;
}

namespace {

index_t tiles_of(index_t numbers, index_t size) { return (numbers + size - 1) / size; }

}  // namespace

bool has_pairs(const node& n, products how) {
  return how == products::bfloat16 && mixes(n.what) && n.in.channels >= 64 &&
         best_pair_loops() != nullptr;
}

index_t pairs_bytes(const node& n) {
  return tiles_of(n.out.channels, channels_of_tile) * taps_of(n) *
         tiles_of(pairs_of(n.in.channels), pairs_of_tile) * channels_of_tile * pairs_of_tile *
         static_cast<index_t>(sizeof(bfloat16_pair));
}

template <class T>
void pack_weights(const node& n, const T* weight, lane_vector<T>& packed) {
  const index_t taps = taps_of(n), channels = n.in.channels;
  packed.assign(static_cast<std::size_t>(packed_size(n)), T(0));
  for (index_t o = 0; o < n.out.channels; ++o) {
    T* const block =
        packed.data() + o / block_channels * taps * channels * block_channels + o % block_channels;
    for (index_t c = 0; c < channels; ++c) {
      for (index_t tap = 0; tap < taps; ++tap) {
        block[(tap * channels + c) * block_channels] = weight[(o * channels + c) * taps + tap];
      }
    }
  }
}

template <class T>
const loops<T>& best_loops() {
  static const loops<T> best = [] {
    [[maybe_unused]] const std::string_view set = instruction_set();
#if defined(ZO_HAS_X86_KERNELS)
    if (set == "avx512") return loops_of_set<T>::avx512();
    if (set == "avx2") return loops_of_set<T>::avx2();
#endif
#if defined(ZO_HAS_NEON_KERNELS)
    if (set == "neon") return loops_of_set<T>::neon();
#endif
    return loops_of_set<T>::generic();
  }();
  return best;
}

namespace {

// body(lane row, numbers of its samples, positions, samples), so many positions of a channel at a
// time that a sample's numbers fill whole lines of cache.
template <class Lanes, class Rows, class Body>
void each_block(const shape& s, index_t count, Lanes* in_lanes, Rows* rows, const Body& body) {
  constexpr index_t together = 16;
  for (index_t g = 0; g < groups_of(count); ++g) {
    Lanes* const group = in_lanes + g * s.size() * lanes;
    Rows* const first = rows + g * lanes * s.size();
    const index_t samples = std::min(lanes, count - g * lanes);
    for (index_t p = 0; p < s.area(); p += together) {
      const index_t positions = std::min(together, s.area() - p);
      for (index_t c = 0; c < s.channels; ++c) {
        body(group + (p * s.channels + c) * lanes, first + c * s.area() + p, positions, samples);
      }
    }
  }
}

}  // namespace

template <class T>
void to_lanes(const shape& s, index_t count, const T* rows, T* in_lanes) {
  const index_t step = s.channels * lanes, size = s.size();
  each_block(s, count, in_lanes, rows,
             [&](T* to, const T* from, index_t positions, index_t samples) {
               for (index_t p = 0; p < positions; ++p) {
                 for (index_t k = 0; k < samples; ++k) to[p * step + k] = from[k * size + p];
                 for (index_t k = samples; k < lanes; ++k) to[p * step + k] = T(0);
               }
             });
}

template <class T>
void from_lanes(const shape& s, index_t count, const T* in_lanes, T* rows) {
  const index_t step = s.channels * lanes, size = s.size();
  each_block(s, count, in_lanes, rows,
             [&](const T* from, T* to, index_t positions, index_t samples) {
               for (index_t k = 0; k < samples; ++k) {
                 for (index_t p = 0; p < positions; ++p) to[k * size + p] = from[p * step + k];
               }
             });
}

template <class T>
void to_planes(const shape& s, index_t groups, const T* in_lanes, T* planes) {
  const index_t rows = groups * s.area();
  for (index_t c = 0; c < s.channels; ++c) {
    for (index_t p = 0; p < rows; ++p) {
      std::copy_n(in_lanes + (p * s.channels + c) * lanes, lanes, planes + (c * rows + p) * lanes);
    }
  }
}

namespace {

constexpr std::size_t large_page = std::size_t{2} << 20;

std::align_val_t alignment_of(std::size_t bytes) {
  return std::align_val_t{bytes >= large_page ? large_page : 64};
}

}  // namespace

void* allocate_lanes(std::size_t bytes) {
  void* const memory = ::operator new(bytes, alignment_of(bytes));
#if defined(__linux__)
  if (bytes >= large_page) madvise(memory, bytes, MADV_HUGEPAGE);  // a wish: failure costs nothing
#endif
  return memory;
}

void free_lanes(void* memory, std::size_t bytes) noexcept {
  ::operator delete(memory, alignment_of(bytes));
}

bool has_tiles(const node& n) {
  return n.what == operation::convolution && n.kernel == 3 && n.stride == 1 && n.padding == 1 &&
         n.in.width % tile == 0;
}

template <class T>
void pack_tiles(const node& n, const T* weight, lane_vector<T>& packed) {
  const index_t channels = n.in.channels;
  packed.assign(static_cast<std::size_t>(tiles_size(n)), T(0));
  for (index_t o = 0; o < n.out.channels; ++o) {
    for (index_t row = 0; row < n.kernel; ++row) {
      for (index_t c = 0; c < channels; ++c) {
        const T* const w = weight + ((o * channels + c) * n.kernel + row) * n.kernel;
        const auto left = static_cast<double>(w[0]), middle = static_cast<double>(w[1]),
                   right = static_cast<double>(w[2]);
        const double sums[sums_of_tile] = {left / 4,
                                           -(left + middle + right) / 6,
                                           -(left - middle + right) / 6,
                                           (left + 2 * middle + 4 * right) / 24,
                                           (left - 2 * middle + 4 * right) / 24,
                                           right};
        for (index_t k = 0; k < sums_of_tile; ++k) {
          const index_t of_sum = o / block_channels * sums_of_tile + k;
          const index_t at = (of_sum * n.kernel + row) * channels + c;
          packed[static_cast<std::size_t>(at * block_channels + o % block_channels)] =
              static_cast<T>(sums[k]);
        }
      }
    }
  }
}

void pack_pairs(const node& n, const float* weight, std::vector<bfloat16_pair>& packed) {
  const index_t taps = taps_of(n), channels = n.in.channels;
  const index_t steps = tiles_of(pairs_of(channels), pairs_of_tile);
  packed.assign(static_cast<std::size_t>(pairs_bytes(n)) / sizeof(bfloat16_pair), {0});
  for (index_t o = 0; o < n.out.channels; ++o) {
    for (index_t c = 0; c < channels; ++c) {
      for (index_t tap = 0; tap < taps; ++tap) {
        const index_t pair = c / 2;
        const index_t in_tile = (o / channels_of_tile * taps + tap) * steps + pair / pairs_of_tile;
        const index_t at = (in_tile * channels_of_tile + o % channels_of_tile) * pairs_of_tile +
                           pair % pairs_of_tile;
        const std::uint32_t half = bfloat16(weight[(o * channels + c) * taps + tap]).bits;
        packed[static_cast<std::size_t>(at)].bits |= c % 2 == 0 ? half : half << 16;
      }
    }
  }
}

#if defined(ZO_HAS_AMX_KERNELS)
namespace {

bool has_amx() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  constexpr unsigned bfloat16_tiles = 1U << 22, tiles = 1U << 24;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & bfloat16_tiles) != 0 &&
         (d & tiles) != 0;
}

}  // namespace
#endif

const pair_loops* best_pair_loops() {
#if defined(ZO_HAS_AMX_KERNELS)
  static const bool usable =
      std::string_view(instruction_set()) == "avx512" && has_amx() && may_use_tiles();
  if (!usable) return nullptr;  // whose code may hold instructions that the processor lacks
  static const pair_loops tiles = amx_pair_loops();
  return &tiles;
#else
  return nullptr;
#endif
}

template void to_lanes(const shape&, index_t, const float*, float*);
template void to_lanes(const shape&, index_t, const double*, double*);
template void from_lanes(const shape&, index_t, const float*, float*);
template void from_lanes(const shape&, index_t, const double*, double*);
template void to_planes(const shape&, index_t, const float*, float*);
template void to_planes(const shape&, index_t, const double*, double*);
template void pack_tiles(const node&, const float*, lane_vector<float>&);
template void pack_tiles(const node&, const double*, lane_vector<double>&);
template void pack_weights(const node&, const float*, lane_vector<float>&);
template void pack_weights(const node&, const double*, lane_vector<double>&);
template const loops<float>& best_loops();
template const loops<double>& best_loops();

}  // namespace zo::nn::detail
