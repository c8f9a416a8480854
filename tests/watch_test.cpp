#include "zo/watch.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <limits>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "zo/zo.hpp"

namespace {

double bowl(std::span<const double> x) {
  double sum = 0;
  for (const double one : x) sum += one * one;
  return sum;
}

class watch_test : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = ::testing::TempDir() + "zo_watch_XXXXXX";
    const int file = ::mkstemp(name.data());
    ASSERT_GE(file, 0);
    ::close(file);
    path = name;
    out = std::tmpfile();
    now = 0;
  }
  void TearDown() override {
    std::fclose(out);
    std::remove(path.c_str());
  }

  zo::watch_options quiet() const { return {.csv = path, .line = {.quiet = true}}; }
  zo::progress_options line(bool terminal) {
    return {.terminal = terminal, .out = out, .clock = [this] { return now; }};
  }
  std::string text() const {
    std::ifstream from(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(from), {}};
  }
  void write(const std::string& bytes) const { std::ofstream(path, std::ios::binary) << bytes; }
  std::string printed() const {
    std::rewind(out);
    std::string all(100'000, '\0');
    all.resize(std::fread(all.data(), 1, all.size(), out));
    return all;
  }

  std::string path;
  std::FILE* out = nullptr;
  double now = 0;
};

zo::step_report step(std::uint64_t number, double value = 1, double best = 1) {
  return {.step = number,
          .queries = static_cast<zo::index_t>(10 * (number + 1)),
          .value = value,
          .failed = static_cast<zo::index_t>(number),
          .best = best,
          .seconds = 0.5 * static_cast<double>(number + 1),
          .x = {}};
}

const std::string head = "step,queries,failed,value,best,seconds\n";

TEST_F(watch_test, every_step_of_a_run_is_a_line) {
  std::vector<double> x{1, 2};
  const auto run = zo::minimize(zo::seq, bowl, x, zo::cge(), zo::sgd({.rate = 0.1}),
                                {.max_queries = 31, .on_step = zo::watch(quiet())});
  std::istringstream lines(text());
  std::string one;
  std::getline(lines, one);
  EXPECT_EQ(one + "\n", head);
  std::vector<std::vector<double>> rows;
  while (std::getline(lines, one)) {
    std::ranges::replace(one, ',', ' ');
    std::istringstream numbers(one);
    rows.emplace_back(std::istream_iterator<double>(numbers), std::istream_iterator<double>());
    ASSERT_EQ(rows.back().size(), 6U) << one;
  }
  ASSERT_EQ(rows.size(), run.steps);
  for (std::size_t k = 0; k < rows.size(); ++k) {
    EXPECT_EQ(rows[k][0], static_cast<double>(k));
    EXPECT_EQ(rows[k][1], 3.0 * static_cast<double>(k + 1));
    EXPECT_EQ(rows[k][2], 0);
  }
  EXPECT_EQ(rows[0][3], 5);  // f(1, 2)
  EXPECT_LT(rows.back()[4], 1);
}

TEST_F(watch_test, lines_are_there_at_once_and_numbers_keep_their_bits) {
  const zo::watch on(quiet());
  EXPECT_EQ(text(), head);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  on(step(0, 1.0 / 3, nan));
  EXPECT_EQ(text(), head + "0,10,0,0.3333333333333333,nan,0.5\n");
  on(step(1, -nan, -std::numeric_limits<double>::infinity()));
  EXPECT_EQ(text(), head + "0,10,0,0.3333333333333333,nan,0.5\n1,20,1,nan,-inf,1\n");
  const zo::watch other(quiet());  // not resumed: replaced
  EXPECT_EQ(text(), head);
}

TEST_F(watch_test, steps_that_are_made_again_are_not_written_again) {
  std::string whole;
  {
    const zo::watch on(quiet());
    for (int k = 0; k < 6; ++k) on(step(static_cast<std::uint64_t>(k)));
    whole = text();
  }
  const std::size_t third = whole.find("3,40");
  // Killed at any byte of the file.
  for (std::size_t cut = 0; cut <= third; ++cut) {
    write(whole.substr(0, cut));
    zo::watch_options how = quiet();
    how.resume = true;
    const zo::watch on(how);
    for (int k = 0; k < 6; ++k) on(step(static_cast<std::uint64_t>(k)));
    ASSERT_EQ(text(), whole) << cut;
  }
}

