#include "settings.hpp"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "common/resume.hpp"

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

}  // namespace
