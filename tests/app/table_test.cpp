#include "common/table.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

namespace app {
namespace {

TEST(Table, AlignsColumns) {
  table t({"method", "accuracy", "q"});
  t.add({"ZO-AE-DS (CGE)", "0.79 ± 0.03", "192"});
  t.add({"none", "0.1", "4"});
  EXPECT_EQ(t.text(),
            "method             accuracy    q\n"
            "--------------------------------\n"
            "ZO-AE-DS (CGE)  0.79 ± 0.03  192\n"
            "none                    0.1    4\n");
}

TEST(Table, HasNoTrailingBlanks) {
  table t({"a", "b"});
  t.add({"x", ""});
  EXPECT_EQ(t.text(), "a  b\n----\nx\n");
}

TEST(Table, QuotesCsvCells) {
  EXPECT_EQ(csv_cell("plain"), "plain");
  EXPECT_EQ(csv_cell("a b"), "a b");
  EXPECT_EQ(csv_cell(""), "");
  EXPECT_EQ(csv_cell("a,b"), "\"a,b\"");
  EXPECT_EQ(csv_cell("say \"hi\""), "\"say \"\"hi\"\"\"");
  EXPECT_EQ(csv_cell("two\nlines"), "\"two\nlines\"");
  EXPECT_EQ(csv_cell("cr\r"), "\"cr\r\"");
  EXPECT_EQ(csv_cell(" x"), "\" x\"");
  table t({"a", "b,c"});
  t.add({"\"", "1"});
  EXPECT_EQ(t.csv(), "a,\"b,c\"\n\"\"\"\",1\n");
}

TEST(Table, RefusesRaggedRows) {
  table t({"a", "b"});
  EXPECT_THROW(t.add({"1"}), std::invalid_argument);
  EXPECT_THROW(t.add({"1", "2", "3"}), std::invalid_argument);
}

}  // namespace
}  // namespace app
