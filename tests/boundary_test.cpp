// The gray-box boundary: rows with losses and gradients of their own.
#include "zo/boundary.hpp"

#include <thread>

#include "support.hpp"

namespace {

using namespace testing_zo;
using zo::central;
using zo::cge;
using zo::forward;
using zo::index_t;
using zo::on_failure;
using zo::points;
using zo::rge;

// Row r of the batch has a loss of its own: r + 1 times the smooth loss.
struct row_losses {
  index_t* answered = nullptr;
  void operator()(points<double> at, std::span<const index_t> rows,
                  std::span<double> losses) const {
    EXPECT_EQ(rows.size(), losses.size());
    EXPECT_EQ(at.count, static_cast<index_t>(losses.size()));
    if (answered != nullptr) *answered += at.count;
    for (std::size_t k = 0; k < rows.size(); ++k) {
      losses[k] = static_cast<double>(rows[k] + 1) * smooth_loss(at[static_cast<index_t>(k)]);
    }
  }
};

std::vector<double> batch(index_t rows, index_t d) {
  std::vector<double> z;
  for (index_t i = 0; i < rows * d; ++i) {
    z.push_back(0.3 * static_cast<double>(i % 13) - 1 + 0.01 * static_cast<double>(i));
  }
  return z;
}

std::span<const double> row_of(const std::vector<double>& z, index_t row, index_t d) {
  return std::span(z).subspan(static_cast<std::size_t>(row * d), static_cast<std::size_t>(d));
}

// Row b uses the directions b*q … b*q+q-1 of the estimate: the same bits as that row alone.
template <class D, class S>
void check_rge_rows(D d, S s) {
  const index_t rows = 3, dimension = 70, q = 4;
  const auto z = batch(rows, dimension);
  const auto r = zo::boundary(zo::seq, row_losses{}, points<double>{z, rows, dimension},
                              rge({.directions = q}, d, s), {.seed = 5, .step = 3});
  ASSERT_TRUE(r.ok);
  for (index_t b = 0; b < rows; ++b) {
    const auto x = copy_of(row_of(z, b, dimension));
    std::vector<std::vector<double>> us;
    for (index_t k = 0; k < q; ++k) {
      us.push_back(direction<double>(d, {5, 3, static_cast<std::uint32_t>(b * q + k)}, dimension));
    }
    const auto f = [&](const std::vector<double>& v) {
      return static_cast<double>(b + 1) * smooth_loss(std::span<const double>(v));
    };
    const auto expected = reference::rge(f, x, us, D::scale(dimension), 1e-3, S::points == 2);
    const auto got = row_of(r.gradients, b, dimension);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      EXPECT_NEAR(got[i], expected[i], 1e-9 * (1 + std::abs(expected[i]))) << "row " << b;
    }
    const double at_row = r.losses[static_cast<std::size_t>(b)];
    EXPECT_TRUE(!S::uses_base || at_row == f(x));
  }
}

TEST(boundary, gives_each_row_the_estimate_of_its_own_directions) {
  check_rge_rows(zo::gaussian{}, forward{});
  check_rge_rows(zo::gaussian{}, central{});
  check_rge_rows(zo::rademacher{}, forward{});
  check_rge_rows(zo::rademacher{}, central{});
  check_rge_rows(zo::sphere{}, forward{});
  check_rge_rows(zo::sphere{}, central{});
}

TEST(boundary, one_row_is_an_ordinary_estimate_bit_for_bit) {
  const auto z = batch(1, 70);
  auto f = [](std::span<const double> v) { return smooth_loss(v); };
  const auto check = [&](const auto& how) {
    std::vector<double> g(70);
    const auto plain = zo::estimate(zo::seq, f, z, g, how, {.seed = 1, .step = 2});
    const auto r =
        zo::boundary(zo::par, row_losses{}, points<double>{z, 1, 70}, how, {.seed = 1, .step = 2});
    EXPECT_TRUE(same_bits(r.gradients, g));
    EXPECT_EQ(r.losses[0], plain.value);
    EXPECT_EQ(r.queries, plain.queries);
  };
  check(rge({.directions = 5}));
  check(rge({.directions = 5}, zo::sphere{}, central{}));
  check(cge());
  check(cge({.coordinates = zo::random_coordinates{7}}, central{}));
}

TEST(boundary, the_first_row_does_not_see_the_others) {
  auto z = batch(4, 20);
  const rge how({.directions = 3}, zo::sphere{});
  const auto ask = [&] {
    const auto r = zo::boundary(zo::seq, row_losses{}, points<double>{z, 4, 20}, how);
    return copy_of(row_of(r.gradients, 2, 20));
  };
  const auto before = ask();
  for (std::size_t i = 0; i < 40; ++i) z[i] = 100 + static_cast<double>(i);
  for (std::size_t i = 60; i < 80; ++i) z[i] = -7;
  EXPECT_TRUE(same_bits(ask(), before));
}

