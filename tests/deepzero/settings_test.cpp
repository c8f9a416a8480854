#include "settings.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <sstream>
#include <string>
#include <vector>

#include "common/text.hpp"

namespace {

deepzero::settings parsed(std::vector<std::string> words) {
  std::string program = "deepzero";
  std::vector<char*> arguments = {program.data()};
  for (auto& word : words) arguments.push_back(word.data());
  app::processes alone;
  return deepzero::parse(static_cast<int>(arguments.size()), arguments.data(), alone);
}

TEST(settings, defaults_depend_on_data_set_study_and_device) {
  EXPECT_EQ(parsed({}).network, "cnn");
  EXPECT_EQ(parsed({"--dataset", "cifar10"}).network, "resnet20");
  EXPECT_EQ(parsed({"--study"}).depth, 4);
  EXPECT_EQ(parsed({"--table"}).dataset, "cifar10");
  EXPECT_EQ(parsed({"--table"}).channels, 18);
  EXPECT_EQ(parsed({"--epochs", "7"}).epochs, 7);
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

TEST(settings, whole_numbers_are_read_as_they_are_written) {
  EXPECT_EQ(parsed({"--seed", "010"}).seed, 10U);
  EXPECT_EQ(parsed({"--seed", "18446744073709551615"}).seed, UINT64_MAX);
  EXPECT_EQ(parsed({"--batch=0064"}).batch, 64);
  for (const char* option :
       {"--seed", "--threads", "--checkpoint-every", "--channels", "--depth", "--images",
        "--test-images", "--epochs", "--batch", "--evaluations", "--q"}) {
    for (const char* text : {"", " 5", "5 ", "+5", "-1", "0x10", "1e3", "5.0", "nan",
                             "18446744073709551616", "99999999999999999999999"}) {
      expect_refused({option, text}, std::string(option) + ": must be a whole number from ");
    }
  }
}

TEST(settings, real_numbers_are_finite_and_of_a_size_that_float_holds) {
  EXPECT_EQ(parsed({"--rate", "1e30"}).rate, 1e30);
  for (const char* option :
       {"--rate", "--momentum", "--weight-decay", "--warmup", "--mu", "--sparsity", "--interval"}) {
    for (const char* text : {"", " 1", "1 ", "+1", "-1", "nan", "inf", "0x1p3", "0,25", "1e999",
                             "1e39", "1e-46", "0.25x"}) {
      expect_refused({option, text}, ": must be a number ");
    }
  }
  expect_refused({"--rate", "1e39"}, "float holds");
  expect_refused({"--mu", "1e38"}, "--mu: must be a number from 1e-12 to 1e+06, got 1e38");
}

TEST(settings, what_has_no_effect_is_refused) {
  expect_refused({"--estimator", "rge", "--products", "bfloat16"},
                 "--products is for cge, sparse-cge");
  expect_refused({"--estimator", "cge", "--sparsity", "0.5"}, "--sparsity is for sparse-cge");
  expect_refused({"--study", "--table"}, "--study");
  expect_refused({"--estimator", "cge", "--interval", "1"}, "--interval is for sparse-cge");
  expect_refused({"--estimator", "cge", "--q", "8"}, "--directions is for activations, rge");
  expect_refused({"--network", "resnet20", "--depth", "3"}, "--depth is for the cnn and the mlp");
  EXPECT_NO_THROW(parsed({"--estimator", "cge,rge", "--products", "bfloat16", "--q", "8"}));
}

TEST(settings, a_gpu_is_for_estimators_that_are_there) {
  expect_refused({"--device", "cuda", "--estimator", "cge,rge"}, "--estimator names rge");
  expect_refused({"--device", "cuda", "--estimator", "rge"}, "--estimator names rge");
  using names = std::vector<std::string>;
  EXPECT_EQ(parsed({"--device", "cuda"}).estimators, (names{"cge", "sparse-cge"}));
  EXPECT_EQ(parsed({"--device", "cuda", "--study"}).estimators, names{"cge"});
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
TEST(settings, help_tells_the_values) {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{}, {"--dataset", "cifar10"}, {"--study"}, {"--table"}}) {
    const auto lines = help_of(words);
    const nlohmann::json told = deepzero::to_json(parsed(words));
    for (const auto& [name, value] : told.items()) {
      if (value.is_null()) continue;
      const std::string text = value.is_array()          ? "[" + value[0].get<std::string>()
                               : value.is_string()       ? value.get<std::string>()
                               : value.is_number_float() ? app::shortest(value.get<double>())
                                                         : value.dump();
      const auto line = std::ranges::find_if(lines, [&](const std::string& one) {
        return one.find("--" + name + " ") != std::string::npos;
      });
      ASSERT_NE(line, lines.end()) << name;
      EXPECT_NE((*line + " ").find("=" + text), std::string::npos) << *line;
    }
  }
}

}  // namespace
