// CGE on the device against zo::seq: the same bits, the same report.
#include "device.hpp"

namespace {

using namespace testing_zo;

template <class T>
std::vector<zo::cge_options> ways(zo::index_t dimension) {
  std::vector<zo::cge_options> all(6);
  all[1].relative = true;
  all[2].coordinates = zo::coordinate_list{{dimension - 1, 0}};
  all[3].coordinates = zo::coordinate_mask{std::vector<bool>(static_cast<std::size_t>(dimension))};
  auto& mask = std::get<zo::coordinate_mask>(all[3].coordinates).mask;
  for (std::size_t i = 0; i < mask.size(); i += 3) mask[i] = true;
  all[4].coordinates = zo::random_coordinates{dimension / 2};
  all[5].smoothing = 1e-30;  // too small to change x
  return all;
}

class gpu_cge : public gpu {
 protected:
  template <class T, class S>
  void expect_cpu_bits(S) {
    for (const zo::index_t dimension : {3, 70, 1500}) {
      std::vector<T> x = ramp<T>(dimension);
      x[1] = T(1e6);
      for (const zo::cge_options& way : ways<T>(dimension)) {
        const zo::cge how(way, S{});
        const zo::estimate_options options{.seed = 5, .step = 3};
        const std::string what = std::to_string(dimension);
        expect_same(on_gpu<T>(on(), device_batch<T>{}, x, how, options),
                    on_host<T>(host_scalar<T>{}, x, how, options), what);
        expect_same(on_gpu<T>(on(), device_coordinate<T>{}, x, how, options),
                    on_host<T>(host_coordinate<T>{}, x, how, options), what + " probes");
      }
    }
  }
};

TEST_F(gpu_cge, forward) {
  expect_cpu_bits<float>(zo::forward{});
  expect_cpu_bits<double>(zo::forward{});
}
TEST_F(gpu_cge, central) {
  expect_cpu_bits<float>(zo::central{});
  expect_cpu_bits<double>(zo::central{});
}

TEST_F(gpu_cge, several_groups_of_answers_and_uploads) {
  const zo::index_t dimension = 5000;
  const std::vector<float> x = ramp<float>(dimension);
  zo::cge_options way;
  way.coordinates = zo::random_coordinates{4500};
  const zo::cge how(way, zo::central{});
  auto host_sum = [](std::span<const float> at) {
    return static_cast<double>(at[0]) + 2 * static_cast<double>(at[4999]);
  };
  auto host = on_host<float>(host_sum, x, how);
  expect_same(on_gpu<float>(on(), ends{}, x, how), host, "4500 coordinates");
}

TEST_F(gpu_cge, chunks_change_nothing) {
  const std::vector<float> x = ramp<float>(50);
  const zo::cge how({}, zo::central{});
  const auto host = on_host<float>(host_scalar<float>{}, x, how);
  for (const zo::index_t candidates : {1, 3, 7, 1000}) {
    zo::estimate_options options;
    options.chunk_bytes = candidates * 200;
    expect_same(on_gpu<float>(on(), device_batch<float>{}, x, how, options), host,
                std::to_string(candidates));
  }
}

TEST_F(gpu_cge, failed_queries_under_both_policies) {
  const std::vector<double> x = ramp<double>(9);
  for (const auto failures : {zo::on_failure::stop, zo::on_failure::drop}) {
    const fault where{-0.7, not_a_number};  // the upper side of coordinate 0
    zo::cge_options way;
    way.failures = failures;
    const zo::cge one(way), two;
    expect_same(on_gpu<double>(on(), device_batch<double>{where}, x, one),
                on_host<double>(host_scalar<double>{where}, x, one), "forward");
    const zo::cge both(way, zo::central{});
    expect_same(on_gpu<double>(on(), device_batch<double>{where}, x, both),
                on_host<double>(host_scalar<double>{where}, x, both), "central");
    expect_same(on_gpu<double>(on(), device_coordinate<double>{where}, x, both),
                on_host<double>(host_coordinate<double>{where}, x, both), "probes");
  }
}

// Differences that are never written are failed queries, not what the memory held.
TEST_F(gpu_cge, unwritten_differences_fail) {
  struct silent : device_coordinate<float> {
    void probe(zo::cuda::span<const zo::index_t>, zo::cuda::span<const float>,
               zo::cuda::span<double>, cudaStream_t) {}
  };
  const zo::cuda::array<float> x(on(), ramp<float>(4));
  zo::cuda::array<float> gradient(on(), 4);
  zo::cuda::workspace memory(on());
  const zo::cge how;
  EXPECT_TRUE(
      zo::estimate(on(), device_coordinate<float>{}, x, gradient, how, {}, memory).get().ok);
  const auto result = zo::estimate(on(), silent{}, x, gradient, how, {}, memory).get();
  EXPECT_FALSE(result.ok);
  EXPECT_EQ(result.failed, 4);
  EXPECT_EQ(gradient.to_host(), std::vector<float>(4, 0.0F));
}

TEST_F(gpu_cge, bad_coordinates_are_refused_before_any_query) {
  zo::cge_options way;
  way.coordinates = zo::coordinate_list{{0, 9}};
  zo::index_t calls = 0;
  EXPECT_THROW(on_gpu<float>(on(), device_batch<float>{{}, &calls}, ramp<float>(4), zo::cge(way)),
               std::invalid_argument);
  EXPECT_EQ(calls, 0);
}

TEST_F(gpu_cge, where_the_numbers_end) {
  const auto check_type = [&]<class T>(T most) {
    for (const T first : {most, -most, T(most / 2), static_cast<T>(infinity)}) {
      std::vector<T> x = ramp<T>(5);
      x[2] = first;
      for (const bool relative : {false, true}) {
        const zo::cge one({.smoothing = 0.75, .relative = relative});
        const zo::cge two({.smoothing = 0.75, .relative = relative}, zo::central{});
        const auto compare = [&](const auto& how) {
          const auto host = on_host<T>(lazy_chain{}, x, how);
          const auto device = on_gpu<T>(on(), lazy_chain{}, x, how);
          EXPECT_EQ(device.result.why, host.result.why);
          EXPECT_TRUE(same_bits(device.gradient, host.gradient));
        };
        compare(one);
        compare(two);
      }
    }
  };
  check_type(std::numeric_limits<float>::max());
  check_type(std::numeric_limits<double>::max());
  EXPECT_TRUE(contains(complaint([&] {
                         on_gpu<float>(on(), lazy_chain{}, ramp<float>(3),
                                       zo::cge({.smoothing = 1e39}));
                       }),
                       "infinite in this scalar type"));
}

}  // namespace
