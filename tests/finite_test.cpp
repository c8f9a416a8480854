// NaN and infinities are noticed in programs compiled with -ffast-math, as this one is.
#include "zo/finite.hpp"

#include <cstdint>
#include <cstring>

#include "support.hpp"

namespace {

using namespace testing_zo;
using zo::index_t;

// Of bits, so that no flag can take the numbers for others.
double double_of(std::uint64_t bits) {
  double value = 0;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
float float_of(std::uint32_t bits) {
  float value = 0;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
constexpr std::uint64_t plus_infinity = 0x7FF0'0000'0000'0000, sign = std::uint64_t{1} << 63;
const std::uint64_t bad_bits[] = {plus_infinity, plus_infinity | sign, plus_infinity + 1,
                                  0x7FF8'0000'0000'0000, 0xFFF8'0000'0000'0000};

TEST(is_finite, is_true_of_numbers_alone) {
  using zo::detail::is_finite;
  using zo::detail::is_nan;
  for (const std::uint64_t bits : bad_bits) {
    EXPECT_FALSE(is_finite(double_of(bits))) << std::hex << bits;
    EXPECT_EQ(is_nan(double_of(bits)), (bits & ~sign) != plus_infinity) << std::hex << bits;
  }
  for (const std::uint32_t bits :
       {0x7F800000u, 0xFF800000u, 0x7F800001u, 0x7FC00000u, 0xFFC00000u}) {
    EXPECT_FALSE(is_finite(float_of(bits))) << std::hex << bits;
    EXPECT_EQ(is_nan(float_of(bits)), (bits & 0x7FFFFFFF) != 0x7F800000) << std::hex << bits;
  }
  for (const std::uint64_t bits : {std::uint64_t{0}, sign, std::uint64_t{1}, plus_infinity - 1}) {
    EXPECT_TRUE(is_finite(double_of(bits)));
    EXPECT_FALSE(is_nan(double_of(bits)));
  }
  EXPECT_TRUE(is_finite(float_of(0x7F7FFFFF)));
}

/// Answers a bad number at every candidate but x itself, which is all ones.
template <class T>
struct bad_elsewhere {
  std::uint64_t bits;
  double loss(std::span<const T> x) const {
    for (const T v : x) {
      if (v != T(1)) return double_of(bits);
    }
    return 2;
  }
  double operator()(std::span<const T> x) const { return loss(x); }
};
template <class T>
struct bad_batch : bad_elsewhere<T> {
  void operator()(zo::points<T> at, std::span<double> losses) const {
    for (index_t k = 0; k < at.count; ++k) losses[static_cast<std::size_t>(k)] = this->loss(at[k]);
  }
  double operator()(std::span<const T>) const = delete;
};
template <class T>
struct bad_probe {
  std::uint64_t bits;
  double prepare(std::span<const T>, zo::sample_id) { return 2; }
  void probe(std::span<const index_t> at, std::span<const T> steps, std::span<double> differences) {
    for (std::size_t k = 0; k < at.size(); ++k) {
      differences[k] = at[k] == 1 ? double_of(bits) : static_cast<double>(steps[k]);
    }
  }
};

template <class T, class F, class How>
void expect_refused(const F& f, const How& how) {
  std::vector<T> x(3, T(1)), g(3, T(7));
  F own = f;
  const auto r = zo::estimate(zo::par.with_threads(2), own, x, g, how);
  EXPECT_FALSE(r.ok);
  EXPECT_GE(r.failed, 1);
  EXPECT_EQ(g, std::vector<T>(3));
  const auto run = zo::minimize(zo::seq, own, x, how, zo::sgd(), {.max_queries = 100});
  EXPECT_EQ(run.why, zo::status::query_failed);
  EXPECT_EQ(x, std::vector<T>(3, T(1)));
}

TEST(estimates, notice_answers_that_are_no_numbers) {
  for (const std::uint64_t bits : bad_bits) {
    expect_refused<double>(bad_elsewhere<double>{bits}, zo::rge({.directions = 4}));
    expect_refused<float>(bad_elsewhere<float>{bits}, zo::cge());
    expect_refused<double>(bad_elsewhere<double>{bits}, zo::cge({}, zo::central{}));
    expect_refused<float>(bad_batch<float>{{bits}}, zo::rge({}, zo::sphere{}, zo::central{}));
    expect_refused<double>(bad_probe<double>{bits}, zo::cge());
    expect_refused<float>(bad_probe<float>{bits}, zo::cge({}, zo::central{}));
  }
}

TEST(estimates, notice_slopes_that_overflow) {
  std::vector<double> x{1, 1}, g(2);
  auto huge = [](std::span<const double> v) { return v[0] != 1 ? 1e308 : 0.0; };
  EXPECT_FALSE(zo::estimate(zo::seq, huge, x, g, zo::cge({.smoothing = 1e-6})).ok);
  EXPECT_FALSE(zo::estimate(zo::seq, huge, x, g, zo::rge({.smoothing = 1e-6})).ok);
}

TEST(options, that_are_no_numbers_are_refused) {
  for (const std::uint64_t bits : bad_bits) {
    const double bad = double_of(bits);
    EXPECT_NE(complaint([&] { zo::rge({.smoothing = bad}); }), "");
    EXPECT_NE(complaint([&] { zo::cge({.smoothing = bad}); }), "");
    EXPECT_NE(complaint([&] { zo::sgd({.rate = bad}); }), "");
    EXPECT_NE(complaint([&] { zo::sgd({.momentum = bad}); }), "");
    EXPECT_NE(complaint([&] { zo::sgd({.weight_decay = bad}); }), "");
    EXPECT_NE(complaint([&] { zo::sign_sgd({.weight_decay = bad}); }), "");
    EXPECT_NE(complaint([&] { zo::adam({.epsilon = bad}); }), "");
    EXPECT_NE(complaint([&] { zo::adam({.weight_decay = bad}); }), "");
    EXPECT_NE(complaint([&] { zo::cosine({.peak = bad, .steps = 3}); }), "");
    EXPECT_NE(complaint([&] { zo::step_decay({.start = bad}); }), "");
    EXPECT_NE(complaint([&] { zo::adam({.beta1 = bad}); }), "");
    EXPECT_NE(complaint([&] { zo::adam({.beta2 = bad}); }), "");
  }
  auto f = [](std::span<const double> v) { return v[0]; };
  std::vector<double> x{1};
  EXPECT_NE(complaint([&] {
              zo::minimize(zo::seq, f, x, zo::cge(), zo::sgd(),
                           {.max_queries = 9, .target = double_of(bad_bits[3])});
            }),
            "");
}

}  // namespace
