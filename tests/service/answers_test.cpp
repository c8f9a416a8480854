// Answers of services: the bits of a call, in every kind of black box.
#include <cmath>
#include <limits>

#include "service/servers.hpp"
#include "support.hpp"

namespace {

using namespace testing_zo;

template <class T, class F, class Policy>
std::vector<T> minimized(const Policy& policy, F&& f, index_t* queries = nullptr) {
  std::vector<T> x = ramp<T>(5);
  const zo::rge how({.directions = 6, .smoothing = 1e-3}, zo::gaussian{}, zo::central{});
  const auto run =
      zo::minimize(policy, f, x, how, zo::adam({.rate = 0.05}), {.max_queries = 120, .seed = 3});
  if (queries != nullptr) *queries += run.queries;
  return x;
}

template <class T>
void same_run(index_t points_per_request) {
  std::atomic<index_t> points{0};
  server good([&](visitor& who, const visitor::request& asked) {
    points += static_cast<index_t>(points_in(asked.body));
    be_good(who, asked);
  });
  const zo::service f(good.address(), {.workers = 3, .points_per_request = points_per_request});
  const auto called = [](std::span<const T> x) { return valley(x); };
  const std::vector<T> wanted = minimized<T>(zo::seq, called);
  index_t counted = 0;
  EXPECT_TRUE(same_bits(minimized<T>(zo::seq, f, &counted), wanted));
  EXPECT_EQ(good.connections(), 1);
  EXPECT_TRUE(same_bits(minimized<T>(zo::seq, f.batch(), &counted), wanted));
  for (int threads = 2; threads <= 5; ++threads) {  // also more than there are connections
    EXPECT_TRUE(same_bits(minimized<T>(zo::par.with_threads(threads), f, &counted), wanted))
        << threads;
  }
  EXPECT_EQ(points, counted);
  EXPECT_EQ(good.requests(), f.requests());
  EXPECT_EQ(f.last_failure(), "");
}

TEST(service_answers, have_the_bits_of_a_call) {
  for (const index_t points : {1, 5, 64}) {
    same_run<double>(points);
    same_run<float>(points);
  }
}

TEST(service_answers, to_a_sample) {
  server good(be_good);
  const zo::service f(good.address(), {.workers = 2, .points_per_request = 4});
  const auto called = [](std::span<const double> x, zo::sample_id sample) {
    return noisy_valley(x, sample);
  };
  const std::vector<double> wanted = minimized<double>(zo::seq, called);
  EXPECT_TRUE(same_bits(minimized<double>(zo::par.with_threads(2), f.sampled()), wanted));
  EXPECT_TRUE(same_bits(minimized<double>(zo::seq, f.sampled().batch()), wanted));
}

TEST(service_answers, to_rows) {
  server good(be_good);
  const zo::service f(good.address(), {.workers = 2, .points_per_request = 4});
  const auto called = [](std::span<const float> z, index_t row) {
    return noisy_valley(z, static_cast<std::uint64_t>(row));
  };
  const std::vector<float> z = ramp<float>(12);
  const zo::points<float> rows{z, 4, 3};
  const auto wanted = zo::boundary(zo::seq, called, rows, zo::cge());
  const auto found = zo::boundary(zo::seq, f.rows(), rows, zo::cge());
  EXPECT_TRUE(same_bits(found.gradients, wanted.gradients));
  EXPECT_TRUE(same_bits(found.losses, wanted.losses));
}

TEST(service_answers, of_many_numbers) {
  server good(
      [](visitor& who, const visitor::request& asked) { who.answer(good_answer(asked.body, 7)); });
  const zo::service f(good.address(), {.workers = 2, .points_per_request = 3});
  const auto called = [](std::span<const double> x, std::span<double> y) {
    for (std::size_t i = 0; i < y.size(); ++i) y[i] = mapped(x, i);
  };
  const std::vector<double> x = ramp<double>(3), v = ramp<double>(7);
  const zo::estimate_options options{.sample = 0};
  EXPECT_TRUE(same_bits(zo::pullback(zo::seq, f.vector(), x, v, zo::cge()).gradients,
                        zo::pullback(zo::seq, called, x, v, zo::cge()).gradients));
  EXPECT_TRUE(same_bits(zo::jacobian(zo::seq, f.vector(), x, 7, zo::cge(), options).values,
                        zo::jacobian(zo::seq, called, x, 7, zo::cge(), options).values));
}

// Whatever a double holds goes there and back.
TEST(service_answers, keep_every_bit) {
  server echo([](visitor& who, const visitor::request& asked) {
    who.answer(nlohmann::json{{"answers", nlohmann::json::parse(asked.body)["points"]}}.dump());
  });
  const zo::service f(echo.address());
  constexpr double inf = std::numeric_limits<double>::infinity();
  std::vector<double> x{
      0.1, -0.0, 5e-324, 1.7976931348623157e308, -1.0 / 3, 1e22, 9007199254740993.0, inf, -inf};
  std::uint64_t bits = 1;
  for (int k = 0; k < 5000; ++k) {
    bits = bits * 6364136223846793005u + 1442695040888963407u;
    double value = 0;
    std::memcpy(&value, &bits, sizeof value);
    x.push_back(std::isnan(value) ? 0 : value);
  }
  std::vector<double> y(x.size());
  f.vector()(zo::points<double>{x, 1, static_cast<index_t>(x.size())}, y);
  EXPECT_TRUE(same_bits(x, y));
  const std::vector<float> single = ramp<float>(1000);
  std::vector<float> back(single.size());
  f.vector()(zo::points<float>{single, 1, 1000}, back);
  EXPECT_TRUE(same_bits(single, back));
}

TEST(service_answers, that_are_no_finite_numbers_are_answers) {
  std::string said;
  server talker([&](visitor& who, const visitor::request&) { who.answer(said); });
  const zo::service f(talker.address());
  const auto answer = [&](const std::string& value) {
    said = "{\"answers\": [" + value + "]}";
    return f(std::vector<double>{1});
  };
  EXPECT_TRUE(std::isnan(answer("\"nan\"")));
  EXPECT_TRUE(std::isnan(answer("\"NaN\"")));
  EXPECT_EQ(answer("\"inf\""), INFINITY);
  EXPECT_EQ(answer("\"-Infinity\""), -INFINITY);
  EXPECT_EQ(answer("[2.5]"), 2.5);
  EXPECT_EQ(answer("3"), 3);
  EXPECT_EQ(answer("-0.0"), 0);
}

TEST(service_answers, to_long_questions) {
  server good(be_good);
  const std::vector<double> x = ramp<double>(200'000);
  EXPECT_EQ(zo::service(good.address())(x), valley<double>(x));
}

// Chunks instead of a length, in pieces, and a word before.
TEST(service_answers, in_chunks) {
  server talker([](visitor& who, const visitor::request&) {
    who.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200\r\nTransfer-");
    who.send("Encoding: chunked\r\n\r\n5\r\n{\"ans\r\n");
    who.send("C\r\nwers\": [4]} \r\n0\r\n\r\n");
  });
  const zo::service f(talker.address());
  for (int k = 0; k < 3; ++k) EXPECT_EQ(f(std::vector<double>{1}), 4);
  EXPECT_EQ(talker.connections(), 1);
}

TEST(service_answers, at_no_more_than_a_rate) {
  server good(be_good);
  const auto seconds = [&](const zo::service_options& options) {
    const zo::service f(good.address(), options);
    const auto start = std::chrono::steady_clock::now();
    const std::vector<double> x = ramp<double>(8);
    std::vector<double> losses(8);
    f.batch()(zo::points<double>{x, 8, 1}, losses);
    EXPECT_EQ(f.requests(), 4);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  EXPECT_GE(seconds({.workers = 3, .points_per_request = 2, .requests_per_second = 20}), 0.15);
  EXPECT_GE(seconds({.workers = 3, .points_per_request = 2, .points_per_second = 40}), 0.15);
}

}  // namespace