TEST(boundary, coordinatewise_rows_agree_with_the_textbook) {
  const index_t rows = 3, d = 11;
  const auto z = batch(rows, d);
  const auto ahead = zo::boundary(zo::par, row_losses{}, points<double>{z, rows, d}, cge());
  const auto both =
      zo::boundary(zo::par, row_losses{}, points<double>{z, rows, d}, cge({}, central{}));
  for (index_t b = 0; b < rows; ++b) {
    const auto f = [&](const std::vector<double>& v) {
      return static_cast<double>(b + 1) * smooth_loss(std::span<const double>(v));
    };
    const auto x = copy_of(row_of(z, b, d));
    const auto one = reference::cge(f, x, 1e-3, false), two = reference::cge(f, x, 1e-3, true);
    for (std::size_t i = 0; i < x.size(); ++i) {
      EXPECT_NEAR(row_of(ahead.gradients, b, d)[i], one[i], 1e-9);
      EXPECT_NEAR(row_of(both.gradients, b, d)[i], two[i], 1e-9);
    }
  }
}

// ZO-AE-DS, ICLR 2022, eq. 3: d / (mu q) sum_i [l(z + mu u_i) - l(z)] u_i with u on the unit
// sphere. By hand: l(z) = 3 z_0 - 2 z_1, d = 2, q = 2, so the estimate is (2/2) sum (3 u_0 - 2 u_1)
// u.
TEST(boundary, sphere_estimate_is_the_formula_of_zo_ae_ds) {
  const std::vector<double> z{0.5, -1.0};
  auto f = [](points<double> at, std::span<const index_t>, std::span<double> losses) {
    for (index_t k = 0; k < at.count; ++k) {
      losses[static_cast<std::size_t>(k)] = 3 * at[k][0] - 2 * at[k][1];
    }
  };
  const auto r = zo::boundary(zo::seq, f, points<double>{z, 1, 2},
                              rge({.directions = 2, .smoothing = 0.25}, zo::sphere{}), {.seed = 3});
  EXPECT_EQ(r.losses, std::vector<double>{3.5});
  std::vector<double> by_hand(2, 0.0);
  for (std::uint32_t k = 0; k < 2; ++k) {
    const auto u = reference::direction(reference::distribution::sphere, {3, 0, k}, 2);
    EXPECT_NEAR(u[0] * u[0] + u[1] * u[1], 1, 1e-12);
    for (std::size_t i = 0; i < 2; ++i) by_hand[i] += (3 * u[0] - 2 * u[1]) * u[i];
  }
  EXPECT_NEAR(r.gradients[0], by_hand[0], 1e-5);
  EXPECT_NEAR(r.gradients[1], by_hand[1], 1e-5);
}

// The use it is made for: sum_b <z_b, gradient_b> back-propagated through a known linear encoder
// z_b = W x_b has dL/dW = sum_b gradient_b x_b^T.
TEST(boundary, the_surrogate_has_the_gradient_of_the_whole_loss) {
  const index_t rows = 4, d = 3, inputs = 2;
  const std::vector<double> w{0.2, -0.4, 0.7, 0.1, -0.3, 0.9}, x{1, 2, -1, 0.5, 0.3, 0.3, 2, -2};
  const auto latents = [&](const std::vector<double>& weights) {
    std::vector<double> z(static_cast<std::size_t>(rows * d), 0.0);
    for (std::size_t b = 0; b < 4; ++b) {
      for (std::size_t i = 0; i < 3; ++i) {
        for (std::size_t j = 0; j < 2; ++j) z[b * 3 + i] += weights[i * 2 + j] * x[b * 2 + j];
      }
    }
    return z;
  };
  const auto total = [&](const std::vector<double>& weights) {
    const auto z = latents(weights);
    double sum = 0;
    for (index_t b = 0; b < rows; ++b) {
      sum += static_cast<double>(b + 1) * smooth_loss(row_of(z, b, d));
    }
    return sum;
  };
  const auto z = latents(w);
  const auto r = zo::boundary(zo::par, row_losses{}, points<double>{z, rows, d},
                              cge({.smoothing = 1e-5}, central{}));
  const auto exact = reference::cge(total, w, 1e-5, true);
  for (std::size_t i = 0; i < 3; ++i) {
    for (std::size_t j = 0; j < static_cast<std::size_t>(inputs); ++j) {
      double chain = 0;
      for (std::size_t b = 0; b < 4; ++b) chain += r.gradients[b * 3 + i] * x[b * 2 + j];
      EXPECT_NEAR(chain, exact[i * 2 + j], 1e-7);
    }
  }
}

