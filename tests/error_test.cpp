// Messages are sentences with the value that broke the rule; the environment is checked too.
#include "zo/error.hpp"

#include <cstdlib>

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
    EXPECT_TRUE(contains(complaint(fill), "generic, avx2 or avx512, got sse9"));
    EXPECT_TRUE(contains(complaint([] { zo::instruction_set(); }), "got sse9"));
  }
  setenv("ZO_INSTRUCTION_SET", "generic", 1);
  EXPECT_STREQ(zo::instruction_set(), "generic");
  EXPECT_NO_THROW(fill());
}

}  // namespace
