// Programs that are asked in JSON.
#include <cmath>

#include "function.hpp"
#include "process/processes.hpp"
#include "support.hpp"

namespace {

using namespace testing_zo;
using json_lines = process_test;

const std::vector<double> somewhere{0.1, -0.0, 1.0 / 3};
const auto json = zo::process_format::json;
const auto once = zo::process_manner::once;

std::string said(const std::string& line) {
  const zo::process f(zo::shell("while read -r line; do echo '" + line + "'; done"),
                      {.format = json});
  return failure_of([&] { f(somewhere); });
}

TEST_F(json_lines, have_the_bits_of_a_call) {
  const zo::process f(child({"json", "", mark()}), {.format = json, .workers = 2});
  EXPECT_EQ(f(somewhere), valley<double>(somewhere));
  EXPECT_EQ(f.sampled()(somewhere, 7), noisy_valley<double>(somewhere, 7));
  EXPECT_EQ(f.rows()(somewhere, 9), noisy_valley<double>(somewhere, 9));
  const std::vector<float> x = ramp<float>(6);
  std::vector<double> losses(3);
  f.batch()(zo::points<float>{x, 3, 2}, losses);
  for (std::size_t k = 0; k < 3; ++k) {
    EXPECT_EQ(losses[k], valley(std::span<const float>(x).subspan(2 * k, 2)));
  }
}

TEST_F(json_lines, are_written_as_the_page_says) {
  const zo::process echo({"cat"}, {.format = json});
  const std::string plain = failure_of([&] { echo(somewhere); });
  EXPECT_NE(plain.find(R"({"x":[0.1,-0.0,0.3333333333333333]}")"), plain.npos) << plain;
  const std::vector<double> odd{NAN, -INFINITY};
  const std::string sampled = failure_of([&] { echo.sampled()(odd, 18446744073709551615u); });
  EXPECT_NE(sampled.find(R"({"x":["nan","-inf"],"sample":18446744073709551615}")"), sampled.npos)
      << sampled;
  const std::string row = failure_of([&] { echo.rows()(odd, 3); });
  EXPECT_NE(row.find(R"(],"row":3}")"), row.npos) << row;
}

TEST_F(json_lines, of_many_numbers) {
  const zo::process f(child({"json", "map", mark()}), {.format = json});
  std::vector<double> y(2), three(3);
  f.vector()(somewhere, y);
  EXPECT_EQ(y, (std::vector<double>{somewhere[0], valley<double>(somewhere)}));
  EXPECT_NE(failure_of([&] {
              f.vector()(somewhere, three);
            }).find("answered 2 numbers where 3 numbers are wanted"),
            std::string::npos);
}

TEST_F(json_lines, of_programs_started_for_each_question) {
  const zo::process f(child({"json", "", mark()}), {.manner = once, .format = json});
  EXPECT_EQ(f(somewhere), valley<double>(somewhere));
  const zo::process g(zo::shell("echo '{\"failure\": \"no licence\"}'"),
                      {.manner = once, .format = json});
  const std::string sentence = failure_of([&] { g(somewhere); });
  EXPECT_NE(sentence.find("says that it failed: \"no licence\""), sentence.npos) << sentence;
}

// It goes on, and is not started anew.
TEST_F(json_lines, that_say_failure_leave_the_program_alive) {
  const zo::process f(child({"json", "fails", mark()}), {.format = json});
  EXPECT_EQ(f(somewhere), valley<double>(somewhere));
  const std::vector<int> before = running(mark());
  const double bad[] = {-1};
  for (int k = 0; k < 4; ++k) {
    const std::string sentence = failure_of([&] { f(bad); });
    EXPECT_NE(sentence.find("says that it failed: \"below 0\""), sentence.npos) << sentence;
    EXPECT_EQ(f.last_failure(), sentence);
    EXPECT_EQ(f(somewhere), valley<double>(somewhere));
  }
  const std::vector<double> x{1, -2, -3, 4, -5};
  std::vector<double> losses(x.size(), -7);
  f.batch()(zo::points<double>{x, 5, 1}, losses);
  for (std::size_t k = 0; k < x.size(); ++k) {
    EXPECT_EQ(losses[k], x[k] < 0 ? -7 : valley(std::span<const double>(x).subspan(k, 1))) << k;
  }
  EXPECT_EQ(before, running(mark()));
}

TEST_F(json_lines, that_are_wrong) {
  EXPECT_NE(said("7").find("answered \"7\", where {\"answer\": …}"), std::string::npos);
  EXPECT_NE(said("{\"answer\": }").find("where {\"answer\": …}"), std::string::npos);
  EXPECT_NE(said("{\"answer\": true}").find("answered \"true\", no number"), std::string::npos);
  EXPECT_NE(said("{\"answer\": [1, 2]}").find("2 numbers where 1 number is wanted"),
            std::string::npos);
  EXPECT_EQ(said("{\"answer\": \"nan\", \"more\": 1}"), "nothing failed");
}

}  // namespace
