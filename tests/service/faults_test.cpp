// Runs over services that fail at random, or are killed.
#include <sys/wait.h>

#include <csignal>
#include <random>

#include "certificates.hpp"
#include "service/servers.hpp"
#include "support.hpp"

namespace {

using namespace testing_zo;
using std::chrono::milliseconds;
using std::chrono::seconds;

bool all_finite(const std::vector<double>& x) {
  return zo::detail::all_finite(static_cast<index_t>(x.size()), x.data());
}

// One behaviour a request, drawn anew: most are answers.
class faulty {
 public:
  void operator()(visitor& who, const visitor::request& asked) {
    const auto drawn = [&] {
      const std::lock_guard lock(mutex_);
      return draw_();
    }();
    const std::string good = good_answer(asked.body);
    switch (drawn % 40) {
      case 0:
        return void(who.answer("busy", "503 Busy"));
      case 1:
        return void(who.answer("", "429 Many", "Retry-After: 0\r\n"));
      case 2:
        return who.reset();
      case 3:
        return void(who.leave = true);
      case 4:
        who.send("HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + good);
        return void(who.leave = true);
      case 5:
        return void(who.answer("{\"answers\": [", "200 OK"));
      case 6:
        return void(who.answer("{\"answers\": [1, 2, 3, 4, 5]}"));
      case 7:
        return void(who.answer("{\"answers\": [\"nan\"]}"));
      case 8:
        return void(who.answer("{\"answers\": [null], \"failures\": [\"no licence\"]}"));
      case 9:
        return void(who.answer("what?", "400 Bad"));
      case 10:
        return void(who.answer("", "302 Found", "Location: http://127.0.0.1:1/\r\n"));
      case 11:
        who.send("nonsense\r\n\r\n");
        return void(who.leave = true);
      case 12:
        if (drawn / 40 % 8 != 0) break;
        return;  // no answer at all
      case 13:
        return void(who.answer(std::string(3000, ' ') + good));  // too long
      case 14:
        return void(who.answer("[[[[[[[["));
      default:
        break;
    }
    who.answer(good);
  }

 private:
  std::mutex mutex_;
  std::mt19937 draw_{4};
};

const zo::service_options quick{.workers = 4,
                                .points_per_request = 3,
                                .timeout = milliseconds(60),
                                .first_pause = milliseconds(1),
                                .longest_pause = milliseconds(2),
                                .longest_answer = 2000};

template <class F>
zo::minimize_result survive(F&& f, index_t budget, int threads) {
  std::vector<double> x = ramp<double>(4);
  const zo::rge how({.directions = 10, .smoothing = 1e-2, .failures = zo::on_failure::drop},
                    zo::gaussian{}, zo::central{});
  const zo::minimize_result run =
      zo::minimize(zo::par.with_threads(threads), f, x, how, zo::adam({.rate = 0.01}),
                   {.max_queries = budget, .seed = 5});
  EXPECT_EQ(run.why, zo::status::budget_spent);
  EXPECT_LE(run.queries, budget);
  EXPECT_GT(run.queries, budget - how.queries(4));
  EXPECT_TRUE(all_finite(x));
  return run;
}

TEST(service_faults, by_the_thousand) {
  faulty at_random;
  server moody([&](visitor& who, const visitor::request& asked) { at_random(who, asked); });
  const zo::service f(moody.address(), quick);
  std::atomic<index_t> asked{0};
  const auto counted = [&](std::span<const double> x) {
    ++asked;
    return f(x);
  };
  const zo::minimize_result run = survive(counted, 6000, 4);
  EXPECT_EQ(asked, run.queries);
  EXPECT_GE(run.failed, 1000);
  EXPECT_GT(f.requests(), run.queries + 300);  // of which some 1 in 8 were repeated
}

TEST(service_faults, in_batches) {
  faulty at_random;
  server moody([&](visitor& who, const visitor::request& asked) { at_random(who, asked); });
  const zo::service f(moody.address(), quick);
  index_t asked = 0;
  const auto counted = [&](zo::points<double> points, std::span<double> losses) {
    asked += points.count;
    f.batch()(points, losses);
  };
  const zo::minimize_result run = survive(counted, 6000, 1);
  EXPECT_EQ(asked, run.queries);
  EXPECT_GE(run.failed, 800);
}

TEST(service_faults, leave_x_as_it_was) {
  faulty at_random;
  server moody([&](visitor& who, const visitor::request& asked) { at_random(who, asked); });
  const zo::service f(moody.address(), quick);
  const std::vector<double> x = ramp<double>(5), before = x;
  std::vector<double> gradient(5);
  const zo::rge how({.directions = 8, .failures = zo::on_failure::drop});
  for (std::uint64_t step = 0; step < 20; ++step) {
    zo::estimate(zo::par.with_threads(3), f, x, gradient, how, {.step = step});
    EXPECT_TRUE(same_bits(x, before));
  }
}

// A service that is killed at moments of its own, and started again.
void survive_kills(const std::string& address, const std::vector<std::string>& words, int kills,
                   const std::string& certificates) {
  const auto start = [&] {
    std::vector<char*> argv;
    for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    const pid_t child = fork();
    if (child == 0) {
      execv(argv.front(), argv.data());
      _exit(127);
    }
    return child;
  };
  zo::service_options how{.workers = 2,
                          .timeout = seconds(20),
                          .patience = seconds(60),
                          .first_pause = milliseconds(1),
                          .longest_pause = milliseconds(5)};
  how.certificates = certificates;
  const zo::service f(address, how);
  pid_t child = start();
  const std::vector<double> little = ramp<double>(3), much = ramp<double>(30'000);
  const double of_little = valley<double>(little), of_much = valley<double>(much);
  EXPECT_EQ(f(little), of_little);
  std::atomic<bool> done{false};
  std::atomic<int> answered{0};
  std::vector<std::thread> asking;
  for (int k = 0; k < 2; ++k) {
    asking.emplace_back([&, k] {
      while (!done) {
        const std::string sentence = failure_of([&] {
          EXPECT_EQ(f(k == 0 ? little : much), k == 0 ? of_little : of_much);
          ++answered;
        });
        EXPECT_EQ(sentence, "nothing failed");
      }
    });
  }
  std::mt19937 draw(7);
  for (int k = 0; k < kills; ++k) {
    std::this_thread::sleep_for(std::chrono::microseconds(draw() % 20'000));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    child = start();
  }
  done = true;
  for (std::thread& one : asking) one.join();
  EXPECT_GT(answered, 2);
  EXPECT_GT(f.requests(), answered);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
}

int some_port() { return server(be_good).port(); }

TEST(service_faults, of_a_service_that_is_killed_are_not_noticed) {
  const std::string port = std::to_string(some_port());
  survive_kills("http://127.0.0.1:" + port + "/ask", {ZO_SERVICE_CHILD, port}, 150, "");
}

TEST(service_faults, of_a_safe_service_that_is_killed_are_not_noticed) {
  const certificates own;
  const std::string port = std::to_string(some_port());
  survive_kills("https://localhost:" + port + "/ask",
                {ZO_SERVICE_CHILD, port, own.of("localhost"), own.key()}, 50, own.authority());
}

}  // namespace
