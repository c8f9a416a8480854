#include "common/text.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

namespace app {
namespace {

TEST(Text, QuotesHideControlCharacters) {
  EXPECT_EQ(in_quotes("conv1.weight"), "\"conv1.weight\"");
  EXPECT_EQ(in_quotes("a\"b\\c"), "\"a\\\"b\\\\c\"");
  EXPECT_EQ(in_quotes(std::string_view("\x1b[2J\0\x7f", 6)), "\"\\x1b[2J\\x00\\x7f\"");
  EXPECT_EQ(in_quotes(std::string(500, 'x')), "\"" + std::string(120, 'x') + "...\"");
}

TEST(Text, NothingHiddenIsPrinted) {
  EXPECT_EQ(printable("gr\u00fc\u00dfe \u4e2d \U0001f600 \"a\\b\""),
            "gr\u00fc\u00dfe \u4e2d \U0001f600 \"a\\b\"");
  EXPECT_EQ(printable("\x1b]0;x\a"), "\\x1b]0;x\\x07");
  EXPECT_EQ(printable("\u009b2J"), "\\xc2\\x9b2J");  // the same as ESC [
  EXPECT_EQ(printable("a\u202eb\u2066c\u200bd\ufeff"),
            "a\\xe2\\x80\\xaeb\\xe2\\x81\\xa6c\\xe2\\x80\\x8bd\\xef\\xbb\\xbf");
  // No UTF-8: alone, cut off, overlong, surrogates, beyond Unicode.
  EXPECT_EQ(printable("\x9b"), "\\x9b");
  EXPECT_EQ(printable("\xc3"), "\\xc3");
  EXPECT_EQ(printable("\xc0\x9b"), "\\xc0\\x9b");
  EXPECT_EQ(printable("\xe0\x80\x9b"), "\\xe0\\x80\\x9b");
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");
  EXPECT_EQ(printable("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");
  EXPECT_EQ(in_quotes(std::string(119, 'x') + "\u00fc" + "yz"),
            "\"" + std::string(119, 'x') + "...\"");
}

TEST(Text, NumbersDoNotDependOnTheLocale) {
  EXPECT_EQ(fixed(0.125, 2), "0.12");
  EXPECT_EQ(fixed(-3, 1), "-3.0");
  EXPECT_EQ(fixed(1e308, 0).size(), 309U);
  EXPECT_EQ(fixed(std::nan(""), 3), "nan");
  EXPECT_EQ(shortest(0.1), "0.1");
  EXPECT_EQ(std::stod(shortest(1.0 / 3)), 1.0 / 3);
  EXPECT_EQ(shortest(-std::numeric_limits<double>::infinity()), "-inf");
}

TEST(Text, BytesAndWidths) {
  EXPECT_EQ(format_bytes(1023), "1023 bytes");
  EXPECT_EQ(format_bytes(1536), "1.5 KiB");
  EXPECT_EQ(format_bytes(std::uint64_t{1} << 30), "1.0 GiB");
  EXPECT_EQ(display_width("0.79 ± 0.03"), 11U);
  EXPECT_EQ(display_width(""), 0U);
}

}  // namespace
}  // namespace app