TEST(boundary, chunks_and_threads_change_no_bit) {
  const index_t rows = 5, d = 100;
  const auto z = batch(rows, d);
  const auto check = [&](const auto& how) {
    const auto expected = zo::boundary(zo::seq, row_losses{}, points<double>{z, rows, d}, how);
    for (const int threads : {1, 2, 4}) {
      for (const index_t bytes : {1, 800, 2401, 1 << 24}) {
        index_t answered = 0;
        const auto r = zo::boundary(zo::par.with_threads(threads), row_losses{&answered},
                                    points<double>{z, rows, d}, how, {.chunk_bytes = bytes});
        EXPECT_TRUE(same_bits(r.gradients, expected.gradients));
        EXPECT_TRUE(same_bits(r.losses, expected.losses));
        EXPECT_EQ(r.queries, answered);
      }
    }
  };
  check(rge({.directions = 7}));
  check(rge({.directions = 7}, zo::sphere{}, central{}));
  check(cge({.coordinates = zo::random_coordinates{9}}));
  check(cge({}, central{}));
}

TEST(boundary, a_failing_row_stays_alone_under_drop) {
  const index_t rows = 3, d = 8;
  const auto z = batch(rows, d);
  const auto good =
      zo::boundary(zo::seq, row_losses{}, points<double>{z, rows, d}, rge({.directions = 4}));
  auto f = [](points<double> at, std::span<const index_t> who, std::span<double> losses) {
    row_losses{}(at, who, losses);
    for (std::size_t k = 0; k < who.size(); ++k) {
      if (who[k] == 1) losses[k] = not_a_number;
    }
  };
  const auto r = zo::boundary(zo::seq, f, points<double>{z, rows, d},
                              rge({.directions = 4, .failures = on_failure::drop}));
  EXPECT_TRUE(r.ok);
  EXPECT_EQ(r.failed, 5);
  EXPECT_TRUE(std::isnan(r.losses[1]));
  for (std::size_t i = 0; i < z.size(); ++i) {
    EXPECT_EQ(r.gradients[i], i / 8 == 1 ? 0.0 : good.gradients[i]);
  }
  const auto stopped = zo::boundary(zo::seq, f, points<double>{z, rows, d}, rge({.directions = 4}));
  EXPECT_FALSE(stopped.ok);
  EXPECT_EQ(stopped.gradients, std::vector<double>(z.size(), 0.0));
}

// Products of sizes that 64 bits do not hold must not come round to those that are there.
TEST(boundary, sizes_beyond_all_memory_are_refused) {
  auto f = [](zo::points<double>, std::span<const index_t>, std::span<double>) { FAIL(); };
  const auto said = [&](std::span<const double> data, index_t count, index_t d) {
    return complaint([&] {
      zo::boundary(zo::seq, f, zo::points<double>{data, count, d}, zo::cge());
    });
  };
  constexpr index_t most = std::numeric_limits<index_t>::max();
  const std::pair<index_t, index_t> sizes[] = {
      {index_t{1} << 32, index_t{1} << 32}, {index_t{1} << 62, 4}, {most, 2}, {most, 1}};
  for (const auto& [count, d] : sizes) {
    EXPECT_TRUE(contains(said({}, count, d), "more than any memory holds")) << count << " " << d;
  }
  const std::vector<double> four(4);
  EXPECT_TRUE(contains(said(four, -2, -2), "at least 1"));
  EXPECT_TRUE(
      contains(said({static_cast<const double*>(nullptr), 4}, 2, 2), "z is a null pointer"));
}

TEST(boundary, wrong_sizes_are_refused_with_a_sentence) {
  const auto z = batch(2, 3);
  const auto said = [&](points<double> at) {
    return complaint([&] { zo::boundary(zo::seq, row_losses{}, at, rge()); });
  };
  EXPECT_TRUE(contains(said({z, 2, 4}), "needs 8 numbers, got 6"));
  EXPECT_TRUE(contains(said({z, 0, 3}), "no rows"));
  EXPECT_TRUE(contains(said({z, 2, 0}), "no coordinates"));
  EXPECT_TRUE(contains(said({z, -2, -3}), "zo::boundary"));
}

// An objective that also answers single points is asked by rows all the same.
struct rows_and_points : row_losses {
  using row_losses::operator();
  double operator()(std::span<const double> x) const { return smooth_loss(x); }
};

TEST(boundary, asks_by_rows_also_where_the_objective_can_do_more) {
  const auto z = batch(3, 5);
  const auto expected = zo::boundary(zo::seq, row_losses{}, points<double>{z, 3, 5}, cge());
  const auto r = zo::boundary(zo::seq, rows_and_points{}, points<double>{z, 3, 5}, cge());
  EXPECT_TRUE(same_bits(r.gradients, expected.gradients));
  EXPECT_TRUE(same_bits(r.losses, expected.losses));
}