TEST_F(watch_test, a_run_that_goes_on_counts_on) {
  write(head + "0,10,1,5,5,2\n1,20,2,4,4,4.5\n");
  zo::watch_options how = quiet();
  how.resume = true;
  {
    const zo::watch on(how);
    on({.step = 2, .queries = 10, .value = 3, .failed = 1, .best = 3, .seconds = 0.25, .x = {}});
  }
  EXPECT_EQ(text(), head + "0,10,1,5,5,2\n1,20,2,4,4,4.5\n2,30,3,3,3,4.75\n");
  // From a save that is older than the file.
  const zo::watch on(how);
  on({.step = 2, .queries = 10, .value = 3, .failed = 1, .best = 3, .seconds = 0.5, .x = {}});
  on({.step = 3, .queries = 20, .value = 2, .failed = 1, .best = 2, .seconds = 0.75, .x = {}});
  EXPECT_EQ(text(), head + "0,10,1,5,5,2\n1,20,2,4,4,4.5\n2,30,3,3,3,4.75\n3,40,3,2,2,5\n");
}

TEST_F(watch_test, another_file_is_not_gone_on_with) {
  zo::watch_options how = quiet();
  how.resume = true;
  for (const std::string& bytes : {std::string("results of a year\n"), head + "1,2,x,4,5,6\n",
                                   head + "1,2,3\n", head + "0,1,2,3,4,5\n\n"}) {
    write(bytes);
    EXPECT_THROW(zo::watch on(how), std::invalid_argument) << bytes;
    EXPECT_EQ(text(), bytes);
  }
}

TEST_F(watch_test, what_cannot_be_written_is_said) {
  zo::watch_options how = quiet();
  how.csv = path + "/nowhere.csv";
  EXPECT_THROW(zo::watch on(how), std::system_error);
  how.csv = "/dev/full";
  EXPECT_THROW(zo::watch on(how), std::system_error);
}

TEST_F(watch_test, the_bar_ends_with_the_run) {
  std::vector<double> x{1, 2};
  zo::minimize(zo::seq, bowl, x, zo::cge(), zo::sgd({.rate = 0.1}),
               {.max_queries = 31,
                .on_step = zo::watch({.label = "bowl", .max_queries = 31, .line = line(true)})});
  const std::string all = printed();
  EXPECT_NE(all.find("\rbowl [##"), std::string::npos) << all;
  EXPECT_NE(all.find(" 96 %  30/31 queries  best 0.0"), std::string::npos) << all;
  EXPECT_EQ(all.back(), '\n');
}

TEST_F(watch_test, the_line_tells_what_is_known) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const zo::watch on({.label = "a", .max_steps = 4, .line = line(false)});
  on(step(0, 3, nan));  // under central differences f(x) is not known: the lowest mean
  on(step(1, 5, nan));
  now += 2;
  on(step(2, nan, 0.5));
  EXPECT_EQ(printed(),
            "a  25 %  1/4 steps  10 queries  best 3.0000  0 s left\n"
            "a  50 %  2/4 steps  20 queries  best 3.0000  1 failed  0 s left\n"
            "a  75 %  3/4 steps  30 queries  15/s  best 0.5000  2 failed  1 s left\n");
  on.finish();
  on.finish();
  const zo::watch unknown({.line = line(false)});
  unknown(step(0));
  unknown.finish();
  EXPECT_NE(printed().find("zo 10 queries  best 1.0000  in 0 s\n"), std::string::npos) << printed();
}

TEST_F(watch_test, queries_of_the_run_before_are_no_work_of_this_one) {
  zo::progress_options how = line(false);
  how.first_queries = 20;
  const zo::watch on({.max_queries = 100, .line = how});
  now += 5;
  on(step(2));
  EXPECT_EQ(printed(), "zo  30 %  30/100 queries  2/s  best 1.0000  2 failed  35 s left\n");
}

TEST_F(watch_test, an_interrupt_ends_the_run_after_the_step) {
  std::vector<double> x{1, 2};
  zo::watch_options how = quiet();
  how.stop_on_interrupt = true;
  const zo::watch on(how);
  int asked = 0;
  const auto f = [&](std::span<const double> at) {
    if (++asked == 8) std::raise(SIGTERM);  // in the third step
    return bowl(at);
  };
  const auto run = zo::minimize(zo::seq, f, x, zo::cge(), zo::sgd({.rate = 0.1}),
                                {.max_queries = 3000, .on_step = on});
  EXPECT_EQ(run.why, zo::status::callback_stopped);
  EXPECT_EQ(run.steps, 3U);
  EXPECT_EQ(on.signal(), SIGTERM);
}

}  // namespace
