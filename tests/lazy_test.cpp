// Lazy objectives: every coordinate in one share, the numbers of a candidate in memory, one sum.
#include "zo/lazy.hpp"

#include "support.hpp"

namespace {

using namespace testing_zo;
using zo::index_t;

constexpr zo::stream from{0x123456789abcdefULL, 7, 5};

// What the parts of a view see, by coordinate; counts how often.
template <class T, class Make>
void expect_points(index_t dimension, const std::vector<T>& expected, const Make& make) {
  std::vector<T> seen(expected.size());
  std::vector<int> times(expected.size());
  index_t visits = 0;
  for (index_t s = 0; s < zo::detail::slices(dimension) * zo::detail::slice; ++s) {
    const auto part = make(s);
    const index_t before = visits;
    index_t last = -1;
    part.each([&](index_t i, T value) {
      seen[static_cast<std::size_t>(i)] = value;
      ++times[static_cast<std::size_t>(i)];
      ++visits;
      EXPECT_GT(i, last);  // ascending, whatever made the values
      last = i;
    });
    EXPECT_EQ(part.empty(), visits == before);
    EXPECT_EQ(part.size(), dimension);
  }
  EXPECT_EQ(times, std::vector<int>(expected.size(), 1));
  EXPECT_TRUE(same_bits(seen, expected));
  for (const index_t i : {index_t{0}, dimension / 2, dimension - 1}) {
    EXPECT_EQ(make(0)[i], expected[static_cast<std::size_t>(i)]);
  }
}

template <class T, class L>
void expect_perturbed() {
  for (const index_t dimension : {1, 15, 16, 2047, 2048, 2049, 40'000}) {
    const std::vector<T> x = ramp<T>(dimension);
    for (const T h : {T(0.01), T(-0.3)}) {
      std::vector<T> expected(x.size());
      zo::detail::perturb<L>(from, 0, dimension, x.data(), h, expected.data());
      expect_points<T>(dimension, expected, [&](index_t s) {
        return zo::detail::perturbed_part<T, L>(x.data(), dimension, s, from, h);
      });
    }
  }
}

TEST(lazy, a_perturbed_part_has_the_numbers_of_a_candidate) {
  expect_perturbed<float, zo::gaussian>();
  expect_perturbed<double, zo::gaussian>();
  expect_perturbed<float, zo::rademacher>();
  expect_perturbed<double, zo::rademacher>();
}

TEST(lazy, plain_and_moved_parts) {
  for (const index_t dimension : {1, 100, 33'000}) {
    const std::vector<double> x = ramp<double>(dimension);
    expect_points<double>(
        dimension, x, [&](index_t s) { return zo::point_part<double>(x.data(), dimension, s); });
    std::vector<double> expected = x;
    expected.back() = 9.5;
    expect_points<double>(dimension, expected, [&](index_t s) {
      return zo::detail::moved_part<double>(x.data(), dimension, s, dimension - 1, 9.5);
    });
  }
}

struct squares {
  template <class Part>
  double part(const Part& x) const {
    double sum = 0;
    x.each([&](index_t i, auto v) {
      sum += static_cast<double>(v) * static_cast<double>(v) * static_cast<double>(i % 3);
    });
    return sum;
  }
};

TEST(lazy, the_loss_is_the_sum_of_the_parts) {
  for (const index_t dimension : {1, 2048, 32'768, 32'769, 70'001}) {
    const std::vector<double> x = ramp<double>(dimension);
    double expected = 0;
    for (index_t i = 0; i < dimension; ++i) {
      const double v = x[static_cast<std::size_t>(i)];
      expected += v * v * static_cast<double>(i % 3);
    }
    EXPECT_NEAR((zo::detail::whole_loss<squares, double>(squares{}, x, 0)), expected,
                1e-13 * static_cast<double>(dimension));
  }
}

struct plain {
  template <class Part>
  double part(const Part& at) const {
    double sum = 0;
    at.each([&](index_t, double v) { sum += v; });
    return sum;
  }
};

// Small parts meet each other before they meet a large one.
TEST(lazy, parts_are_added_as_a_tree) {
  std::vector<double> x(16, 0.0);
  x[0] = 1.0;
  x[1] = 0x1p-53;
  x[9] = 0x1p-53;  // meets x[1] first: 8 lanes apart
  EXPECT_EQ((zo::detail::whole_loss<plain, double>(plain{}, x, 0)), 1.0 + 0x1p-52);
}

struct mean_of_squares {
  double count;
  std::atomic<index_t>* parts;
  template <class Part>
  double part(const Part& x, std::uint64_t sample) const {
    ++*parts;
    return squares{}.part(x) + (x.size() == 0 ? static_cast<double>(sample) : 0.0);
  }
  double finish(double sum) const { return sum / count; }
};

TEST(lazy, serves_every_estimator_and_policy) {
  const std::vector<double> x = ramp<double>(100);
  std::atomic<index_t> parts{0};
  const mean_of_squares f{100, &parts};
  const auto plain = [](std::span<const double> at) {
    return zo::detail::whole_loss<squares, double>(squares{}, at, 0) / 100;
  };
  const auto expect_same = [&](const auto& how) {
    std::vector<double> expected(100), seq(100), par(100);
    const auto a = zo::estimate(zo::seq, plain, x, expected, how);
    const auto b = zo::estimate(zo::seq, f, x, seq, how);
    zo::estimate(zo::par, f, x, par, how);
    EXPECT_EQ(a.value, b.value);
    EXPECT_EQ(a.queries, b.queries);
    EXPECT_TRUE(same_bits(seq, expected));
    EXPECT_TRUE(same_bits(par, expected));
  };
  expect_same(zo::rge({.directions = 5}, zo::sphere{}, zo::central{}));
  expect_same(zo::cge());
  std::vector<double> a = x, b = x;
  const zo::minimize_options options{.max_queries = 300};
  const auto run = zo::minimize(zo::seq, f, a, zo::rge({.directions = 3}), zo::adam(), options);
  const auto same =
      zo::minimize(zo::seq, plain, b, zo::rge({.directions = 3}), zo::adam(), options);
  EXPECT_EQ(run.value, same.value);
  EXPECT_TRUE(same_bits(a, b));
}

TEST(lazy, parts_without_coordinates_are_not_asked) {
  std::atomic<index_t> parts{0};
  const std::vector<double> x = ramp<double>(20);
  zo::detail::whole_loss<mean_of_squares, double>({1, &parts}, x, 0);
  EXPECT_EQ(parts, 16);
}

}  // namespace
