// Philox, the counter of a stream, and integers below a bound.
#include "zo/random.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <map>
#include <set>
#include <tuple>
#include <vector>

#include "support.hpp"
#include "zo/coordinate.hpp"

namespace {

using testing_zo::complaint;
using testing_zo::contains;
using zo::index_t;
using zo::purpose;
using zo::stream;
using word4 = zo::words4<std::uint32_t>;

reference::words array_of(word4 w) { return {w.w0, w.w1, w.w2, w.w3}; }

// Random123, kat_vectors, rows "philox4x32 10".
TEST(philox, gives_the_published_answers) {
  const auto answer = [](word4 counter, std::uint32_t k0, std::uint32_t k1) {
    return array_of(zo::philox4x32_10(counter, k0, k1));
  };
  const std::uint32_t ones = 0xffffffffu;
  EXPECT_EQ(answer({0, 0, 0, 0}, 0, 0),
            (reference::words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(answer({ones, ones, ones, ones}, ones, ones),
            (reference::words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(answer({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, 0xa4093822, 0x299f31d0),
            (reference::words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(philox, the_reference_gives_the_published_answers) {
  EXPECT_EQ(reference::philox({0, 0, 0, 0}, {0, 0}),
            (reference::words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(
      reference::philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
      (reference::words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(philox, agrees_with_the_reference_on_many_counters) {
  reference::words state{1, 2, 3, 4};
  for (int k = 0; k < 1000; ++k) {
    const word4 counter{state[0], state[1], state[2], state[3]};
    const std::uint32_t key0 = state[1] ^ state[2], key1 = state[0] + state[3];
    state = reference::philox(state, {key0, key1});
    ASSERT_EQ(array_of(zo::philox4x32_10(counter, key0, key1)), state) << "after " << k;
  }
}

TEST(stream, words_are_those_of_the_documented_counter) {
  const stream at{0x123456789abcdef0u, 0x00fedcba98765432u, 0xcafe0123u, purpose::direction};
  for (const std::uint32_t block : {0u, 1u, 77u, 0xffffffffu}) {
    EXPECT_EQ(array_of(at.words(block)), reference::block({at.seed, at.step, at.number}, block));
    stream other = at;
    other.use = purpose::coordinates;
    EXPECT_EQ(array_of(other.words(block)),
              reference::block({at.seed, at.step, at.number}, block, 1));
  }
}

// Known fault elsewhere: "DeComFL seed formula, EvoX 31-bit seeds: collisions". Every bit of
// (block, number, step, purpose) has a bit of its own in the 128-bit counter, and the map is linear
// over xor, so no two places share a counter.
TEST(stream, the_counter_is_injective) {
  const auto counter = [](std::uint32_t block, std::uint32_t number, std::uint64_t step, int use) {
    const stream at{0, step, number, static_cast<purpose>(use)};
    return array_of(at.counter(block));
  };
  std::set<std::pair<int, int>> bits;
  const auto owns_one_bit = [&](reference::words c, const char* what, int bit) {
    int set = 0;
    for (int word = 0; word < 4; ++word) {
      const std::uint32_t w = c[static_cast<std::size_t>(word)];
      set += std::popcount(w);
      if (w != 0) {
        EXPECT_TRUE(bits.insert({word, std::countr_zero(w)}).second)
            << what << " bit " << bit << " shares its place in the counter";
      }
    }
    EXPECT_EQ(set, 1) << what << " bit " << bit << " must set one bit of the counter";
  };
  EXPECT_EQ(counter(0, 0, 0, 0), (reference::words{0, 0, 0, 0}));
  for (int b = 0; b < 32; ++b) {
    owns_one_bit(counter(1u << b, 0, 0, 0), "block", b);
    owns_one_bit(counter(0, 1u << b, 0, 0), "number", b);
  }
  for (int b = 0; b < 56; ++b) owns_one_bit(counter(0, 0, std::uint64_t{1} << b, 0), "step", b);
  for (int b = 0; b < 8; ++b) owns_one_bit(counter(0, 0, 0, 1 << b), "purpose", b);

  reference::words random{9, 8, 7, 6};
  for (int k = 0; k < 100; ++k) {  // linear: the counter of a xor is the xor of the counters
    random = reference::philox(random, {1, 2});
    const std::uint64_t step = (std::uint64_t{random[2]} << 32 | random[3]) >> 8;
    const reference::words parts[] = {counter(random[0], 0, 0, 0), counter(0, random[1], 0, 0),
                                      counter(0, 0, step, 0), counter(0, 0, 0, 1)};
    reference::words sum{};
    for (const auto& part : parts) {
      for (std::size_t w = 0; w < 4; ++w) sum[w] ^= part[w];
    }
    ASSERT_EQ(counter(random[0], random[1], step, 1), sum);
  }
}

TEST(stream, every_bit_of_the_seed_matters) {
  std::set<reference::words> answers{array_of(stream{}.words(0))};
  for (int b = 0; b < 64; ++b) {
    answers.insert(array_of(stream{std::uint64_t{1} << b, 0, 0}.words(0)));
  }
  EXPECT_EQ(answers.size(), 65u);
}

TEST(stream, neighbouring_places_have_different_words) {
  std::set<reference::words> seen;
  for (std::uint64_t seed : {0u, 1u}) {
    for (std::uint64_t step = 0; step < 8; ++step) {
      for (std::uint32_t number = 0; number < 8; ++number) {
        for (std::uint32_t block = 0; block < 8; ++block) {
          for (const purpose use : {purpose::direction, purpose::coordinates}) {
            seen.insert(array_of(stream{seed, step, number, use}.words(block)));
          }
        }
      }
    }
  }
  EXPECT_EQ(seen.size(), 2u * 8 * 8 * 8 * 2);
}

// Chi-square of counts against equal expectations, as a z-score: mean k-1, variance 2 (k-1).
double chi_square_z(const std::vector<double>& counts) {
  double total = 0, chi = 0;
  for (double c : counts) total += c;
  const double expected = total / static_cast<double>(counts.size());
  for (double c : counts) chi += (c - expected) * (c - expected) / expected;
  const double freedom = static_cast<double>(counts.size()) - 1;
  return (chi - freedom) / std::sqrt(2 * freedom);
}

TEST(bounded_integers, are_uniform_and_below_the_bound) {
  for (const std::uint64_t bound : {1u, 2u, 3u, 7u, 10u, 100u}) {
    zo::detail::bounded_integers random({5, 6, 0, purpose::coordinates});
    std::vector<double> counts(bound, 0.0);
    for (int k = 0; k < 20000; ++k) {
      const std::uint64_t drawn = random.below(bound);
      ASSERT_LT(drawn, bound);
      counts[drawn] += 1;
    }
    if (bound > 1) {
      EXPECT_LT(std::abs(chi_square_z(counts)), 5) << "bound " << bound;
    }
  }
}

TEST(bounded_integers, reject_what_would_bias_a_large_bound) {
  // Multiples of 3 must come up one time in three. Without rejection floor(3 x / 4) of a uniform
  // 64-bit x would give them one time in two.
  const std::uint64_t bound = std::uint64_t{3} << 62;
  zo::detail::bounded_integers random({1, 2, 0, purpose::coordinates});
  const double draws = 30000;
  double multiples = 0;
  for (int k = 0; k < static_cast<int>(draws); ++k) {
    const std::uint64_t drawn = random.below(bound);
    ASSERT_LT(drawn, bound);
    multiples += drawn % 3 == 0 ? 1 : 0;
  }
  EXPECT_LT(std::abs(multiples - draws / 3) / std::sqrt(draws * 2 / 9), 5);
}

TEST(random_subset, is_distinct_ascending_and_uniform) {
  for (const auto& [dimension, count] :
       {std::pair<zo::index_t, zo::index_t>{1, 1}, {2, 1}, {7, 3}, {7, 7}, {10, 9}, {50, 5}}) {
    const int draws = 4000;
    std::vector<double> hits(static_cast<std::size_t>(dimension), 0.0);
    for (int step = 0; step < draws; ++step) {
      const auto subset = zo::random_subset(
          dimension, count, {3, static_cast<std::uint64_t>(step), 0, purpose::coordinates});
      ASSERT_EQ(static_cast<zo::index_t>(subset.size()), count);
      for (std::size_t k = 0; k < subset.size(); ++k) {
        ASSERT_TRUE(subset[k] >= 0 && subset[k] < dimension);
        ASSERT_TRUE(k == 0 || subset[k - 1] < subset[k]);
        hits[static_cast<std::size_t>(subset[k])] += 1;
      }
    }
    const double p = static_cast<double>(count) / static_cast<double>(dimension);
    for (const double h : hits) {
      const double spread = std::sqrt(draws * p * (1 - p));
      EXPECT_LE(std::abs(h - draws * p), 5 * spread) << dimension << " " << count;
    }
  }
}

TEST(random_subset, of_impossible_sizes_is_refused) {
  const auto said = [](index_t dimension, index_t count) {
    return complaint([&] { zo::random_subset(dimension, count, {}); });
  };
  EXPECT_TRUE(contains(said(3, 4), "zo::random_subset: cannot draw 4 different numbers of 3"));
  EXPECT_TRUE(contains(said(3, -1), "cannot draw -1"));
  EXPECT_TRUE(contains(said(-3, -3), "cannot draw -3"));
  constexpr index_t most = std::numeric_limits<index_t>::max();
  EXPECT_TRUE(contains(said(most, most), "at most 2^32 numbers"));
  EXPECT_TRUE(zo::random_subset(0, 0, {}).empty());
  EXPECT_EQ(zo::random_subset(most, 3, {}).size(), 3u);
}

TEST(shuffle, gives_every_order_equally_often) {
  constexpr int draws = 24000;
  std::map<std::vector<int>, int> seen;
  for (std::uint64_t step = 0; step < draws; ++step) {
    std::vector<int> items{1, 2, 3, 4};
    zo::shuffle(items, {9, step});
    ++seen[items];
  }
  EXPECT_EQ(seen.size(), 24u);
  const double deviation = std::sqrt(draws / 24.0 * 23 / 24);
  for (const auto& [order, count] : seen) EXPECT_LT(std::abs(count - draws / 24), 4.5 * deviation);
  std::vector<int> none;
  zo::shuffle(none, {});
  EXPECT_TRUE(none.empty());
}

TEST(random_subset, every_pair_is_equally_likely) {
  std::map<std::vector<zo::index_t>, double> seen;
  const int draws = 10000;
  for (int step = 0; step < draws; ++step) {
    seen[zo::random_subset(5, 2, {4, static_cast<std::uint64_t>(step), 0, purpose::coordinates})] +=
        1;
  }
  ASSERT_EQ(seen.size(), 10u);
  std::vector<double> counts;
  for (const auto& [pair, count] : seen) counts.push_back(count);
  EXPECT_LT(std::abs(chi_square_z(counts)), 5);
}

}  // namespace
