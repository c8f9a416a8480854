#include "zo/progress.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <stdexcept>
#include <string>

namespace zo {
namespace {

progress_state example() {
  progress_state state;
  state.label = "train";
  state.total = 100;
  state.done = 40;
  state.queries = 12'345;
  state.value = 1.25;
  state.seconds = 10;
  return state;
}

TEST(progress, tells_the_facts) {
  EXPECT_EQ(progress_plain_line(example()),
            "train  40 %  40/100  12.3 k queries  1.23 k/s  loss 1.2500  15 s left");
  EXPECT_EQ(progress_bar_line(example(), 200),
            "train [############------------------]  40 %  40/100  12.3 k queries  1.23 k/s  "
            "loss 1.2500  15 s left");
}

TEST(progress, a_complete_run_tells_its_time) {
  progress_state state = example();
  state.done = 100;
  EXPECT_EQ(progress_plain_line(state),
            "train 100 %  100/100  12.3 k queries  1.23 k/s  loss 1.2500  in 10 s");
}

TEST(progress, only_a_complete_run_is_at_a_hundred_percent) {
  progress_state state = example();
  state.total = 100'000;
  state.done = 99'999;
  EXPECT_NE(progress_plain_line(state).find(" 99 %"), std::string::npos);
}

TEST(progress, resumed_steps_do_not_count_as_work) {
  progress_state state = example();
  state.first = 30;  // 10 own steps in 10 s: 60 s for the 60 steps left
  state.first_queries = 12'245;
  const std::string line = progress_plain_line(state);
  EXPECT_NE(line.find("1 min 00 s left"), std::string::npos) << line;
  EXPECT_NE(line.find("  10/s"), std::string::npos) << line;
  state.done = 30;
  EXPECT_EQ(progress_plain_line(state).find("left"), std::string::npos);  // nothing known yet
}

TEST(progress, fits_every_width) {
  for (int width = 0; width <= 120; ++width) {
    const std::string line = progress_bar_line(example(), width);
    EXPECT_LE(line.size(), static_cast<std::size_t>(width)) << line;
  }
  const std::string narrow = progress_bar_line(example(), 40);
  EXPECT_NE(narrow.find("40/100"), std::string::npos) << narrow;
}

TEST(progress, survives_odd_states) {
  progress_state state;
  EXPECT_FALSE(progress_plain_line(state).empty());
  state.total = 10;
  state.done = 25;
  EXPECT_NE(progress_bar_line(state, 80).find("100 %"), std::string::npos);
}

/// A progress that writes to a file, under a clock that the test moves.
struct harness {
  explicit harness(bool terminal) {
    options.out = std::tmpfile();
    options.terminal = terminal;
    options.clock = [this] { return now; };
  }
  ~harness() { std::fclose(options.out); }

