#include "settings.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/resume.hpp"
#include "common/text.hpp"

namespace {

defense::settings parsed(std::vector<std::string> words) {
  std::string program = "blackbox_defense";
  std::vector<char*> arguments = {program.data()};
  for (auto& word : words) arguments.push_back(word.data());
  app::processes alone;
  return defense::parse(static_cast<int>(arguments.size()), arguments.data(), alone);
}

TEST(Settings, DefaultsDependOnTheDataSet) {
  EXPECT_EQ(parsed({}).dataset, "fashion-mnist");
  EXPECT_EQ(parsed({}).latent, 48);
  EXPECT_EQ(parsed({"--dataset", "cifar10"}).latent, 192);
}

TEST(Settings, WhatIsGivenWins) {
  const auto s = parsed({"--dataset", "cifar10", "--steps", "7", "--method", "zo-ds,fo-ds"});
  EXPECT_EQ(s.steps, 7);
  EXPECT_EQ(s.methods, (std::vector<std::string>{"zo-ds", "fo-ds"}));
}

TEST(Settings, AllMeansEveryMethodAndTheSweep) {
  const auto s = parsed({"--all"});
  EXPECT_EQ(s.methods, defense::method_names());
  EXPECT_TRUE(s.sweep);
}

TEST(Settings, ADifferenceIsNamed) {
  auto now = parsed({});
  const auto before = defense::select(now, {"seed", "rate"});
  now.rate = 0.5;
  EXPECT_NO_THROW(app::require_same(before, before));
  try {
    app::require_same(before, defense::select(now, {"seed", "rate"}));
    FAIL() << "a different rate was accepted";
  } catch (const std::runtime_error& error) {
    EXPECT_NE(std::string(error.what()).find("--rate was"), std::string::npos) << error.what();
  }
}

// What is refused, as words of the command line and a part of the sentence.
void expect_refused(const std::vector<std::string>& words, const std::string& part) {
  try {
    parsed(words);
    FAIL() << "accepted: " << words.back();
  } catch (const app::usage_error& error) {
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

TEST(Settings, WholeNumbersAreReadAsTheyAreWritten) {
  EXPECT_EQ(parsed({"--seed", "010"}).seed, 10U);
  EXPECT_EQ(parsed({"--seed", "18446744073709551615"}).seed, UINT64_MAX);
  EXPECT_EQ(parsed({"--batch=0064"}).batch, 64);
  EXPECT_EQ(parsed({"--sweep", "--budgets", "4,010"}).budgets, (std::vector<std::int64_t>{4, 10}));
  EXPECT_EQ(parsed({"--n", "1000", "--n", "20"}).n, 20);  // a later one replaces an earlier one
  for (const char* option :
       {"--seed", "--threads", "--checkpoint-every", "--classifier-steps", "--autoencoder-steps",
        "--latent", "--depth", "--width", "--batch", "--steps", "--q", "--coordinates", "--images",
        "--n0", "--n", "--budgets"}) {
    for (const char* text : {"", " 5", "5 ", "+5", "-1", "0x10", "1e3", "5.0", "5,5x", "nan",
                             "18446744073709551616", "99999999999999999999999"}) {
      expect_refused({option, text}, std::string(option) + ": must be a whole number from ");
    }
  }
}

TEST(Settings, RealNumbersAreFiniteAndOfASizeThatFloatHolds) {
  EXPECT_EQ(parsed({"--rate", "1e30"}).rate, 1e30);
  for (const char* option : {"--noise", "--temperature", "--reconstruction", "--rate", "--mu",
                             "--smoothing", "--alpha"}) {
    for (const char* text : {"", " 1", "1 ", "+1", "-1", "nan", "inf", "0x1p3", "0,25", "1e999",
                             "1e39", "1e-46", "0.25x"}) {
      expect_refused({option, text}, ": must be a number ");
    }
  }
  expect_refused({"--rate", "1e39"}, "float holds");
  expect_refused({"--mu", "1e38"}, "--mu: must be a number from 1e-12 to 1e+06, got 1e38");
}

TEST(Settings, WhatHasNoEffectIsRefused) {
  expect_refused({"--q", "8"}, "--directions is for zo-ds, zo-ae-ds-rge");
  expect_refused({"--distribution", "sphere"}, "leave it out");
  expect_refused({"--method", "zo-ds", "--coordinates", "4"}, "--coordinates is for zo-ae-ds-cge");
  expect_refused({"--method", "fo-ds", "--mu", "0.1"}, "--smoothing is for");
  expect_refused({"--method", "none", "--steps", "4"}, "--steps is for");
  expect_refused({"--budgets", "4"}, "--budgets is for --sweep");
  expect_refused({"--dataset", "cifar10", "--classifier-steps", "4"}, "no effect on CIFAR-10");
  EXPECT_NO_THROW(parsed({"--all", "--q", "8", "--budgets", "4", "--coordinates", "4"}));
}

TEST(Settings, CombinationsAreCheckedBeforeAnyWork) {
  expect_refused({"--method", "zo-ds", "--q", "5000000000"},
                 "--q: must be a whole number from 1 to");
  expect_refused({"--method", "zo-ds", "--q", "4294967295"},
                 "--directions must be at most 67108863");
  expect_refused({"--sweep", "--batch", "1024", "--budgets", "5000000"},
                 "--budgets must be at most");
  expect_refused({"--coordinates", "49"}, "at most --latent, 48");
  expect_refused({"--out", ""}, "--out: must name a folder");
  expect_refused({"--no-such-flag"}, "no-such-flag");
  expect_refused({"stray"}, "stray");
}

// The lines that --help prints.
std::vector<std::string> help_of(std::vector<std::string> words) {
  words.push_back("--help");
  std::vector<std::string> lines;
  try {
    parsed(words);
  } catch (const app::help_wanted& help) {
    std::istringstream text(help.text);
    for (std::string line; std::getline(text, line);) lines.push_back(line);
  }
  return lines;
}

// A line of --help for every value that summary.json tells, with the value.
TEST(Settings, HelpTellsTheValues) {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{}, {"--dataset", "cifar10"}, {"--n", "1000"}}) {
    const auto lines = help_of(words);
    const nlohmann::json told = defense::to_json(parsed(words));
    for (const auto& [name, value] : told.items()) {
      if (value.is_null()) continue;
      const std::string text = value.is_array()          ? value[0].get<std::string>()
                               : value.is_string()       ? value.get<std::string>()
                               : value.is_number_float() ? app::shortest(value.get<double>())
                                                         : value.dump();
      const std::string option = "--" + (name == "methods" ? "method" : name) + " ";
      const auto line = std::ranges::find_if(
          lines, [&](const std::string& one) { return one.find(option) != std::string::npos; });
      ASSERT_NE(line, lines.end()) << option;
      EXPECT_NE((*line + " ").find("=" + text + " "), std::string::npos) << *line;
    }
  }
}

TEST(Settings, OfAClassifierElsewhere) {
  const std::vector<std::string> there{"--classifier", "https://example.com/ask?key=k"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), there.begin(), there.end());
    return more;
  };
  const auto s = parsed(with({"--all"}));
  EXPECT_EQ(s.methods, (std::vector<std::string>{"none", "zo-ds", "zo-ae-ds-rge", "zo-ae-ds-cge"}));
  EXPECT_EQ(defense::to_json(s).at("classifier"), "https://example.com/ask");
  EXPECT_TRUE(defense::to_json(parsed({})).at("classifier").is_null());
  expect_refused(with({"--method", "fo-ds"}), "--classifier has none");
  expect_refused(with({"--classifier-steps", "9"}), "no effect on --classifier");
  expect_refused({"--classifier", "example.com"}, "https://…, http://… or 'command …'");
  expect_refused({"--classifier-header", "A: b"}, "are for --classifier https");
  expect_refused({"--classifier", "command x", "--classifier-certificates", "y"},
                 "are for --classifier https");
}

}  // namespace
