// Whole runs on the device against zo::seq: the same x, the same result, the same ends.
#include "device.hpp"

namespace {

using namespace testing_zo;

template <class T>
struct ended {
  std::vector<T> x;
  zo::minimize_result result;
};

template <class T>
void expect_same_end(const ended<T>& device, const ended<T>& host) {
  EXPECT_TRUE(same_bits(device.x, host.x));
  EXPECT_EQ(zo::to_string(device.result.why), zo::to_string(host.result.why));
  EXPECT_EQ(device.result.queries, host.result.queries);
  EXPECT_EQ(device.result.failed, host.result.failed);
  EXPECT_EQ(device.result.steps, host.result.steps);
  if (std::isnan(host.result.value)) {
    EXPECT_TRUE(std::isnan(device.result.value));
  } else {
    EXPECT_EQ(device.result.value, host.result.value);
  }
}

class gpu_minimize : public gpu {
 protected:
  template <class T, class F, class G, class How, class Optimizer>
  void expect_cpu_run(F device_f, G host_f, const How& how, const Optimizer& optimizer,
                      const zo::minimize_options& options, zo::index_t dimension = 30) {
    ended<T> host{ramp<T>(dimension), {}};
    host.result = zo::minimize(zo::seq, host_f, host.x, how, optimizer, options);
    zo::cuda::array<T> x(on(), ramp<T>(dimension));
    const auto result = zo::minimize(on(), device_f, x, how, optimizer, options);
    expect_same_end<T>({x.to_host(), result}, host);
  }
};

TEST_F(gpu_minimize, every_optimizer) {
  const zo::rge how({.directions = 3, .smoothing = 1e-2});
  const zo::minimize_options options{.max_queries = 60, .seed = 4};
  const device_batch<float> device;
  const host_scalar<float> host;
  expect_cpu_run<float>(device, host, how, zo::sgd({.rate = 1e-2}), options);
  expect_cpu_run<float>(device, host, how, zo::sgd({.rate = 1e-2, .momentum = 0.9}), options);
  expect_cpu_run<float>(device, host, how,
                        zo::sgd({.rate = zo::cosine({.peak = 1e-2, .steps = 20, .warmup = 3}),
                                 .momentum = 0.9,
                                 .weight_decay = 1e-3,
                                 .nesterov = true}),
                        options);
  expect_cpu_run<float>(device, host, how, zo::sign_sgd({.rate = 1e-2, .weight_decay = 0.1}),
                        options);
  expect_cpu_run<float>(device, host, how, zo::adam({.rate = 1e-2, .weight_decay = 0.1}), options);
  expect_cpu_run<double>(device_batch<double>{}, host_scalar<double>{}, how,
                         zo::adam({.rate = 1e-2}), options);
}

TEST_F(gpu_minimize, steps_that_end_in_a_set_or_with_a_penalty) {
  const zo::rge how({.directions = 3, .smoothing = 1e-2});
  const zo::minimize_options options{.max_queries = 100, .seed = 4};
  const auto compare = [&]<class T>(T, const auto& rule) {
    expect_cpu_run<T>(device_batch<T>{}, host_scalar<T>{}, how, rule, options);
  };
  const zo::sgd sgd({.rate = zo::cosine({.peak = 1e-2, .steps = 20, .warmup = 3})});
  compare(0.0F, zo::projected(zo::adam({.rate = 0.1}), zo::box(-0.3, 0.4)));
  compare(0.0, zo::projected(zo::sign_sgd({.rate = 0.1}), zo::box(-0.3, 0.4)));
  compare(0.0F, zo::proximal(sgd, zo::l1(2)));
  compare(0.0, zo::projected(zo::proximal(sgd, zo::l1(2)), zo::box(-0.3, 0.4)));

  const std::vector<double> low(30, -0.3), high = ramp<double>(30, 0, 0.1);
  auto x = ramp<float>(30);
  const auto expected = zo::minimize(zo::seq, host_scalar<float>{}, x, how,
                                     zo::projected(sgd, zo::box(low, high)), options);
  zo::cuda::array<float> there(on(), ramp<float>(30));
  const auto got = zo::minimize(on(), device_batch<float>{}, there, how,
                                zo::projected(sgd, zo::cuda::box(on(), low, high)), options);
  EXPECT_TRUE(same_bits(there.to_host(), x));
  EXPECT_EQ(got.value, expected.value);
  const auto said = [&](const auto& rule, zo::index_t dimension) {
    return complaint([&] {
      zo::cuda::array<float> at(on(), ramp<float>(dimension)), slope(on(), ramp<float>(dimension));
      zo::cuda::updater<std::remove_cvref_t<decltype(rule)>, float>(on(), rule, dimension)
          .step(on(), at, slope);
    });
  };
  EXPECT_TRUE(contains(said(zo::projected(sgd, zo::box(low, high)), 30), "zo::cuda::box"));
  EXPECT_TRUE(contains(said(zo::projected(sgd, zo::cuda::box(on(), low, high)), 31), "got 30"));
}

TEST_F(gpu_minimize, between_bounds_only) {
  const std::vector<double> low(30, -0.3), high = ramp<double>(30, 0, 0.1);
  const zo::box bounds(low, high);
  const zo::cuda::box there(on(), low, high);
  const zo::sgd sgd({.rate = 0.05});
  const zo::minimize_options options{.max_queries = 200, .seed = 4};
  const auto compare = [&]<class T>(T, const auto& how) {
    const auto start = [] {
      std::vector<T> x(30);
      for (std::size_t i = 0; i < 30; ++i) x[i] = i % 3 == 0 ? T(-0.3) : T(0);
      return x;
    };
    auto x = start();
    const auto expected = zo::minimize(zo::seq, host_scalar<T>{}, x, zo::inside(bounds, how),
                                       zo::projected(sgd, bounds), options);
    zo::cuda::array<T> at(on(), start());
    const auto got = zo::minimize(on(), device_batch<T>{}, at, zo::inside(there, how),
                                  zo::projected(sgd, there), options);
    EXPECT_TRUE(same_bits(at.to_host(), x));
    EXPECT_EQ(got.value, expected.value);
    EXPECT_EQ(got.queries, expected.queries);
  };
  compare(0.0F, zo::rge({.directions = 3, .smoothing = 1e-2}, zo::rademacher{}));
  compare(0.0, zo::rge({.directions = 3, .smoothing = 1e-2}, zo::gaussian{}, zo::central{}));
  compare(0.0F, zo::cge({.smoothing = 1e-2}));

  zo::cuda::array<float> x(on(), std::vector<float>(30)), g(on(), std::vector<float>(30));
  const auto said = [&](const auto& set, double smoothing) {
    return complaint([&] {
      zo::estimate(on(), device_batch<float>{}, x, g,
                   zo::inside(set, zo::cge({.smoothing = smoothing})));
    });
  };
  EXPECT_TRUE(contains(said(there, 0.2), "all bounds must be more than 0.4 apart"));
  EXPECT_TRUE(contains(said(bounds, 1e-2), "zo::cuda::box"));
}

TEST_F(gpu_minimize, a_projection_hides_no_number_that_left_the_range) {
  const auto rule = zo::projected(zo::sgd({.rate = 3e38}), zo::box(-1, 1));
  zo::cuda::updater<std::remove_cvref_t<decltype(rule)>, float> updater(on(), rule, 2);
  zo::cuda::array<float> x(on(), {0.0F, 0.0F}), g(on(), {1.0F, 3.0F});
  zo::cuda::array<unsigned long long> infinite(on(), {0ULL});
  updater.step(on(), x, g, infinite.data());
  EXPECT_EQ(infinite.to_host()[0], 1u);
  EXPECT_EQ(x.to_host(), (std::vector<float>{-1, -1}));
}

TEST_F(gpu_minimize, every_kind_of_objective) {
  const zo::minimize_options options{.max_queries = 200, .target = -0.1, .seed = 4};
  const zo::sgd steps({.rate = 1e-2});
  expect_cpu_run<double>(device_coordinate<double>{}, host_coordinate<double>{},
                         zo::cge({}, zo::central{}), steps, options);
  expect_cpu_run<double>(device_coordinate<double>{}, host_coordinate<double>{}, zo::cge(), steps,
                         options);
  expect_cpu_run<double>(device_batch<double>{}, host_scalar<double>{}, zo::cge(), steps, options);
  expect_cpu_run<double>(lazy_chain{}, lazy_chain{},
                         zo::rge({.directions = 4}, zo::sphere{}, zo::central{}), steps, options);
}

TEST_F(gpu_minimize, along_listed_directions) {
  const zo::minimize_options options{.max_queries = 100, .target = -3.0, .seed = 4};
  const auto compare = [&]<class T>(T, const auto& how) {
    expect_cpu_run<T>(device_batch<T>{}, host_scalar<T>{}, how, zo::sgd({.rate = 1e-2}), options);
    expect_cpu_run<T>(lazy_chain{}, lazy_chain{}, how, zo::adam({.rate = 1e-2}), options);
  };
  compare(0.0F, zo::quadrature(listed(6, 30)));
  compare(0.0, zo::quadrature(listed(6, 30), zo::central{}));
  const fault where{-0.69, not_a_number};  // a direction leads there after some steps
  for (const zo::failure_policy failures :
       {zo::failure_policy(zo::on_failure::stop), zo::failure_policy(zo::on_failure::drop),
        zo::failure_policy({.then = zo::on_failure::penalise, .penalty = 9})}) {
    const zo::quadrature how(listed(6, 30, failures));
    expect_cpu_run<double>(device_batch<double>{where}, host_scalar<double>{where}, how,
                           zo::sgd({.rate = 1e-3}), {.max_queries = 200});
  }
}

TEST_F(gpu_minimize, every_end) {
  const device_batch<double> device;
  const host_scalar<double> host;
  const zo::sgd steps({.rate = 2e-2});
  for (const zo::index_t queries : {1, 7, 8, 9, 100}) {
    expect_cpu_run<double>(device, host, zo::rge({.directions = 6}), steps,
                           {.max_queries = queries, .seed = 1});
  }
  const zo::rge central({.directions = 6}, zo::gaussian{}, zo::central{});
  expect_cpu_run<double>(device, host, central, steps, {.max_queries = 5000, .target = 0.0});
  expect_cpu_run<double>(device, host, central, steps, {.max_queries = 5000, .max_steps = 3});
  zo::minimize_options stops{.max_queries = 5000};
  stops.on_step = [](const zo::step_report& at) {
    return at.step == 4 ? zo::verdict::stop : zo::verdict::go_on;
  };
  expect_cpu_run<double>(device, host, central, steps, stops);
}

TEST_F(gpu_minimize, a_failed_query_leaves_the_last_good_point) {
  const fault where{-0.69, not_a_number};  // reached after some steps
  const zo::rge how({.directions = 4, .smoothing = 1e-3}, zo::rademacher{}, zo::central{});
  expect_cpu_run<double>(device_batch<double>{where}, host_scalar<double>{where}, how,
                         zo::sgd({.rate = 1e-3}), {.max_queries = 5000, .seed = 2});
}

TEST_F(gpu_minimize, a_kept_updater_continues_a_run) {
  const zo::rge how({.directions = 3, .smoothing = 1e-2});
  const device_batch<float> f;
  zo::cuda::array<float> whole(on(), ramp<float>(30)), parts(on(), ramp<float>(30));
  zo::minimize(on(), f, whole, how, zo::adam(), {.max_queries = 1000, .max_steps = 8, .seed = 4});
  zo::cuda::updater<zo::adam, float> kept(on(), zo::adam(), 30);
  zo::minimize(on(), f, parts, how, kept, {.max_queries = 1000, .max_steps = 3, .seed = 4});
  // What a checkpoint holds, in another updater.
  zo::cuda::updater<zo::adam, float> resumed(on(), zo::adam(), 30);
  resumed.resume_at(kept.steps());
  for (std::size_t k = 0; k < 2; ++k) {
    zo::cuda::detail::copy_on_device(stream, kept.state()[k].data(), 30 * 4,
                                     resumed.state()[k].data());
  }
  zo::minimize(on(), f, parts, how, resumed,
               {.max_queries = 1000, .max_steps = 5, .seed = 4, .first_step = 3});
  EXPECT_TRUE(same_bits(parts.to_host(), whole.to_host()));
}

TEST_F(gpu_minimize, goes_back_to_the_last_good_point) {
  const fault where{-0.69, not_a_number};  // from -0.7 there in a step
  for (const zo::minimize_options& options :
       {zo::minimize_options{.max_queries = 500}, {.max_queries = 500, .max_steps = 1}}) {
    const auto compare = [&](const auto& how) {
      std::vector<double> host = ramp<double>(30);
      host_scalar<double> f{where};
      const zo::sgd steps({.rate = 1e-2});
      const auto expected = zo::minimize(zo::seq, f, host, how, steps, options);
      zo::cuda::array<double> x(on(), ramp<double>(30));
      const auto got = zo::minimize(on(), device_batch<double>{where}, x, how, steps, options);
      EXPECT_EQ(got.why, zo::status::query_failed);
      EXPECT_EQ(got.why, expected.why);
      EXPECT_EQ(got.steps, expected.steps);
      EXPECT_EQ(got.value, expected.value);
      EXPECT_TRUE(same_bits(x.to_host(), host));
      EXPECT_TRUE(same_bits(host, ramp<double>(30)));
    };
    compare(zo::cge());
    compare(zo::cge({}, zo::central{}));
  }
}

TEST_F(gpu_minimize, ends_where_the_numbers_do) {
  const auto compare = [&](const auto& optimizer, zo::minimize_options options) {
    std::vector<float> host = ramp<float>(30);
    const zo::cge how;
    const auto expected =
        zo::minimize(zo::seq, host_scalar<float>{}, host, how, optimizer, options);
    zo::cuda::array<float> x(on(), ramp<float>(30));
    const auto got = zo::minimize(on(), device_batch<float>{}, x, how, optimizer, options);
    EXPECT_EQ(got.why, zo::status::out_of_range);
    EXPECT_EQ(got.why, expected.why);
    EXPECT_EQ(got.steps, expected.steps);
    EXPECT_EQ(got.value, expected.value);
    EXPECT_TRUE(same_bits(x.to_host(), host));
  };
  for (const zo::index_t queries : {500, 32}) {
    compare(zo::sgd({.rate = 3e38}), {.max_queries = queries});
    compare(zo::sgd({.rate = 1e-30, .momentum = 0.5, .weight_decay = 3e38}),
            {.max_queries = queries});
    compare(zo::sign_sgd({.rate = 3e38, .weight_decay = 100}), {.max_queries = queries});
    compare(zo::adam({.rate = 1e-3, .weight_decay = 1e25}), {.max_queries = queries});
  }
}

TEST_F(gpu_minimize, optimizers_refuse_what_the_scalar_type_does_not_hold) {
  const auto said = [&](const auto& optimizer, zo::index_t dimension = 3) {
    return complaint([&] { zo::cuda::updater<zo::adam, float>(on(), optimizer, dimension); });
  };
  EXPECT_TRUE(contains(said(zo::adam({.epsilon = 1e-46})), "epsilon"));
  EXPECT_FALSE(said(zo::adam(), -1).empty());
  zo::cuda::updater<zo::sgd, float> fast(on(), zo::sgd({.rate = 1e39}), 2);
  zo::cuda::array<float> x(on(), {0.0F, 0.0F}), g(on(), {0.0F, 1.0F});
  EXPECT_TRUE(contains(complaint([&] { fast.step(on(), x, g); }), "infinite in this scalar type"));
  EXPECT_TRUE(contains(complaint([&] { fast.resume_at(~std::uint64_t{0}); }), "below 2^56"));
}

}  // namespace
