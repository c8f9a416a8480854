// Rowwise estimates on the device against zo::seq: the same bits, row by row.
#include "device.hpp"

namespace {

using namespace testing_zo;

class gpu_boundary : public gpu {
 protected:
  template <class T, class How>
  void expect_cpu_rows(const How& how, zo::index_t rows, zo::index_t dimension,
                       const fault& where = {}, zo::index_t chunk_bytes = 1 << 20) {
    const std::vector<T> z = ramp<T>(rows * dimension);
    zo::estimate_options options{.seed = 3, .step = 6};
    options.chunk_bytes = chunk_bytes;
    const auto host = zo::boundary(zo::seq, host_rowwise<T>{where},
                                   zo::points<T>{z, rows, dimension}, how, options);
    const zo::cuda::array<T> there(on(), z);
    zo::cuda::array<T> gradients(on(), rows * dimension);
    zo::cuda::array<double> losses(on(), rows);
    zo::cuda::workspace memory(on());
    const auto device =
        zo::boundary(on(), device_rowwise<T>{where}, zo::cuda::points<T>{there, rows, dimension},
                     how, options, gradients, losses, memory)
            .get();
    EXPECT_TRUE(same_bits(gradients.to_host(), host.gradients)) << rows << " " << dimension;
    EXPECT_EQ(device.ok, host.ok);
    EXPECT_EQ(device.failed, host.failed);
    EXPECT_EQ(device.queries, host.queries);
    const std::vector<double> found = losses.to_host();
    for (std::size_t b = 0; b < found.size(); ++b) {
      if (std::isnan(host.losses[b])) {
        EXPECT_TRUE(std::isnan(found[b]));
      } else {
        EXPECT_EQ(found[b], host.losses[b]) << b;
      }
    }
  }
};

TEST_F(gpu_boundary, every_estimator_of_many_rows) {
  for (const zo::index_t rows : {1, 2, 33}) {
    expect_cpu_rows<float>(zo::rge({.directions = 5, .smoothing = 1e-2}), rows, 12);
    expect_cpu_rows<double>(zo::rge({.directions = 3}, zo::sphere{}, zo::central{}), rows, 70);
    expect_cpu_rows<float>(zo::rge({.directions = 3}, zo::rademacher{}), rows, 12, {}, 100);
    expect_cpu_rows<float>(zo::cge({.smoothing = 1e-2}), rows, 12);
    zo::cge_options some;
    some.coordinates = zo::random_coordinates{4};
    expect_cpu_rows<double>(zo::cge(some, zo::central{}), rows, 70, {}, 3000);
    expect_cpu_rows<float>(zo::quadrature(listed(5, 12)), rows, 12, {}, 100);
    expect_cpu_rows<double>(zo::quadrature(listed(7, 70), zo::central{}), rows, 70, {}, 3000);
  }
}

TEST_F(gpu_boundary, more_rows_than_answers_at_once) {
  expect_cpu_rows<float>(zo::rge({.directions = 2}), 5000, 3);
  expect_cpu_rows<float>(zo::cge(), 5000, 3);
  expect_cpu_rows<float>(zo::quadrature(listed(14, 3)), 5000, 3);  // 13 directions make a group
}

TEST_F(gpu_boundary, failed_rows_are_dropped_alone) {
  const fault where{-0.4, not_a_number};  // some rows
  expect_cpu_rows<float>(zo::rge({.directions = 4, .failures = zo::on_failure::drop}), 11, 7,
                         where);
  zo::cge_options drop;
  drop.failures = zo::on_failure::drop;
  expect_cpu_rows<float>(zo::cge(drop, zo::central{}), 11, 7, where);
  const auto some = listed(4, 7, zo::on_failure::drop);
  expect_cpu_rows<float>(zo::quadrature(some), 11, 7, where);
  expect_cpu_rows<double>(zo::quadrature(some, zo::central{}), 11, 7, where);
  expect_cpu_rows<double>(zo::quadrature(listed(4, 7)), 11, 7, where);
}

TEST_F(gpu_boundary, failed_queries_are_penalised) {
  const fault where{-0.4, not_a_number};
  const zo::failure_options pay{.then = zo::on_failure::penalise, .penalty = 3.5};
  expect_cpu_rows<float>(zo::rge({.directions = 4, .failures = pay}), 11, 7, where);
  expect_cpu_rows<double>(zo::cge({.failures = pay}, zo::central{}), 11, 7, where);
  expect_cpu_rows<double>(zo::quadrature(listed(4, 7, pay)), 11, 7, where);
}

TEST_F(gpu_boundary, sizes_are_checked) {
  zo::cuda::array<float> z(on(), 12), gradients(on(), 12), few(on(), 11);
  zo::cuda::array<double> losses(on(), 3);
  zo::cuda::workspace memory(on());
  const auto call = [&](zo::cuda::points<float> rows, zo::cuda::span<float> to) {
    return complaint([&] {
      zo::boundary(on(), device_rowwise<float>{}, rows, zo::cge(), {}, to, losses, memory);
    });
  };
  EXPECT_TRUE(contains(call({z, 0, 4}, gradients), "no rows"));
  EXPECT_TRUE(contains(call({z, 2, 4}, gradients), "needs 8 numbers, got 12"));
  EXPECT_TRUE(contains(call({z, 3, 4}, few), "must have room for 12 and 3"));
  EXPECT_TRUE(contains(call({z, 3, 4}, z), "must not overlap"));
}

}  // namespace
