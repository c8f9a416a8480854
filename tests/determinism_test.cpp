// The same bits for every number of threads, chunk size, instruction set, compiler and flags:
// directions, estimates and whole runs against fingerprints frozen in known_answers/runs.txt.
// (Known fault elsewhere: "torch CUDA RNG depends on the number of processors".)
// This file is compiled a second time with contraction and wide vectors allowed (core.cmake).
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>

#include "support.hpp"
#include "zo/nn/difference_pass.hpp"

namespace {

using namespace testing_zo;
using zo::central;
using zo::cge;
using zo::forward;
using zo::index_t;
using zo::rge;

// FNV-1a over the bytes.
std::uint64_t fingerprint(const void* data, std::size_t bytes, std::uint64_t hash) {
  const auto* at = static_cast<const unsigned char*>(data);
  for (std::size_t i = 0; i < bytes; ++i) hash = (hash ^ at[i]) * 0x100000001b3u;
  return hash;
}
template <class T>
std::uint64_t fingerprint(const std::vector<T>& values) {
  return fingerprint(values.data(), values.size() * sizeof(T), 0xcbf29ce484222325u);
}

bool machine_lacks_what_is_needed() {
#if defined(__FMA__) && defined(__AVX2__)
  if (!__builtin_cpu_supports("fma") || !__builtin_cpu_supports("avx2")) {
    std::cout << "this machine has no instruction set for the flags of this program\n";
    return true;
  }
#endif
  try {
    zo::instruction_set();
    return false;
  } catch (const std::invalid_argument&) {
    const char* asked = std::getenv("ZO_INSTRUCTION_SET");
    std::cout << "this machine has no instruction set " << (asked ? asked : "?") << "\n";
    return true;
  }
}

class determinism : public testing::Test {
 protected:
  void SetUp() override {
    if (machine_lacks_what_is_needed()) GTEST_SKIP();
    std::ifstream file(std::string(ZO_KNOWN_ANSWERS) + "/runs.txt");
    std::string name;
    while (file >> name) file >> frozen_[name];
  }
  void TearDown() override {
    if (const char* path = std::getenv("ZO_WRITE_KNOWN_ANSWERS")) {
      std::ofstream file(std::string(path) + "/runs.txt", std::ios::app);
      for (const auto& [name, hash] : seen_) file << name << " " << hash << "\n";
    }
  }
  void expect_frozen(const std::string& name, std::uint64_t hash) {
    std::ostringstream text;
    text << std::hex << hash;
    seen_[name] = text.str();
    EXPECT_EQ(text.str(), frozen_[name]) << name << ": the bits of recorded runs have changed";
  }

 private:
  std::map<std::string, std::string> frozen_, seen_;
};

// A loss of explicit fused operations, so that the flags of this file cannot change it.
template <class T>
double fused_loss(std::span<const T> x) {
  double sum = 0.125;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const auto v = static_cast<double>(x[i]);
    sum = std::fma(v, std::fma(0.25, v, 0.5 * static_cast<double>(i % 3) - 0.5), sum);
  }
  return sum;
}
template <class T>
struct one_point {
  double operator()(std::span<const T> x) const { return fused_loss(x); }
};
template <class T>
struct many_points {
  void operator()(zo::points<T> at, std::span<double> losses) const {
    for (index_t k = 0; k < at.count; ++k) losses[static_cast<std::size_t>(k)] = fused_loss(at[k]);
  }
};

// Many different values, so that a rounding that depends on flags or order shows somewhere.
template <class T>
std::vector<T> spread(index_t d) {
  std::vector<T> x;
  for (index_t i = 0; i < d; ++i) {
    x.push_back(static_cast<T>(std::fma(0.0137, static_cast<double>(i % 1009), -5.3)));
  }
  return x;
}

template <class T>
constexpr const char* scalar_name = sizeof(T) == 4 ? "float" : "double";

TEST_F(determinism, directions) {
  const auto check = [&](const char* name, auto kind) {
    for (const index_t d : {1, 17, 65, 2049, 10007}) {
      const zo::stream at{123, 45, 6};
      const std::string suffix = std::string("/") + name + "/" + std::to_string(d);
      expect_frozen("direction/float" + suffix, fingerprint(direction<float>(kind, at, d)));
      expect_frozen("direction/double" + suffix, fingerprint(direction<double>(kind, at, d)));
    }
  };
  check("gaussian", zo::gaussian{});
  check("rademacher", zo::rademacher{});
  check("sphere", zo::sphere{});
}

