// Files that are no log, are damaged, or are of another run: refused in a sentence, and left as
// they are.
#include <gtest/gtest.h>

#include "logs.hpp"
#include "zo/journal.hpp"

namespace {

using namespace testing_zo;

double bowl(std::span<const double> x) { return x[0] * x[0] + x[1]; }

zo::minimize_result run(const log_file& kept, index_t budget = 16) {
  std::vector<double> x{1, 2};
  zo::journal log(kept.name());
  return zo::minimize(zo::seq, bowl, x, zo::cge(), zo::sgd({.rate = 0.1}),
                      {.max_queries = budget, .seed = 4, .log = &log});
}

TEST(journal_damage, every_byte_that_is_changed_is_noticed) {
  log_file kept;
  run(kept, 7);
  const std::string text = kept.text();
  for (std::size_t at = 0; at + 1 < text.size(); ++at) {
    for (const int by : {1, 0x20}) {
      std::string changed = text;
      changed[at] = static_cast<char>(changed[at] ^ by);
      kept.write(changed);
      const std::string said = thrown_by([&] { zo::journal log(kept.name()); });
      ASSERT_TRUE(said.find("is damaged: line ") != std::string::npos ||
                  said.find("is no log") != std::string::npos)
          << "byte " << at << ": " << said;
      ASSERT_EQ(said, thrown_by([&] { zo::read_journal(kept.name()); }));
      ASSERT_EQ(kept.text(), changed);
    }
  }
}

TEST(journal_damage, lines_that_are_missing_or_moved_are_noticed) {
  log_file kept;
  run(kept);
  const std::vector<std::string> lines = lines_of(kept.text());
  const auto said_of = [&](const std::vector<std::string>& some) {
    std::string text;
    for (const std::string& line : some) text += line;
    kept.write(text);
    return thrown_by([&] { zo::journal log(kept.name()); });
  };
  for (std::size_t k = 1; k + 1 < lines.size(); ++k) {
    auto fewer = lines;
    fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(k));
    EXPECT_NE(said_of(fewer).find("is damaged: line " + std::to_string(k + 1)), std::string::npos);
    auto moved = lines;
    std::swap(moved[k], moved[k + 1]);
    EXPECT_NE(said_of(moved).find("is damaged"), std::string::npos);
    auto twice = lines;
    twice.insert(twice.begin() + static_cast<std::ptrdiff_t>(k), lines[k]);
    EXPECT_NE(said_of(twice).find("is damaged"), std::string::npos);
  }
  EXPECT_EQ(said_of(lines), "");
}

TEST(journal_damage, files_of_others_are_left_as_they_are) {
  log_file kept;
  for (const std::string text :
       {"1 2 3", "x", "{\"zo log\":2,", "{}\n", "\n", "{\"zo log\":1,\n"}) {
    kept.write(text);
    EXPECT_NE(thrown_by([&] { zo::journal log(kept.name()); }), "") << text;
    EXPECT_EQ(kept.text(), text);
  }
  EXPECT_NE(thrown_by([&] { zo::journal log(kept.folder()); }).find("cannot open"),
            std::string::npos);
  EXPECT_NE(thrown_by([&] { zo::journal log("/dev/null"); }).find("is no file"), std::string::npos);
  EXPECT_NE(thrown_by([&] { zo::read_journal(kept.folder() + "/none"); }).find("cannot read"),
            std::string::npos);
  kept.write("");
  EXPECT_NE(thrown_by([&] { zo::read_journal(kept.name()); }).find("no run has begun"),
            std::string::npos);
  EXPECT_NE(thrown_by([&] {
              zo::journal log(kept.name(), {.settings = "[1]"});
            }).find("must be a JSON object"),
            std::string::npos);
}

TEST(journal_damage, a_log_of_another_run_is_refused) {
  log_file kept;
  run(kept);
  const std::string text = kept.text();
  const auto said = [&](auto x, const auto& how, const auto& rule, std::uint64_t seed,
                        std::uint64_t first = 0) {
    const std::string why = thrown_by([&] {
      zo::journal log(kept.name());
      using T = typename decltype(x)::value_type;
      const auto f = [](std::span<const T> at) { return static_cast<double>(at[0]); };
      zo::minimize(zo::seq, f, x, how, rule,
                   {.max_queries = 30, .seed = seed, .first_step = first, .log = &log});
    });
    EXPECT_EQ(kept.text(), text);
    return why;
  };
  const std::vector<double> x{1, 2};
  const zo::sgd rule({.rate = 0.1});
  const auto has = [](const std::string& sentence, const char* part) {
    EXPECT_NE(sentence.find(part), std::string::npos) << sentence;
  };
  has(said(x, zo::cge(), rule, 5), "another seed");
  has(said(x, zo::cge({.smoothing = 1e-4}), rule, 4), "another estimator");
  has(said(x, zo::rge(), rule, 4), "another estimator");
  has(said(std::vector<double>{1, 2.5}, zo::cge(), rule, 4), "another x to start from");
  has(said(std::vector<double>{1, 2, 3}, zo::cge(), rule, 4), "another number of coordinates");
  has(said(std::vector<float>{1, 2}, zo::cge(), rule, 4), "another scalar type");
  has(said(x, zo::cge(), rule, 4, 1), "another first_step");
  has(said(x, zo::cge(), zo::sgd({.rate = 0.2}), 4), "asks another point");
}

TEST(journal_damage, a_file_is_one_runs_at_a_time) {
  log_file kept;
  run(kept);
  zo::journal log(kept.name());
  EXPECT_NE(thrown_by([&] { zo::journal second(kept.name()); }).find("by another program"),
            std::string::npos);
  std::vector<double> x{1, 2};
  const zo::minimize_options options{.max_queries = 16, .seed = 4, .log = &log};
  zo::minimize(zo::seq, bowl, x, zo::cge(), zo::sgd({.rate = 0.1}), options);
  EXPECT_NE(thrown_by([&] {
              std::vector<double> y{1, 2};
              zo::minimize(zo::seq, bowl, y, zo::cge(), zo::sgd({.rate = 0.1}), options);
            }).find("the log of one run"),
            std::string::npos);
}

TEST(journal_damage, objectives_that_answer_differences_are_refused) {
  struct differences {
    double prepare(std::span<const double>, zo::sample_id) { return 0; }
    void probe(std::span<const index_t>, std::span<const double>, std::span<double>) {}
  };
  log_file kept;
  std::vector<double> x{1, 2};
  zo::journal log(kept.name());
  EXPECT_NE(thrown_by([&] {
              zo::minimize(zo::seq, differences{}, x, zo::cge(), zo::sgd(),
                           {.max_queries = 9, .log = &log});
            }).find("this objective answers differences"),
            std::string::npos);
}

}  // namespace
