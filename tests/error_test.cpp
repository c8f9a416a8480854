// Messages are sentences with the value that broke the rule; the environment is checked too.
#include "zo/error.hpp"

#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "support.hpp"

namespace {

using namespace testing_zo;

TEST(require, throws_the_parts_as_one_sentence) {
  using zo::detail::require;
  EXPECT_NO_THROW(require(true, "never"));
  EXPECT_EQ(
      complaint([] { require(false, "a: ", 3, " of ", 0.001, std::string(" b"), 'c' == 'c'); }),
      "a: 3 of 0.001 b1");
  EXPECT_EQ(zo::detail::number_text(1e-12), "1e-12");
  EXPECT_EQ(zo::detail::number_text(not_a_number), "nan");
  EXPECT_EQ(zo::detail::number_text(-not_a_number),
            "nan");  // as 0 * infinity is on many processors
}

// A program may set a locale, and the messages are read by people and by scripts.
TEST(numbers, have_a_point_in_every_locale) {
  const std::filesystem::path folder = testing::TempDir() + "zo_locale";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "comma")
      << "LC_NUMERIC\ndecimal_point \",\"\nthousands_sep \".\"\ngrouping 3;3\nEND LC_NUMERIC\n";
  const std::string source = (folder / "comma").string();
  const std::string make = "localedef -c -i " + source + " -f UTF-8 " + source + ".UTF-8";
  [[maybe_unused]] const int rc = std::system((make + " >/dev/null 2>&1").c_str());
  setenv("LOCPATH", folder.c_str(), 1);
  if (setlocale(LC_NUMERIC, "comma.UTF-8") == nullptr) {
    GTEST_SKIP() << "no locale with a comma can be made here";
  }
  char text[9];
  std::snprintf(text, sizeof text, "%g", -0.5);
  ASSERT_STREQ(text, "-0,5");
  EXPECT_EQ(zo::detail::number_text(-0.5), "-0.5");
  EXPECT_EQ(zo::detail::fixed_text(1234.5, 2), "1234.50");
  EXPECT_EQ(complaint([] { zo::rge({.smoothing = -0.5}); }),
            "zo::rge: smoothing must be a positive number, got -0.5");
  setlocale(LC_NUMERIC, "C");
  std::filesystem::remove_all(folder);
}

TEST(numbers, are_written_as_printf_does) {
  for (const double value :
       {0.0, -0.0, 1.0, 1e-5, 123456.0, 1234567.0, 0.1, 1e300, -2.5e-310, infinity}) {
    char text[400];
    std::snprintf(text, sizeof text, "%g", value);
    EXPECT_EQ(zo::detail::number_text(value), text);
    std::snprintf(text, sizeof text, "%.3g", value);
    EXPECT_EQ(zo::detail::number_text(value, 3), text);
    std::snprintf(text, sizeof text, "%.2f", value);
    EXPECT_EQ(zo::detail::fixed_text(value, 2), text);
  }
}

TEST(not_compiled, says_what_is_missing_and_what_to_do) {
  const zo::not_compiled error("OpenMP", "use zo::seq");
  EXPECT_STREQ(error.what(), "zo: this build has no OpenMP: use zo::seq");
}

// First use of the directions in this process: a bad value is reported at each use, not remembered.
TEST(environment, an_unknown_instruction_set_is_refused_with_a_sentence) {
  std::vector<float> u(3);
  const auto fill = [&] { zo::fill_direction(zo::gaussian{}, {}, std::span(u)); };
  setenv("ZO_INSTRUCTION_SET", "sse9", 1);
  for (int k = 0; k < 2; ++k) {
    EXPECT_TRUE(contains(complaint(fill), "generic, avx2, avx512 or neon, got sse9"));
    EXPECT_TRUE(contains(complaint([] { zo::instruction_set(); }), "got sse9"));
  }
  setenv("ZO_INSTRUCTION_SET", "generic", 1);
  EXPECT_STREQ(zo::instruction_set(), "generic");
  EXPECT_NO_THROW(fill());
}

}  // namespace
