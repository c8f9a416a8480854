// The Eigen adapter: the same estimates and runs as over spans, without a copy.
#include "zo/eigen.hpp"

#include "support.hpp"

namespace {

using namespace testing_zo;
using Eigen::VectorXd;
using Eigen::VectorXf;
using zo::index_t;
using zo::rge;

const auto eigen_loss = [](const Eigen::Map<const VectorXd>& x) { return x.squaredNorm() + x[0]; };
const auto span_loss = [](std::span<const double> x) {
  return Eigen::Map<const VectorXd>(x.data(), static_cast<Eigen::Index>(x.size())).squaredNorm() +
         x[0];
};

VectorXd start(index_t d) { return VectorXd::LinSpaced(d, -1, 2); }

std::vector<double> values(const VectorXd& x) { return {x.data(), x.data() + x.size()}; }

TEST(eigen, estimates_have_the_bits_of_spans) {
  const VectorXd x = start(70);
  VectorXd g(70), h(70);
  const rge how({.directions = 4}, zo::sphere{}, zo::central{});
  const auto a = zo::estimate(zo::seq, eigen_loss, x, g, how, {.seed = 3});
  const auto b = zo::estimate(zo::seq, span_loss, std::span(x.data(), 70), std::span(h.data(), 70),
                              how, {.seed = 3});
  EXPECT_EQ(g, h);
  EXPECT_EQ(a.value, b.value);
  EXPECT_EQ(a.queries, b.queries);
}

TEST(eigen, objectives_over_spans_are_taken_as_they_are) {
  const VectorXd x = start(5);
  VectorXd g(5), h(5);
  zo::estimate(zo::seq, span_loss, x, g, zo::cge());
  zo::estimate(zo::seq, eigen_loss, x, h, zo::cge());
  EXPECT_EQ(g, h);
}

// As Eigen 5 makes all of its vectors.
struct contiguous_range : VectorXd {
  using VectorXd::VectorXd;
  double* begin() { return data(); }
  double* end() { return data() + size(); }
  const double* begin() const { return data(); }
  const double* end() const { return data() + size(); }
};
static_assert(zo::eigen_vector<contiguous_range> && zo::contiguous_vector<contiguous_range>);

TEST(eigen, vectors_that_are_contiguous_ranges_too_are_not_ambiguous) {
  contiguous_range x(5), g(5), h(5);
  x.setLinSpaced(-1, 2);
  const auto any_loss = [](const auto& v) { return v[0] * v[0]; };
  zo::estimate(zo::seq, any_loss, x, g, zo::cge({.smoothing = 0.5}));
  EXPECT_EQ(g[0], -1.5);  // [(-0.5)^2 - 1] / 0.5
  zo::estimate(zo::seq, span_loss, x, g, zo::cge());
  zo::estimate(zo::seq, eigen_loss, x, h, zo::cge());
  EXPECT_EQ(g, h);
  contiguous_range y = x;
  const auto run = [](const auto& f, contiguous_range& from) {
    zo::minimize(zo::seq, f, from, zo::cge(), zo::sgd({.rate = 0.1}), {.max_queries = 100});
  };
  run(span_loss, x);
  run(eigen_loss, y);
  EXPECT_EQ(x, y);
}

TEST(eigen, maps_and_segments_are_written_in_place) {
  std::vector<double> numbers(12, 1.0);
  Eigen::Map<VectorXd> map(numbers.data(), 12);
  VectorXd g = VectorXd::Constant(12, 7);
  zo::estimate(zo::seq, eigen_loss, map.segment(2, 4), g.segment(3, 4),
               zo::cge({.smoothing = 0.5}));
  EXPECT_EQ(g[2], 7);
  EXPECT_EQ(g[7], 7);
  EXPECT_NEAR(g[3], 3.5, 1e-12);  // [(1.5^2 + 1.5) - (1 + 1)] / 0.5
  EXPECT_NEAR(g[4], 2.5, 1e-12);
  zo::minimize(zo::seq, eigen_loss, map.segment(2, 4), zo::cge(), zo::sgd({.rate = 0.1}),
               {.max_queries = 100});
  EXPECT_EQ(numbers[1], 1.0);
  EXPECT_EQ(numbers[6], 1.0);
  EXPECT_LT(numbers[2], 0.0);
  EXPECT_LT(numbers[3], 0.5);
}

TEST(eigen, fixed_sizes_rows_and_float_work) {
  Eigen::Matrix<double, 3, 1> x(1, 2, 3), g;
  zo::estimate(zo::seq, eigen_loss, x, g, zo::cge({.smoothing = 0.5}, zo::central{}));
  EXPECT_NEAR(g[0], 3, 1e-12);
  EXPECT_NEAR(g[2], 6, 1e-12);
  Eigen::RowVectorXd row = start(4).transpose();
  Eigen::RowVectorXd h(4);
  EXPECT_TRUE(zo::estimate(zo::par, eigen_loss, row, h, rge()).ok);
  const VectorXf narrow = VectorXf::Ones(4);
  VectorXf slope(4);
  auto f = [](const Eigen::Map<const VectorXf>& v) { return v.sum(); };
  zo::estimate(zo::seq, f, narrow, slope, zo::cge({.smoothing = 0.5}));
  EXPECT_EQ(slope, VectorXf::Ones(4));
}

TEST(eigen, sampled_and_batch_objectives_work) {
  const VectorXd x = start(6);
  VectorXd expected(6), g(6);
  const rge how({.directions = 5});
  zo::estimate(zo::seq, span_loss, x, expected, how, {.step = 4});
  auto sampled = [](const Eigen::Map<const VectorXd>& v, zo::sample_id sample) {
    EXPECT_EQ(sample, 4u);
    return v.squaredNorm() + v[0];
  };
  zo::estimate(zo::seq, sampled, x, g, how, {.step = 4});
  EXPECT_EQ(g, expected);
  using rows = zo::eigen_objective<int, double>;
  auto batch = [](const rows::candidates& at, rows::losses& losses) {
    EXPECT_EQ(at.rows(), losses.size());
    losses = at.rowwise().squaredNorm() + at.col(0);
  };
  zo::estimate(zo::seq, batch, x, g, how, {.step = 4});
  EXPECT_LT((g - expected).norm(), 1e-9 * expected.norm());
}

TEST(eigen, objectives_see_the_vector_itself_not_a_copy) {
  const VectorXd x = start(5);
  VectorXd g(5);
  const double* base = nullptr;
  auto f = [&](const Eigen::Map<const VectorXd>& v) {
    if (base == nullptr) base = v.data();
    return v.sum();
  };
  zo::estimate(zo::seq, f, x, g, rge());
  EXPECT_EQ(base, x.data());
}

TEST(eigen, minimize_has_the_bits_of_spans) {
  VectorXd x = start(9);
  std::vector<double> y = values(x);
  const rge how({.directions = 3});
  const zo::minimize_options options{.max_queries = 300, .seed = 6};
  const auto a = zo::minimize(zo::seq, eigen_loss, x, how, zo::adam({.rate = 0.1}), options);
  const auto b = zo::minimize(zo::seq, span_loss, y, how, zo::adam({.rate = 0.1}), options);
  EXPECT_EQ(values(x), y);
  EXPECT_EQ(a.value, b.value);
}

TEST(eigen, elements_that_are_not_adjacent_are_refused) {
  Eigen::MatrixXd matrix = Eigen::MatrixXd::Ones(3, 4);
  VectorXd g(4);
  const auto said =
      complaint([&] { zo::estimate(zo::seq, eigen_loss, matrix.row(1), g, zo::cge()); });
  EXPECT_TRUE(contains(said, "must be adjacent")) << said;
  VectorXd column(3);
  EXPECT_TRUE(zo::estimate(zo::seq, eigen_loss, matrix.col(1), column, zo::cge()).ok);
}

}  // namespace