// ---- rows that are large beside the smoothing

TEST(boundary, a_row_that_is_too_large_has_no_gradient) {
  auto f = [](points<double> at, std::span<const index_t>, std::span<double> losses) {
    for (index_t k = 0; k < at.count; ++k) losses[static_cast<std::size_t>(k)] = 2 * at[k][0];
  };
  for (const double first : {1e16, infinity, not_a_number}) {
    const std::vector<double> z{1, 2, first, 4, 5, 6};
    const auto ask = [&](const auto& how) {
      return zo::boundary(zo::seq, f, points<double>{z, 3, 2}, how);
    };
    auto r = ask(rge({.directions = 4}));
    EXPECT_FALSE(r.ok);
    EXPECT_EQ(r.why, first == 1e16 ? zo::flaw::smoothing_lost : zo::flaw::out_of_range);
    EXPECT_EQ(r.queries, 0);
    EXPECT_EQ(r.gradients, std::vector<double>(6, 0.0));
    r = ask(rge({.directions = 4, .failures = on_failure::drop}));
    EXPECT_TRUE(r.ok);
    EXPECT_EQ(r.gradients[2], 0);
    EXPECT_EQ(r.gradients[3], 0);
    // The other rows have the bits they have alone.
    const std::vector<double> sound{1, 2, 3, 4, 5, 6};
    const auto expected =
        zo::boundary(zo::seq, f, points<double>{sound, 3, 2}, rge({.directions = 4}));
    for (const std::size_t i : {0, 1, 4, 5}) EXPECT_EQ(r.gradients[i], expected.gradients[i]);
  }
}

// ---- one row at a time

TEST(rows, asked_one_at_a_time_have_the_bits_of_a_batch) {
  const index_t rows = 5, d = 30;
  const auto z = batch(rows, d);
  std::atomic<index_t> counted{0};
  const auto one = [&](std::span<const double> v, index_t row) {
    ++counted;
    return static_cast<double>(row + 1) * smooth_loss(v);
  };
  const auto check = [&](const auto& how) {
    const points<double> at{z, rows, d};
    const auto expected = zo::boundary(zo::seq, row_losses{}, at, how, {.seed = 3});
    for (const int threads : {1, 2, 7}) {
      counted = 0;
      const auto r = zo::boundary(zo::par.with_threads(threads), one, at, how, {.seed = 3});
      EXPECT_TRUE(same_bits(r.gradients, expected.gradients));
      EXPECT_TRUE(same_bits(r.losses, expected.losses));
      EXPECT_EQ(r.queries, counted);
      EXPECT_EQ(r.queries, rows * how.queries(d));
    }
  };
  check(rge({.directions = 7}));
  check(rge({.directions = 7}, zo::sphere{}, central{}));
  check(cge());
  check(cge({.coordinates = zo::random_coordinates{9}}, central{}));
}

// Two rows that wait for each other: they are asked at the same time.
TEST(rows, are_asked_in_parallel) {
  const auto z = batch(2, 3);
  std::atomic<int> waiting{0};
  const auto meets = [&](std::span<const double> v, index_t) {
    const int round = waiting++ / 2;
    for (long tries = 0; waiting < 2 * (round + 1) && tries < 100'000'000; ++tries) {
      std::this_thread::yield();
    }
    EXPECT_GE(waiting, 2 * (round + 1));
    return v[0];
  };
  const auto r = zo::boundary(zo::par.with_threads(2), meets, points<double>{z, 2, 3}, rge());
  EXPECT_TRUE(r.ok);
}

TEST(rows, that_fail_are_named) {
  const auto z = batch(4, 3);
  const auto f = [](std::span<const double> v, index_t row) {
    if (row >= 2) throw std::runtime_error("no answer for row " + std::to_string(row));
    return smooth_loss(v);
  };
  const points<double> at{z, 4, 3};
  EXPECT_THROW(zo::boundary(zo::seq, f, at, rge()), std::runtime_error);
  for (const int threads : {1, 3}) {
    const auto r = zo::boundary(zo::par.with_threads(threads), f, at,
                                rge({.directions = 2, .failures = on_failure::drop}));
    EXPECT_TRUE(r.ok);
    EXPECT_EQ(r.failed, 6);
    ASSERT_NE(r.failure, nullptr);
    EXPECT_EQ(r.failure->why, "no answer for row 2");
    EXPECT_EQ(r.failure->row, 2);
    EXPECT_EQ(r.failure->point, copy_of(row_of(z, 2, 3)));
  }
}

}  // namespace
