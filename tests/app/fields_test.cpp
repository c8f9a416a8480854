#include "common/fields.hpp"

#include "support.hpp"

namespace app::testing {
namespace {

fields with(const std::string& text) { return {"c.safetensors", {{"x", text}}}; }

TEST(fields, are_read_as_what_they_are) {
  EXPECT_EQ(with("17").whole("x", 0, 17), 17);
  EXPECT_EQ(with("-3").whole("x", -3, 0), -3);
  EXPECT_EQ(with("0.5").number("x", 0, 1), 0.5);
  EXPECT_EQ(with("1e-300").number("x", 0, 1), 1e-300);
  EXPECT_EQ(with(R"({"rate": 0.1})").object("x").at("rate"), 0.1);
  const auto list = with(R"([{"a": 1}, {"a": "2"}])").list("x");
  ASSERT_EQ(list.size(), 2U);
  EXPECT_EQ(list[0].whole("a", 0, 9), 1);
  EXPECT_EQ(list[1].whole("a", 0, 9), 2);
}

TEST(fields, refuse_other_numbers) {
  for (const char* text : {"", " 1", "1 ", "+1", "0x1", "1.0", "1e0", "-5", "11", "nan", "[]",
                           "9223372036854775808", "99999999999999999999", "one"}) {
    expect_refusal([&] { with(text).whole("x", 0, 10); },
                   "\"c.safetensors\": its x is \"" + std::string(text) +
                       "\" and not a whole number from 0 to 10; begin anew with --fresh");
  }
  for (const char* text : {"", "nan", "inf", "-inf", "1e999", "2", "-1", "0.5x", "{}"}) {
    expect_refusal([&] { with(text).number("x", 0, 1); }, "and not a number from 0 to 1");
  }
  const auto in_list = [](const std::string& value) {
    return with("[{\"a\": 1}, {\"a\": " + value + "}]").list("x").at(1);
  };
  for (const char* value : {"null", "true", "1.5", "-1", "18446744073709551615", "[1]", "{}"}) {
    expect_refusal([&] { in_list(value).whole("a", 0, 10); }, "its x[1].a is ");
  }
  for (const char* value : {"null", "true", "-1", "1e300", "[1]", "{}"}) {
    expect_refusal([&] { in_list(value).number("a", 0, 10); }, "its x[1].a is ");
  }
}

TEST(fields, refuse_other_json) {
  for (const char* text : {"", "[]", "1", "null", "{", "{\"a\": nan}", "{}x"}) {
    expect_refusal([&] { with(text).object("x"); }, "its x is ");
  }
  for (const char* text : {"", "{}", "[1]", "[[]]", "[{}", "[{}, null]"}) {
    expect_refusal([&] { with(text).list("x"); }, "its x is ");
  }
  expect_refusal([] { with(std::string("{}\0[", 4)).object("x"); }, "and not JSON");
  for (const char* open : {"[", "{\"a\":"}) {
    std::string deep;
    for (int i = 0; i < 200'000; ++i) deep += open;
    expect_refusal([&] { with(deep).object("x"); }, "its x is nested too deeply");
    expect_refusal([&] { with("{\"rate\": " + deep).object("x"); }, "nested too deeply");
  }
  EXPECT_EQ(with(R"({"a": "[[[[[[[[[[[[[[[[\"[[[[[[["})").object("x").size(), 1U);  // text
  expect_refusal([] { with("1").whole("y", 0, 1); }, "its y is missing");
}

TEST(fields, cannot_disturb_the_terminal) {
  expect_refusal([] { with("\x1b[2J\x7f\u009b" + std::string(1000, 'x')).whole("x", 0, 1); },
                 "its x is \"\\u001b[2J\\u007f\\u009bxxxxxxxxxxxxx");
}

}  // namespace
}  // namespace app::testing
