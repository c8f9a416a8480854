// An estimator of another namespace that asks points of its own: differences of fourth order,
//   g_i = [8 (f(x + h e_i) - f(x - h e_i)) - (f(x + 2h e_i) - f(x - 2h e_i))] / 12 h
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>
#include <zo/zo.hpp>

namespace elsewhere {

template <class T>
class stencil_points final : public zo::point_source<T> {
 public:
  stencil_points() = default;
  stencil_points(const zo::row_problem<T>& problem, T h) : problem_(problem), h_(h) {}

  void write(zo::index_t j, zo::index_t at, zo::index_t count, T* to) const override {
    constexpr T sides[] = {1, -1, 2, -2};
    for (zo::index_t i = at; i < at + count; ++i) to[i - at] = problem_.x[i];
    const zo::index_t moved = j / 4;
    if (moved >= at && moved < at + count) to[moved - at] += sides[j % 4] * h_;
  }
  zo::index_t worth_a_thread() const override { return 1 << 16; }

 private:
  zo::row_problem<T> problem_;
  T h_ = 0;
};

template <class M>
class stencil_run {
 public:
  using T = typename M::value_type;
  stencil_run(M& machine, double h) : machine_(machine), h_(static_cast<T>(h)) {}

  void begin(const zo::row_problem<T>& problem, const zo::estimate_options& options) {
    machine_.open(problem, options, zo::on_failure::stop);
    points_ = {problem, h_};
    posed_ = false;
  }
  bool pose() {
    if (posed_) {
      for (zo::index_t i = 0; i < machine_.problem().dimension; ++i) {
        const double* const f = machine_.answers() + 4 * i;
        machine_.problem().gradients[i] =
            static_cast<T>((8 * (f[0] - f[1]) - (f[2] - f[3])) / (12 * static_cast<double>(h_)));
      }
      return false;
    }
    machine_.pose(points_, 4 * machine_.problem().dimension, 1, false);
    return posed_ = true;
  }
  void end() {
    machine_.close(zo::detail::failed_query,  // f(x) is not asked
                   machine_.stopped() ? zo::flaw::query_failed : zo::flaw::none);
  }

 private:
  M& machine_;
  T h_;
  stencil_points<T> points_;
  bool posed_ = false;
};

struct stencil {
  static constexpr zo::asks asks = zo::asks::points;
  double h = 1e-2;
  zo::index_t queries(zo::index_t d) const { return 4 * d; }
  template <class M>
  stencil_run<M> start(M& machine) const {
    return {machine, h};
  }
};

}  // namespace elsewhere

namespace {

double quartic(std::span<const double> x) {
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    sum += x[i] * x[i] * x[i] * x[i] / 4 + static_cast<double>(i) * x[i];
  }
  return sum;
}

TEST(own_points, are_asked_by_every_policy_and_kind_of_objective) {
  const std::vector<double> x = {1, -2, 0.5, 3};
  const auto batch = [](zo::points<double> at, std::span<double> losses) {
    for (zo::index_t k = 0; k < at.count; ++k) losses[static_cast<std::size_t>(k)] = quartic(at[k]);
  };
  std::vector<double> one(4), many(4), by_batch(4);
  const auto result = zo::estimate(zo::seq, quartic, x, one, elsewhere::stencil{});
  zo::estimate(zo::par.with_threads(3), quartic, x, many, elsewhere::stencil{});
  zo::estimate(zo::seq, batch, x, by_batch, elsewhere::stencil{}, {.chunk_bytes = 100});
  EXPECT_EQ(result.queries, 16);
  EXPECT_EQ(many, one);
  EXPECT_EQ(by_batch, one);
  for (std::size_t i = 0; i < 4; ++i) {  // no error but rounding: a quartic has no fifth derivative
    EXPECT_NEAR(one[i], x[i] * x[i] * x[i] + static_cast<double>(i), 1e-11);
  }
}

TEST(own_points, that_fail_make_no_estimate) {
  const std::vector<double> x = {1, -2};
  std::vector<double> g(2, 7.0);
  const auto hole = [](std::span<const double> at) { return at[1] < -2 ? NAN : quartic(at); };
  const auto result = zo::estimate(zo::seq, hole, x, g, elsewhere::stencil{});
  EXPECT_FALSE(result.ok);
  EXPECT_EQ(result.failed, 2);
  EXPECT_EQ(result.failure->point, std::vector<double>({1, -2.01}));
  EXPECT_EQ(g, std::vector<double>(2));
}

TEST(own_points, are_handed_out) {
  const std::vector<double> start = {1, -2, 0.5, 3};
  std::vector<double> x = start;
  const zo::minimize_options options{.max_queries = 200};
  const auto here = zo::minimize(zo::seq, quartic, x, elsewhere::stencil{}, zo::sgd(), options);
  zo::ask<double> run(start, elsewhere::stencil{}, zo::sgd(), options);
  while (const auto questions = run.ask(5)) {
    for (const auto& one : questions) run.tell(one.id, quartic(one.point));
  }
  EXPECT_EQ(run.result().value, here.value);
  EXPECT_EQ(run.result().queries, here.queries);
  EXPECT_GT(here.steps, 5U);
  EXPECT_TRUE(std::ranges::equal(run.x(), x));
}

}  // namespace