// One estimate under every policy, form and chunk size: all must have the first one's bits.
template <class T, class How>
std::uint64_t estimate_bits(const How& how, index_t d) {
  const auto x = spread<T>(d);
  std::vector<T> first(x.size()), g(x.size());
  const zo::estimate_options place{.seed = 77, .step = 3};
  const auto r = zo::estimate(zo::seq, one_point<T>{}, x, first, how, place);
  const auto expect_same = [&](const zo::estimate_result& other, const std::string& what) {
    EXPECT_TRUE(same_bits(g, first)) << what;
    EXPECT_EQ(other.value, r.value) << what;
  };
  for (const int threads : {1, 2, 4}) {
    const auto par = zo::par.with_threads(threads);
    const std::string many = std::to_string(threads) + " threads";
    expect_same(zo::estimate(par, one_point<T>{}, x, g, how, place), many);
    for (const index_t bytes : {index_t{1}, 3 * d * index_t{sizeof(T)} + 1, index_t{1} << 30}) {
      zo::estimate_options chunked = place;
      chunked.chunk_bytes = bytes;
      expect_same(zo::estimate(par, many_points<T>{}, x, g, how, chunked),
                  many + ", chunks of " + std::to_string(bytes));
    }
  }
  return fingerprint(first);
}

TEST_F(determinism, estimates) {
  const auto check = [&]<class T>(T, const std::string& name, const auto& how) {
    const index_t large = name.starts_with("cge") ? 700 : 2500;  // CGE asks d points and more
    for (const index_t d : {index_t{1}, index_t{100}, large}) {
      expect_frozen("estimate/" + name + "/" + scalar_name<T> + "/" + std::to_string(d),
                    estimate_bits<T>(how, d));
    }
  };
  const auto both = [&](const std::string& name, const auto& how) {
    check(float{}, name, how);
    check(double{}, name, how);
  };
  both("gaussian/forward", rge({.directions = 9}));
  both("gaussian/central", rge({.directions = 9}, zo::gaussian{}, central{}));
  both("rademacher/forward", rge({.directions = 9}, zo::rademacher{}));
  both("sphere/central", rge({.directions = 9}, zo::sphere{}, central{}));
  both("sphere/forward", rge({.directions = 9}, zo::sphere{}));
  both("cge/forward", cge());
  both("cge/central/relative", cge({.smoothing = 0.3, .relative = true}, central{}));
}

// Large enough to be split over threads inside a direction; two directions are fewer than the
// threads, which then write each of them together.
TEST_F(determinism, estimates_of_many_coordinates) {
  const index_t d = 300001;
  expect_frozen("estimate/large/gaussian", estimate_bits<float>(rge({.directions = 6}), d));
  expect_frozen("estimate/large/sphere",
                estimate_bits<double>(rge({.directions = 2}, zo::sphere{}), d));
  expect_frozen("estimate/large/rademacher",
                estimate_bits<double>(rge({.directions = 1}, zo::rademacher{}, central{}), d));
}

// Kept, and generated by several threads.
TEST_F(determinism, estimates_along_directions_that_are_kept) {
  expect_frozen("estimate/kept/gaussian", estimate_bits<float>(rge({.directions = 6}), 20001));
  expect_frozen("estimate/kept/sphere",
                estimate_bits<double>(rge({.directions = 2}, zo::sphere{}, central{}), 40001));
}

TEST_F(determinism, norms_do_not_depend_on_who_sums_them) {
  std::vector<double> partial;
  for (std::uint32_t number = 0; number < 30; ++number) {
    const zo::stream at{1, 2, number};
    const double expected = zo::detail::raw_factor<zo::sphere>(at, 100001);
    for (const int threads : {1, 2, 4}) {
      EXPECT_EQ(zo::detail::inverse_norm<zo::gaussian>(zo::par.with_threads(threads), at, 100001,
                                                       partial),
                expected);
    }
  }
}

TEST_F(determinism, estimates_of_many_directions) {
  expect_frozen("estimate/5000", estimate_bits<double>(rge({.directions = 5000}), 3));
  expect_frozen("estimate/random",
                estimate_bits<double>(cge({.coordinates = zo::random_coordinates{1}}), 50));
}

template <class T, class How, class Optimizer>
std::uint64_t run_bits(const How& how, const Optimizer& optimizer) {
  const index_t d = 300;
  auto first = spread<T>(d);
  const zo::minimize_options options{.max_queries = 400, .seed = 5};
  const auto r = zo::minimize(zo::seq, one_point<T>{}, first, how, optimizer, options);
  EXPECT_GT(r.steps, 2u);
  for (const int threads : {1, 2, 4}) {
    for (const index_t bytes : {index_t{1}, index_t{5000}, index_t{1} << 30}) {
      auto x = spread<T>(d);
      zo::minimize_options chunked = options;
      chunked.chunk_bytes = bytes;
      const auto other =
          zo::minimize(zo::par.with_threads(threads), many_points<T>{}, x, how, optimizer, chunked);
      EXPECT_TRUE(same_bits(x, first)) << threads << " threads, chunks of " << bytes;
      EXPECT_EQ(other.value, r.value);
      EXPECT_EQ(other.queries, r.queries);
    }
  }
  return fingerprint(first);
}

