#include "common/chart.hpp"

#include <cmath>
#include <limits>

#include "support.hpp"

namespace app {
namespace {

namespace fs = std::filesystem;
using testing::get;
using testing::put;
using testing::temporary_directory;

chart example() {
  chart what;
  what.title = "accuracy";
  what.x_label = "queries";
  what.y_label = "accuracy";
  what.series = {{"ZO, \"CGE\"", {4, 16, 64}, {0.25, 0.5, 0.75}, {0.03, 0.03, 0.02}},
                 {"limit", {4, 64}, {0.8, 0.8}, {}, false, true}};
  return what;
}

bool has_gnuplot() { return std::system("command -v gnuplot > /dev/null 2>&1") == 0; }

TEST(Chart, CsvHoldsTheData) {
  EXPECT_EQ(chart_csv(example()),
            "series,x,y,error\n"
            "\"ZO, \"\"CGE\"\"\",4,0.25,0.03\n"
            "\"ZO, \"\"CGE\"\"\",16,0.5,0.03\n"
            "\"ZO, \"\"CGE\"\"\",64,0.75,0.02\n"
            "limit,4,0.8,\n"
            "limit,64,0.8,\n");
}

TEST(Chart, TextCannotLeaveItsQuotes) {
  chart what = example();
  what.title = "it's `touch x` \n system('touch x')";
  const std::string script = chart_script(what, "a.png");
  EXPECT_NE(script.find("set title 'it\u2019s `touch x`   system(\u2019touch x\u2019)'"),
            std::string::npos)
      << script;
}

TEST(Chart, LogarithmicTicksAreTheData) {
  chart what = example();
  what.log_x = true;
  const std::string script = chart_script(what, "a.png");
  EXPECT_NE(script.find("set logscale x"), std::string::npos);
  EXPECT_NE(script.find("set xtics (4, 16, 64)"), std::string::npos);
}

TEST(Chart, LogarithmicTicksOfDenseDataAreRound) {
  const auto script_of = [](double from, double by, int count) {
    chart what = example();
    what.log_x = true;
    what.series.resize(1);
    what.series[0] = {.name = "a", .x = {}, .y = {}, .error = {}};
    for (double x = from; std::ssize(what.series[0].x) < count; x *= by) {
      what.series[0].x.push_back(x);
      what.series[0].y.push_back(0.5);
    }
    return chart_script(what, "a.png");
  };
  EXPECT_NE(script_of(300, 2, 14)
                .find("set xtics ('1 k' 1000, '10 k' 10000, '100 k' 1e+05, "
                      "'1 M' 1e+06)"),
            std::string::npos);
  EXPECT_NE(script_of(0.15, 1.4, 10).find("set xtics ('0.2' 0.2, '0.5' 0.5, '1' 1, '2' 2)"),
            std::string::npos);
}

TEST(Chart, RefusesWhatCannotBeDrawn) {
  const temporary_directory directory;
  const auto refused = [&](auto change, const char* name = "a.png") {
    chart what = example();
    change(what);
    EXPECT_THROW(write_chart(directory / name, what), std::invalid_argument);
  };
  refused([](chart& c) { c.series.clear(); });
  refused([](chart& c) { c.series[0].y.pop_back(); });
  refused([](chart& c) { c.series[0].error.pop_back(); });
  refused([](chart& c) {
    c.log_x = true;
    c.series[0].x[0] = 0;
  });
  refused([](chart& c) { c.series = {{"nan", {1}, {std::nan("")}, {}}}; });
  refused([](chart&) {}, "a.pdf");
  EXPECT_TRUE(directory.listing().empty());
}

TEST(Chart, WithoutGnuplotTheDataStay) {
  const temporary_directory directory;
  put(directory / "a.png", "older picture");
  const testing::environment nowhere("PATH", "/nonexistent");
  const std::string message = write_chart(directory / "a.png", example());
  EXPECT_NE(message.find("gnuplot-nox"), std::string::npos) << message;
  EXPECT_NE(message.find("a.csv"), std::string::npos) << message;
  EXPECT_EQ(get(directory / "a.csv"), chart_csv(example()));
  EXPECT_EQ(get(directory / "a.png"), "older picture");
}

TEST(Chart, AFailingGnuplotIsReported) {
  const temporary_directory directory;
  put(directory / "gnuplot", "#!/bin/sh\nprintf 'no \\033 luck' >&2\nexit 3\n");
  fs::permissions(directory / "gnuplot", fs::perms::owner_all);
  put(directory / "a.png", "older picture");
  const testing::environment here("PATH", directory.path().c_str());
  const std::string message = write_chart(directory / "a.png", example());
  EXPECT_NE(message.find("gnuplot failed: \"no \\x1b luck\""), std::string::npos) << message;
  EXPECT_EQ(get(directory / "a.png"), "older picture");
}

TEST(Chart, ATruncatedDrawingIsNotKept) {
  // On a full disk gnuplot stops writing, but reports success.
  const temporary_directory directory;
  put(directory / "gnuplot", "#!/bin/sh\nprintf '\\211PNG and half of the rest'\n");
  fs::permissions(directory / "gnuplot", fs::perms::owner_all);
  put(directory / "a.png", "older picture");
  const testing::environment here("PATH", directory.path().c_str());
  const std::string message = write_chart(directory / "a.png", example());
  EXPECT_NE(message.find("incomplete"), std::string::npos) << message;
  EXPECT_EQ(get(directory / "a.png"), "older picture");
  EXPECT_EQ(directory.listing().size(), 4U);  // with the program, the table and the script
}

TEST(Chart, DrawsPngAndSvg) {
  if (!has_gnuplot()) GTEST_SKIP() << "gnuplot is not installed";
  const temporary_directory directory;
  ASSERT_EQ(write_chart(directory / "a.png", example()), "");
  ASSERT_EQ(write_chart(directory / "b.svg", example()), "");
  EXPECT_EQ(get(directory / "a.png").substr(1, 3), "PNG");
  EXPECT_NE(get(directory / "b.svg").find("</svg>"), std::string::npos);
  EXPECT_EQ(directory.listing().size(), 6U);  // two pictures, two tables, two scripts
}

TEST(Chart, HostileTextAndNamesRunNothing) {
  if (!has_gnuplot()) GTEST_SKIP() << "gnuplot is not installed";
  const temporary_directory directory;
  const std::string target = (directory / "ran").string();
  chart what = example();
  for (std::string* text : {&what.title, &what.x_label, &what.y_label, &what.series[0].name}) {
    *text = "'; system('touch " + target + "'); ' `touch " + target + "` $(touch " + target +
            ") \" @x %s {/Bold} \\n \n system('touch " + target + "')";
  }
  what.series.push_back({"gaps", {1, 2, 3, 4}, {1, std::nan(""), 2, INFINITY}, {}});
  what.series.push_back({"empty", {}, {}, {}});
  const fs::path strange = directory / "a' `touch ran` $(touch ran) \"b\" ";
  fs::create_directories(strange);
  const fs::path before = fs::current_path();
  fs::current_path(directory.path());
  EXPECT_EQ(write_chart(strange / "-e 'x.svg", what), "");
  EXPECT_EQ(write_chart("-d.png", what), "");
  fs::current_path(before);
  EXPECT_TRUE(fs::exists(strange / "-e 'x.svg"));
  EXPECT_TRUE(fs::exists(directory / "-d.png"));
  EXPECT_FALSE(fs::exists(target));
}

}  // namespace
}  // namespace app
