// Products of bfloat16 on the tiles of AMX. Lane rows are their layout already: 16 pairs of
// channels at one position are a tile, 16 rows of 64 bytes; it meets a tile of weights, 16 output
// channels by those pairs, and the sums are a tile of 16 channels by 16 samples.
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lanes.hpp"

namespace zo::nn::detail {
namespace {

static_assert(lanes == 16 && pairs_of_tile == 16 && channels_of_tile == 16);

// The numbers of the tiles have to be literals.
//   0, 1, 2   sums of as many positions
//   3, 4      16 pairs of weights, and of one position
//   5, 6      the same for the pairs beyond the last 16
struct alignas(64) tile_shapes {
  std::uint8_t palette = 1, start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16};
};

constexpr index_t numbers_of_tile = lanes * pairs_of_tile, row_bytes = 64;

// Adds the products of one tile of weights and one of each position. `next` is from one position to
// the next.
template <int Positions>
[[gnu::always_inline]] inline void add_whole(const bfloat16_pair* w, const bfloat16_pair* x,
                                             index_t next) {
  _tile_loadd(3, w, row_bytes);
  _tile_loadd(4, x, row_bytes);
  _tile_dpbf16ps(0, 3, 4);
  if constexpr (Positions > 1) {
    _tile_loadd(4, x + next, row_bytes);
    _tile_dpbf16ps(1, 3, 4);
  }
  if constexpr (Positions > 2) {
    _tile_loadd(4, x + 2 * next, row_bytes);
    _tile_dpbf16ps(2, 3, 4);
  }
}
template <int Positions>
[[gnu::always_inline]] inline void add_rest(const bfloat16_pair* w, const bfloat16_pair* x,
                                            index_t next) {
  _tile_loadd(5, w, row_bytes);
  _tile_loadd(6, x, row_bytes);
  _tile_dpbf16ps(0, 5, 6);
  if constexpr (Positions > 1) {
    _tile_loadd(6, x + next, row_bytes);
    _tile_dpbf16ps(1, 5, 6);
  }
  if constexpr (Positions > 2) {
    _tile_loadd(6, x + 2 * next, row_bytes);
    _tile_dpbf16ps(2, 5, 6);
  }
}

template <int Position>
[[gnu::always_inline]] inline void store_tile(float* out) {
  if constexpr (Position == 0) _tile_stored(0, out, row_bytes);
  if constexpr (Position == 1) _tile_stored(1, out, row_bytes);
  if constexpr (Position == 2) _tile_stored(2, out, row_bytes);
}

// Sums of channels to lane rows; those beyond the last channel are nobody's.
template <int Position>
[[gnu::always_inline]] inline void store_sums(index_t channels, float* out) {
  if (channels >= channels_of_tile) return store_tile<Position>(out);
  alignas(64) float all[numbers_of_tile];
  store_tile<Position>(all);
  __builtin_memcpy(out, all, static_cast<std::size_t>(channels * lanes) * sizeof(float));
}

template <int Positions>
void convolve_run(const convolution_loop<float, bfloat16_pair>& p, const position_run& run,
                  index_t block) {
  const index_t pairs = p.in_channels, rest = pairs % pairs_of_tile;
  const index_t of_tap = (pairs + pairs_of_tile - 1) / pairs_of_tile * numbers_of_tile;
  const index_t next = run.in_stride * pairs * lanes;
  const bfloat16_pair* weights =
      p.weights + ((block * p.kernel_rows + run.row) * p.kernel + run.tap) * of_tap;
  const bfloat16_pair* in = p.in + run.in * pairs * lanes;
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  for (int row = 0; row < run.rows; ++row) {
    const bfloat16_pair *w = weights, *x = in;
    for (int tap = 0; tap < run.taps; ++tap) {
      for (index_t k = rest; k < pairs; k += pairs_of_tile) {
        add_whole<Positions>(w, x, next);
        w += numbers_of_tile;
        x += numbers_of_tile;
      }
      if (rest == 0) continue;
      add_rest<Positions>(w, x, next);
      w += numbers_of_tile;
      x += rest * lanes;
    }
    weights += p.kernel * of_tap;
    in += p.in_row * pairs * lanes;
  }
  const index_t channel = block * channels_of_tile, left = p.out_channels - channel;
  float* const out = p.out + (run.out * p.out_channels + channel) * lanes;
  const index_t step = run.out_stride * p.out_channels * lanes;
  store_sums<0>(left, out);
  if constexpr (Positions > 1) store_sums<1>(left, out + step);
  if constexpr (Positions > 2) store_sums<2>(left, out + 2 * step);
}

void convolve(const convolution_loop<float, bfloat16_pair>& p) {
  tile_shapes shapes;
  const index_t rest = p.in_channels % pairs_of_tile;
  if (rest > 0) {
    shapes.row_bytes[5] = static_cast<std::uint16_t>(rest * 4);
    shapes.rows[6] = static_cast<std::uint8_t>(rest);
  }
  asm volatile("" : : "r"(&shapes) : "memory");  // the intrinsic says that 8 bytes are read
  _tile_loadconfig(&shapes);
  for (index_t r = 0; r < p.count; ++r) {
    const position_run& run = p.runs[r];
    for (index_t block = 0; block * channels_of_tile < p.out_channels; ++block) {
      if (run.count == 3) {
        convolve_run<3>(p, run, block);
      } else if (run.count == 2) {
        convolve_run<2>(p, run, block);
      } else {
        convolve_run<1>(p, run, block);
      }
    }
  }
  _tile_release();
}

// Upper halves of floats, rounded to nearest even; NaN stays NaN.
inline __m512i rounded(const float* p) {
  const __m512i bits = _mm512_castps_si512(_mm512_loadu_ps(p));
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i nearest = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  const __mmask16 nan = _mm512_cmpgt_epu32_mask(
      _mm512_and_si512(bits, _mm512_set1_epi32(0x7fffffff)), _mm512_set1_epi32(0x7f800000));
  return _mm512_mask_or_epi32(nearest, nan, bits, _mm512_set1_epi32(0x400000));
}

void round_to_pairs(index_t positions, index_t channels, const float* in, bfloat16_pair* out) {
  for (index_t i = 0; i < positions; ++i, in += channels * lanes) {
    for (index_t c = 0; c < channels; c += 2, out += lanes) {
      __m512i both = _mm512_srli_epi32(rounded(in + c * lanes), 16);
      if (c + 1 < channels) {
        const __m512i upper = _mm512_set1_epi32(static_cast<int>(0xffff0000u));
        both = _mm512_or_si512(both, _mm512_and_si512(rounded(in + (c + 1) * lanes), upper));
      }
      _mm512_storeu_si512(out, both);
    }
  }
}

}  // namespace

// The system gives a process the room for tiles when it asks.
bool may_use_tiles() {
  constexpr long request_permission = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM, asm/prctl.h
  return ::syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}

pair_loops amx_pair_loops() { return {&round_to_pairs, &convolve}; }

}  // namespace zo::nn::detail