TEST_F(determinism, whole_runs) {
  const rge gauss({.directions = 8}, zo::gaussian{}, central{});
  const rge ball({.directions = 8}, zo::sphere{});
  const rge sign({.directions = 8}, zo::rademacher{});
  const cge some({.coordinates = zo::random_coordinates{30}});
  const zo::adam adam(
      {.rate = zo::cosine({.peak = 0.05, .steps = 20, .warmup = 3}), .weight_decay = 0.01});
  const zo::sgd sgd({.rate = zo::step_decay({.start = 1e-3, .factor = 0.7, .every = 2}),
                     .momentum = 0.9,
                     .weight_decay = 0.1,
                     .nesterov = true});
  const zo::sign_sgd signs({.rate = 0.01, .weight_decay = 0.1});
  expect_frozen("run/gaussian/adam/float", run_bits<float>(gauss, adam));
  expect_frozen("run/gaussian/adam/double", run_bits<double>(gauss, adam));
  expect_frozen("run/sphere/sgd/float", run_bits<float>(ball, sgd));
  expect_frozen("run/sphere/sgd/double", run_bits<double>(ball, sgd));
  expect_frozen("run/rademacher/sign_sgd/float", run_bits<float>(sign, signs));
  expect_frozen("run/cge/adam/double", run_bits<double>(some, adam));
  const auto sparse = zo::projected(zo::proximal(sgd, zo::l1(0.3)), zo::box(-3, 2.5));
  expect_frozen("run/gaussian/sgd_l1_box/float", run_bits<float>(gauss, sparse));
  expect_frozen("run/gaussian/sgd_l1_box/double", run_bits<double>(gauss, sparse));
  const auto round = zo::projected(sgd, zo::ball(0.7));
  expect_frozen("run/gaussian/sgd_ball/float", run_bits<float>(gauss, round));
  expect_frozen("run/gaussian/sgd_ball/double", run_bits<double>(gauss, round));
  const auto shares = zo::projected(sgd, zo::simplex(30));
  expect_frozen("run/gaussian/sgd_simplex/float", run_bits<float>(gauss, shares));
  expect_frozen("run/gaussian/sgd_simplex/double", run_bits<double>(gauss, shares));
}

TEST_F(determinism, boundary) {
  const auto z = ramp<float>(6 * 40);
  auto f = [](zo::points<float> at, std::span<const index_t> rows, std::span<double> losses) {
    for (std::size_t k = 0; k < rows.size(); ++k) {
      losses[k] = fused_loss(at[static_cast<index_t>(k)]) * static_cast<double>(rows[k] + 1);
    }
  };
  const auto bits = [&](const auto& how) {
    return fingerprint(
        zo::boundary(zo::par.with_threads(3), f, zo::points<float>{z, 6, 40}, how, {.seed = 8})
            .gradients);
  };
  expect_frozen("boundary/sphere", bits(rge({.directions = 5}, zo::sphere{})));
  expect_frozen("boundary/cge", bits(cge({}, central{})));
}

// Values of a network and their differences: whole convolutions, tiles and single channels, of
// whole groups of samples and of a part. (The loss uses the C library's exp, and is not frozen.)
template <class T>
std::uint64_t network_bits() {
  namespace nn = zo::nn;
  const nn::network net = nn::resnet(8);
  std::vector<T> parameters(static_cast<std::size_t>(net.parameter_count()));
  std::vector<T> statistics(static_cast<std::size_t>(net.statistic_count()));
  nn::initialize<T>(net, nn::initialization::kaiming_normal, 3, parameters);
  nn::initialize_statistics<T>(net, statistics);
  const index_t count = 19;
  std::vector<T> inputs(static_cast<std::size_t>(count * net.nodes().front().out.size()));
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    inputs[i] = static_cast<T>(static_cast<double>(i * 7919 % 1009) / 512 - 1);
  }
  nn::forward_pass<T> pass(net);
  pass.run(zo::par.with_threads(2), parameters, statistics, inputs, count, nn::norm_mode::train);
  std::vector<T> all(pass.outputs().begin(), pass.outputs().end());
  pass.prepare_differences();
  nn::difference_pass<T> follow(pass);
  for (const nn::view& v : net.parameters()) {
    const auto changed = follow(v.offset + v.size / 2, T(0.01));
    all.insert(all.end(), changed.begin(), changed.end());
  }
  return fingerprint(all);
}

TEST_F(determinism, networks) {
  expect_frozen("network/float", network_bits<float>());
  expect_frozen("network/double", network_bits<double>());
}

}  // namespace
