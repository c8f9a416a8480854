// Products of differences in bfloat16: how near estimates stay to those in double.
#include <fstream>
#include <iterator>
#include <string>

#include "trial.hpp"

namespace {

using namespace testing_nn;
using zo::index_t;
namespace nn = zo::nn;

std::vector<double> estimate(const trial& t, nn::products products, double smoothing,
                             const std::vector<index_t>& coordinates, int threads = 1) {
  const std::vector<float> at(t.parameters.begin(), t.parameters.end());
  const std::vector<float> running(t.statistics.begin(), t.statistics.end());
  nn::objective<float> f(t.net, [&](zo::sample_id) { return t.batch<float>(); }, running,
                         {.mode = t.mode, .products = products});
  std::vector<float> gradient(at.size());
  zo::estimate(zo::par.with_threads(threads), f, at, gradient,
               zo::cge({.smoothing = smoothing, .coordinates = zo::coordinate_list{coordinates}}));
  return {gradient.begin(), gradient.end()};
}

double cosine(const std::vector<double>& a, const std::vector<double>& b) {
  double dots = 0, first = 0, second = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    dots += a[i] * b[i];
    first += a[i] * a[i];
    second += b[i] * b[i];
  }
  return dots / std::sqrt(first * second);
}

std::vector<index_t> every(index_t step, index_t count) {
  std::vector<index_t> chosen;
  for (index_t i = 0; i < count; i += step) chosen.push_back(i);
  return chosen;
}

// Where the processor has none, products of bfloat16 are those of float.
bool has_tiles_of_bfloat16() {
  std::ifstream file("/proc/cpuinfo");
  const std::string all{std::istreambuf_iterator<char>(file), {}};
  return zo::instruction_set() == std::string("avx512") && all.find(" amx_bf16") != all.npos;
}

// Channels that fill no tile: an odd number, and pairs and outputs beyond the last whole tile.
nn::network odd_channels() {
  nn::network net({2, 5, 7});
  index_t x = net.convolution(net.input(), "a", {.channels = 70, .kernel = 3});
  x = net.relu(net.batch_norm(x, "an"));
  x = net.convolution(x, "b", {.channels = 67, .kernel = 3, .stride = 2});
  x = net.relu(net.batch_norm(x, "bn"));
  x = net.convolution(x, "c", {.channels = 5, .kernel = 1, .padding = 0});
  net.linear(net.relu(net.batch_norm(x, "cn")), "d", 5);
  return net;
}

TEST(nn_products, bfloat16_is_near_double_at_any_step) {
  for (const auto& [net, step] : {std::pair(nn::resnet(8), 501), std::pair(odd_channels(), 1009)}) {
    const trial t(net, 20, nn::norm_mode::train);
    const auto chosen = every(step, t.net.parameter_count());
    auto whole = t.objective<double>(t.statistics);
    for (const double smoothing : {5e-3, 1e-6}) {
      std::vector<double> expected(t.parameters.size());
      zo::estimate(zo::seq, whole, t.parameters, expected,
                   zo::cge({.smoothing = smoothing, .coordinates = zo::coordinate_list{chosen}}));
      const auto exact = estimate(t, nn::products::exact, smoothing, chosen);
      EXPECT_GT(cosine(exact, expected), 0.9999999);
      const auto rounded = estimate(t, nn::products::bfloat16, smoothing, chosen);
      const double near = cosine(rounded, expected);
      EXPECT_GT(near, 0.9998);
      if (has_tiles_of_bfloat16()) {
        EXPECT_LT(near, 0.9999999);  // it is indeed another arithmetic
      } else {
        EXPECT_EQ(rounded, exact);
      }
    }
  }
}

TEST(nn_products, same_bits_for_any_number_of_threads) {
  const auto check = [](const trial& t, nn::products products, index_t step) {
    const auto all = every(step, t.net.parameter_count());
    const auto one = estimate(t, products, 1e-3, all);
    EXPECT_EQ(one, estimate(t, products, 1e-3, all, 2));
    EXPECT_EQ(one, estimate(t, products, 1e-3, all, 4));
    // Whatever was asked before, and together with it.
    const auto alone = estimate(t, products, 1e-3, {all[1], all[7]});
    for (const std::size_t k : {std::size_t{1}, std::size_t{7}}) {
      EXPECT_EQ(alone[static_cast<std::size_t>(all[k])], one[static_cast<std::size_t>(all[k])]);
    }
  };
  check(trial(mixture(), 37, nn::norm_mode::train), nn::products::exact, 1);
  check(trial(nn::resnet(8), 19, nn::norm_mode::train), nn::products::exact, 2003);
  check(trial(nn::resnet(8), 19, nn::norm_mode::train), nn::products::bfloat16, 2003);
}

// Fewer probes at a time, and then a sentence instead of a failed allocation.
TEST(nn_products, a_byte_limit_is_kept_without_changing_bits) {
  const trial t(mixture(), 37, nn::norm_mode::train);
  const std::vector<float> at(t.parameters.begin(), t.parameters.end());
  const std::vector<float> running(t.statistics.begin(), t.statistics.end());
  const auto limited = [&](index_t bytes) {
    nn::objective<float> f(t.net, [&](zo::sample_id) { return t.batch<float>(); }, running,
                           {.max_bytes = bytes});
    std::vector<float> gradient(at.size());
    zo::estimate(zo::par.with_threads(4), f, at, gradient, zo::cge({.smoothing = 1e-3}));
    return gradient;
  };
  const index_t pass = nn::pass_bytes<float>(t.net, 37, nn::products::exact);
  const index_t probe = nn::difference_bytes<float>(t.net, 37);
  EXPECT_EQ(limited(pass + probe), limited(index_t{1} << 30));
  try {
    limited(pass + probe - 1);
    FAIL();
  } catch (const std::invalid_argument& error) {
    EXPECT_NE(std::string(error.what()).find("37 samples need"), std::string::npos);
  }
}

}  // namespace