  std::string written() const {
    std::string text(100'000, '\0');
    std::rewind(options.out);
    text.resize(std::fread(text.data(), 1, text.size(), options.out));
    return text;
  }
  std::ptrdiff_t count(char c) const {
    const std::string text = written();
    return std::count(text.begin(), text.end(), c);
  }

  double now = 1000;
  progress_options options;
};

TEST(progress, a_log_gets_a_line_every_ten_percent) {
  harness h(false);
  {
    progress p("train", 1000, h.options);
    for (int i = 1; i <= 1000; ++i) {
      h.now += 0.001;
      p.update(i, 10 * i, 0.5);
    }
  }
  EXPECT_EQ(h.count('\n'), 10);
  EXPECT_EQ(h.count('\r'), 0);
}

TEST(progress, a_slow_log_gets_a_line_every_thirty_seconds) {
  harness h(false);
  progress p("train", 100'000, h.options);
  for (int i = 1; i <= 90; ++i) {
    h.now += 1;
    p.update(i);
  }
  EXPECT_EQ(h.count('\n'), 3);
}

TEST(progress, a_terminal_is_redrawn_at_most_ten_times_a_second) {
  harness h(true);
  {
    progress p("train", 10'000, h.options);
    for (int i = 1; i <= 10'000; ++i) {
      h.now += 0.0005;  // 5 s in all
      p.update(i);
    }
  }
  EXPECT_GE(h.count('\r'), 45);
  EXPECT_LE(h.count('\r'), 52);
  EXPECT_EQ(h.count('\n'), 1);
  EXPECT_NE(h.written().find("10000/10000"), std::string::npos);
}

TEST(progress, an_early_end_shows_the_last_state) {
  harness h(true);
  try {
    progress p("train", 100, h.options);
    p.update(1);
    p.update(2);
    throw std::runtime_error("stop");
  } catch (const std::runtime_error&) {
  }
  const std::string text = h.written();
  EXPECT_NE(text.find("2/100"), std::string::npos);
  EXPECT_EQ(text.back(), '\n');
}

TEST(progress, quiet_and_unused_print_nothing) {
  harness h(false);
  { progress unused("train", 10, h.options); }
  h.options.quiet = true;
  {
    progress p("train", 10, h.options);
    for (int i = 1; i <= 10; ++i) p.update(i);
  }
  EXPECT_EQ(h.written(), "");
}

TEST(progress, failures_and_small_values_are_told) {
  progress_state state = example();
  state.value_name = "best";
  state.value = -1.25e-7;
  state.failed = 3;
  EXPECT_EQ(progress_plain_line(state),
            "train  40 %  40/100  12.3 k queries  1.23 k/s  best -1.2500e-07  3 failed  15 s left");
}

TEST(progress, what_is_counted_is_said_once) {
  progress_state state = example();
  state.unit = "queries";
  state.queries = state.done;
  state.value = {};
  EXPECT_EQ(progress_plain_line(state), "train  40 %  40/100 queries  4/s  15 s left");
}

TEST(progress, a_run_of_unknown_length_has_no_bar) {
  progress_state state = example();
  state.total = 0;
  state.unit = "steps";
  const std::string line = "train 40 steps  12.3 k queries  1.23 k/s  loss 1.2500  in 10 s";
  EXPECT_EQ(progress_plain_line(state), line);
  EXPECT_EQ(progress_bar_line(state, 80), line);
  for (int width = 0; width <= 80; ++width) {
    EXPECT_LE(progress_bar_line(state, width).size(), static_cast<std::size_t>(width));
  }
  harness h(false);
  progress p("train", 0, h.options);
  for (int i = 1; i <= 1000; ++i) p.update(i);
  EXPECT_EQ(h.count('\n'), 0);
}

TEST(progress, the_last_line_tells_the_time_also_of_a_run_that_ended_early) {
  for (const bool terminal : {false, true}) {
    harness h(terminal);
    progress p("train", 100, h.options);
    p.update(1);
    h.now += 7;
    p.update(2);
    p.finish();
    EXPECT_NE(h.written().find("2/100  in 7 s"), std::string::npos) << h.written();
  }
}

TEST(progress, counts_have_three_digits) {
  EXPECT_EQ(format_count(0), "0");
  EXPECT_EQ(format_count(999), "999");
  EXPECT_EQ(format_count(0.75), "0.8");
  EXPECT_EQ(format_count(1000), "1.00 k");
  EXPECT_EQ(format_count(12345), "12.3 k");
  EXPECT_EQ(format_count(123456), "123 k");
  EXPECT_EQ(format_count(999'600), "1.00 M");  // not "1000 k"
  EXPECT_EQ(format_count(9'999), "10.0 k");    // not "10.00 k"
  EXPECT_EQ(format_count(-4.56e6), "-4.56 M");
  EXPECT_EQ(format_count(std::numeric_limits<double>::quiet_NaN()), "?");
}

TEST(progress, durations_are_rounded_to_seconds) {
  EXPECT_EQ(format_duration(0), "0 s");
  EXPECT_EQ(format_duration(59.4), "59 s");
  EXPECT_EQ(format_duration(59.6), "1 min 00 s");
  EXPECT_EQ(format_duration(185), "3 min 05 s");
  EXPECT_EQ(format_duration(3599.9), "1 h 00 min");
  EXPECT_EQ(format_duration(2 * 3600 + 7 * 60 + 59), "2 h 07 min");
  EXPECT_EQ(format_duration(-1), "?");
  EXPECT_EQ(format_duration(std::numeric_limits<double>::infinity()), "?");
  EXPECT_EQ(format_duration(1e300), "?");
}

}  // namespace
}  // namespace zo
