// How work is shared, and how arguments are compared.
#include "zo/team.hpp"

#include <cmath>
#include <numeric>

#include "support.hpp"

namespace {

using namespace testing_zo;
using zo::index_t;
using namespace zo::detail;

TEST(shares, are_even_and_cover_all_items_in_order) {
  for (const int ranks : {1, 2, 3, 7, 10'000}) {
    for (const index_t items : {0, 1, 2, 9, 10'007}) {
      const auto ends = even_shares(items, ranks);
      index_t at = 0, most = 0, least = items;
      for (int r = 0; r < ranks; ++r) {
        const share_range part = share_of(ends, r);
        EXPECT_EQ(part.first, at);
        at = part.end;
        most = std::max(most, part.count());
        least = std::min(least, part.count());
      }
      EXPECT_EQ(at, items);
      EXPECT_LE(most - least, 1);
    }
  }
}

TEST(shares, do_not_overflow) {
  constexpr index_t many = index_t{1} << 62;
  EXPECT_EQ(even_shares(many, 4), (std::vector<index_t>{many / 4, many / 2, many / 4 * 3, many}));
}

TEST(dealt_shares, differ_by_no_more_than_one_item) {
  const auto cost = [](index_t k) { return k < 300 ? 50.0 : 1.0 + static_cast<double>(k % 4); };
  for (const int ranks : {1, 2, 3, 8}) {
    const dealt_items dealt = deal(1000, ranks, cost);
    std::vector<bool> seen(1000);
    double least = 1e9, most = 0;
    for (int r = 0; r < ranks; ++r) {
      const share_range part = share_of(dealt.ends, r);
      double sum = 0;
      for (index_t at = part.first; at < part.end; ++at) {
        const index_t k = dealt.order[static_cast<std::size_t>(at)];
        EXPECT_FALSE(seen[static_cast<std::size_t>(k)]);
        seen[static_cast<std::size_t>(k)] = true;
        if (at > part.first) {
          EXPECT_GT(k, dealt.order[static_cast<std::size_t>(at - 1)]);
        }
        sum += cost(k);
      }
      least = std::min(least, sum);
      most = std::max(most, sum);
    }
    EXPECT_EQ(std::ranges::count(seen, true), 1000);
    EXPECT_LE(most - least, 50);
  }
}

TEST(dealt_shares, of_equal_items_go_round) {
  const dealt_items dealt = deal(7, 3, [](index_t) { return 1.0; });
  EXPECT_EQ(dealt.order, (std::vector<index_t>{0, 3, 6, 1, 4, 2, 5}));
  EXPECT_EQ(dealt.ends, (std::vector<index_t>{3, 5, 7}));
}

TEST(fingerprints, differ_where_anything_does) {
  const std::vector<float> x{1, 2, 3};
  const auto of = [](std::span<const float> values) { return fingerprint().add(values).value(); };
  EXPECT_EQ(of(x), of(x));
  EXPECT_NE(of(x), of(std::vector<float>{1, 3, 2}));
  EXPECT_NE(of(x), of(std::vector<float>{1, 2, std::nextafter(3.0f, 4.0f)}));
  EXPECT_NE(of(x), of(std::vector<float>{1, 2}));
  EXPECT_NE(of(std::vector<float>{0}), of(std::vector<float>{-0.0f}));
  EXPECT_NE(of(std::vector<float>{0}), of(std::vector<float>{0, 0}));
  EXPECT_NE(fingerprint().add(1).add(2).value(), fingerprint().add(2).add(1).value());
}

// Every bit of a long vector counts, wherever it lies.
TEST(fingerprints, see_single_bits) {
  std::vector<double> x(257, 0.5);
  const auto before = fingerprint().add(std::span<const double>(x)).value();
  for (std::size_t i = 0; i < x.size(); ++i) {
    x[i] = std::nextafter(0.5, 1.0);
    EXPECT_NE(fingerprint().add(std::span<const double>(x)).value(), before);
    x[i] = 0.5;
  }
}

}  // namespace
