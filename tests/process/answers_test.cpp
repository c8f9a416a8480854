// Answers of programs: the bits of a call, in every kind of black box.
#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "function.hpp"
#include "process/processes.hpp"
#include "support.hpp"

namespace {

using namespace testing_zo;
using answers = process_test;

template <class T, class F, class Policy>
std::vector<T> minimized(const Policy& policy, F&& f, index_t queries = 120) {
  std::vector<T> x = ramp<T>(5);
  const zo::rge how({.directions = 6, .smoothing = 1e-3}, zo::gaussian{}, zo::central{});
  zo::minimize(policy, f, x, how, zo::adam({.rate = 0.05}), {.max_queries = queries, .seed = 3});
  return x;
}

template <class T>
void same_run(const zo::process& f) {
  const auto called = [](std::span<const T> x) { return valley(x); };
  const std::vector<T> wanted = minimized<T>(zo::seq, called);
  EXPECT_TRUE(same_bits(minimized<T>(zo::seq, f), wanted));
  EXPECT_TRUE(same_bits(minimized<T>(zo::seq, f.batch()), wanted));
  for (int threads = 1; threads <= 4; ++threads) {
    EXPECT_TRUE(same_bits(minimized<T>(zo::par.with_threads(threads), f), wanted)) << threads;
  }
}

TEST_F(answers, of_kept_programs_have_the_bits_of_a_call) {
  const zo::process f(child({"valley", mark()}), {.workers = 4});
  same_run<double>(f);
  same_run<float>(f);
}

TEST_F(answers, are_as_many_as_threads_ask) {  // more than there are programs
  const zo::process f(child({"valley", mark()}), {.workers = 2});
  const auto called = [](std::span<const double> x) { return valley(x); };
  EXPECT_TRUE(
      same_bits(minimized<double>(zo::par.with_threads(4), f), minimized<double>(zo::seq, called)));
}

TEST_F(answers, of_programs_started_for_each_question_have_the_bits_of_a_call) {
  const auto called = [](std::span<const double> x) { return valley(x); };
  const std::vector<double> wanted = minimized<double>(zo::seq, called, 36);
  const zo::process_options once{.manner = zo::process_manner::once, .workers = 2};
  for (const auto& words :
       {child({"once_stdin"}), child({"once_arguments", "{x}"}), child({"once_file", "{file}"}),
        zo::shell(ZO_PROCESS_CHILD " once_arguments {x}")}) {
    const zo::process f(words, once);
    EXPECT_TRUE(same_bits(minimized<double>(zo::par.with_threads(2), f, 36), wanted)) << words[1];
    EXPECT_TRUE(same_bits(minimized<double>(zo::seq, f.batch(), 36), wanted)) << words[1];
  }
}

TEST_F(answers, to_a_sample) {
  const zo::process f(child({"noisy", mark()}), {.workers = 2});
  const auto called = [](std::span<const double> x, zo::sample_id sample) {
    return noisy_valley(x, sample);
  };
  const std::vector<double> wanted = minimized<double>(zo::seq, called);
  EXPECT_TRUE(same_bits(minimized<double>(zo::par.with_threads(2), f.sampled()), wanted));
  EXPECT_TRUE(same_bits(minimized<double>(zo::seq, f.sampled().batch()), wanted));
}

TEST_F(answers, to_rows) {
  const zo::process f(child({"noisy", mark()}), {.workers = 2});
  const auto called = [](std::span<const float> z, index_t row) {
    return noisy_valley(z, static_cast<std::uint64_t>(row));
  };
  const std::vector<float> z = ramp<float>(12);
  const zo::points<float> rows{z, 4, 3};
  const auto wanted = zo::boundary(zo::seq, called, rows, zo::cge());
  const auto found = zo::boundary(zo::par.with_threads(2), f.rows(), rows, zo::cge());
  EXPECT_TRUE(same_bits(found.gradients, wanted.gradients));
  EXPECT_TRUE(same_bits(found.losses, wanted.losses));
}

TEST_F(answers, of_many_numbers) {
  const zo::process f(child({"map", "7", mark()}), {.workers = 2});
  const auto called = [](std::span<const double> x, std::span<double> y) {
    for (std::size_t i = 0; i < y.size(); ++i) y[i] = mapped(x, i);
  };
  const std::vector<double> x = ramp<double>(3), v = ramp<double>(7);
  const auto policy = zo::par.with_threads(2);
  const zo::estimate_options options{.sample =
                                         0};  // g++ 12 would take an unset one for uninitialized
  EXPECT_TRUE(same_bits(zo::pullback(policy, f.vector(), x, v, zo::cge()).gradients,
                        zo::pullback(zo::seq, called, x, v, zo::cge()).gradients));
  EXPECT_TRUE(same_bits(zo::jacobian(policy, f.vector(), x, 7, zo::cge(), options).values,
                        zo::jacobian(zo::seq, called, x, 7, zo::cge(), options).values));
}

TEST_F(answers, that_are_no_finite_numbers_are_answers) {
  const double x[] = {1};
  const auto said = [&](const char* text) { return zo::process(child({"say", text, mark()}))(x); };
  EXPECT_TRUE(std::isnan(said("nan")));
  EXPECT_TRUE(std::isnan(said("-nan")));
  EXPECT_EQ(said("inf"), INFINITY);
  EXPECT_EQ(said("-Infinity"), -INFINITY);
  EXPECT_EQ(said(" \t+2.5e-3 \r"), 2.5e-3);
  EXPECT_EQ(said("4.9406564584124654e-324"), 4.9406564584124654e-324);
}

// Each side has more to say than pipes hold, and says it before it listens.
TEST_F(answers, to_long_questions_do_not_wait_for_each_other) {
  std::vector<double> x(200'000);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = 1.0 / static_cast<double>(i + 3);
  std::vector<double> y(x.size());
  const zo::process echo({"cat"}, {.timeout = std::chrono::seconds(60), .longest_answer = 1 << 23});
  echo.vector()(x, y);
  EXPECT_TRUE(same_bits(x, y));
  const zo::process talker(child({"talk_first", mark()}), {.timeout = std::chrono::seconds(60)});
  EXPECT_EQ(talker(x), valley<double>(x));
}

TEST_F(answers, come_from_the_folder_and_the_environment_that_were_asked_for) {
  const double x[] = {1};
  setenv("ZO_TEST_OLD", "1", 1);
  const zo::process f(child({"environment", "ZO_TEST_OLD", mark()}),
                      {.environment = {"ZO_TEST_OLD=2.5"}});
  EXPECT_EQ(f(x), 2.5);
  const std::filesystem::path program = ZO_PROCESS_CHILD;
  const zo::process g({"./" + program.filename().string(), "valley", mark()},
                      {.folder = program.parent_path()});
  EXPECT_EQ(g(x), valley<double>(x));
}

TEST_F(answers, to_a_file_leave_no_file) {
  const std::string folder = testing::TempDir() + mark();
  std::filesystem::create_directory(folder);
  const char* const before = std::getenv("TMPDIR");
  const std::string old = before != nullptr ? before : "";
  setenv("TMPDIR", folder.c_str(), 1);
  const double x[] = {1, 2};
  {
    const zo::process f(child({"once_file", "{file}"}), {.manner = zo::process_manner::once});
    EXPECT_EQ(f(x), valley<double>(x));
    const zo::process g({"ls", "{file}"}, {.manner = zo::process_manner::once});
    EXPECT_NE(failure_of([&] { g(x); }).find(folder + "/zo-"), std::string::npos);
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder));
  before != nullptr ? setenv("TMPDIR", old.c_str(), 1) : unsetenv("TMPDIR");
  std::filesystem::remove(folder);
}

}  // namespace
