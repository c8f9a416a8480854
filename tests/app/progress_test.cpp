#include "common/progress.hpp"

#include <algorithm>

#include "common/text.hpp"
#include "support.hpp"

namespace app {
namespace {

progress_state example() {
  progress_state state;
  state.label = "train";
  state.total = 100;
  state.done = 40;
  state.queries = 12'345;
  state.loss = 1.25;
  state.seconds = 10;
  return state;
}

TEST(Progress, TellsTheFacts) {
  EXPECT_EQ(progress_plain_line(example()),
            "train  40 %  40/100  12.3 k queries  1.23 k/s  loss 1.2500  15 s left");
  EXPECT_EQ(progress_bar_line(example(), 200),
            "train [############------------------]  40 %  40/100  12.3 k queries  1.23 k/s  "
            "loss 1.2500  15 s left");
}

TEST(Progress, ACompleteRunTellsItsTime) {
  progress_state state = example();
  state.done = 100;
  EXPECT_EQ(progress_plain_line(state),
            "train 100 %  100/100  12.3 k queries  1.23 k/s  loss 1.2500  in 10 s");
}

TEST(Progress, OnlyACompleteRunIsAtAHundredPercent) {
  progress_state state = example();
  state.total = 100'000;
  state.done = 99'999;
  EXPECT_NE(progress_plain_line(state).find(" 99 %"), std::string::npos);
}

TEST(Progress, ResumedStepsDoNotCountAsWork) {
  progress_state state = example();
  state.first = 30;  // 10 own steps in 10 s: 60 s for the 60 steps left
  state.first_queries = 12'245;
  const std::string line = progress_plain_line(state);
  EXPECT_NE(line.find("1 min 00 s left"), std::string::npos) << line;
  EXPECT_NE(line.find("  10/s"), std::string::npos) << line;
  state.done = 30;
  EXPECT_EQ(progress_plain_line(state).find("left"), std::string::npos);  // nothing known yet
}

TEST(Progress, FitsEveryWidth) {
  for (int width = 0; width <= 120; ++width) {
    const std::string line = progress_bar_line(example(), width);
    EXPECT_LE(display_width(line), static_cast<std::size_t>(width)) << line;
  }
  const std::string narrow = progress_bar_line(example(), 40);
  EXPECT_NE(narrow.find("40/100"), std::string::npos) << narrow;
}

TEST(Progress, SurvivesOddStates) {
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

TEST(Progress, ALogGetsALineEveryTenPercent) {
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

TEST(Progress, ASlowLogGetsALineEveryThirtySeconds) {
  harness h(false);
  progress p("train", 100'000, h.options);
  for (int i = 1; i <= 90; ++i) {
    h.now += 1;
    p.update(i);
  }
  EXPECT_EQ(h.count('\n'), 3);
}

TEST(Progress, ATerminalIsRedrawnAtMostTenTimesASecond) {
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

TEST(Progress, AnEarlyEndShowsTheLastState) {
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

TEST(Progress, QuietAndUnusedPrintNothing) {
  harness h(false);
  { progress unused("train", 10, h.options); }
  h.options.quiet = true;
  {
    progress p("train", 10, h.options);
    for (int i = 1; i <= 10; ++i) p.update(i);
  }
  EXPECT_EQ(h.written(), "");
}

}  // namespace
}  // namespace app
