#include "common/number.hpp"

#include <gtest/gtest.h>

#include <clocale>
#include <cstdint>

namespace app {
namespace {

TEST(Number, WholeNumbersAreDecimal) {
  EXPECT_EQ(whole_number<std::int64_t>("10"), 10);
  EXPECT_EQ(whole_number<std::int64_t>("010"), 10);
  EXPECT_EQ(whole_number<std::int64_t>("-3"), -3);
  EXPECT_EQ(whole_number<std::uint64_t>("18446744073709551615"), UINT64_MAX);
  EXPECT_EQ(whole_number<int>("2147483647"), INT32_MAX);
}

TEST(Number, NothingElseIsAWholeNumber) {
  for (const char* text : {"", " 5", "5 ", "+5", "0x10", "1e3", "5.0", "5.", "1,000", "1'000",
                           "five", "--5", "-", "9223372036854775808", "-9223372036854775809"}) {
    EXPECT_FALSE(whole_number<std::int64_t>(text)) << text;
  }
  for (const char* text : {"-1", "-0", "18446744073709551616"}) {
    EXPECT_FALSE(whole_number<std::uint64_t>(text)) << text;
  }
  EXPECT_FALSE(whole_number<int>("2147483648"));
}

TEST(Number, RealNumbersAreFiniteAndComplete) {
  EXPECT_EQ(real_number("0.25"), 0.25);
  EXPECT_EQ(real_number("-2e-3"), -2e-3);
  EXPECT_EQ(real_number("5"), 5.0);
  for (const char* text : {"", " 1", "1 ", "+1", "nan", "inf", "-inf", "infinity", "nan(1)",
                           "0x1p3", "1,5", "1.5x", "1e999", "1e-999", ".", "e5", "1.2.3"}) {
    EXPECT_FALSE(real_number(text)) << text;
  }
}

TEST(Number, NoLocaleMatters) {
  for (const char* name : {"de_DE.UTF-8", "de_DE", "fr_FR.UTF-8"}) {
    if (std::setlocale(LC_ALL, name) == nullptr) continue;
    EXPECT_EQ(real_number("0.25"), 0.25);
    EXPECT_FALSE(real_number("0,25"));
    std::setlocale(LC_ALL, "C");
    return;
  }
  GTEST_SKIP() << "no locale with a decimal comma is installed";
}

}  // namespace
}  // namespace app
