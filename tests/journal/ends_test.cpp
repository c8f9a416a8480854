// Runs that end as no program wants to: killed at random moments, with a full disk, by an
// exception.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <random>
#include <thread>

#include "logs.hpp"
#include "zo/journal.hpp"

namespace {

using namespace testing_zo;

struct program_end {
  int status = 0;
  std::string printed;
};

// Runs tests/journal/run.cpp, and kills it after `life`.
program_end run_program(const log_file& kept, index_t budget, const std::string& asked,
                        std::optional<std::chrono::microseconds> life,
                        const std::string& limit = {}) {
  int out[2];
  if (::pipe(out) != 0) throw std::runtime_error("no pipe");
  const std::string name = kept.name(), count = std::to_string(budget);
  const ::pid_t child = ::fork();
  if (child == 0) {
    ::dup2(out[1], 1);
    ::dup2(out[1], 2);
    ::close(out[0]);
    ::close(out[1]);
    ::execl(ZO_JOURNAL_RUN, ZO_JOURNAL_RUN, name.c_str(), count.c_str(), asked.c_str(),
            limit.empty() ? nullptr : limit.c_str(), nullptr);
    ::_exit(127);
  }
  ::close(out[1]);
  if (life) {
    std::this_thread::sleep_for(*life);
    ::kill(child, SIGKILL);
  }
  program_end end;
  char some[512];
  for (::ssize_t count_read = 0; (count_read = ::read(out[0], some, sizeof some)) > 0;) {
    end.printed.append(some, static_cast<std::size_t>(count_read));
  }
  ::close(out[0]);
  ::waitpid(child, &end.status, 0);
  return end;
}

TEST(journal_ends, a_run_killed_200_times_ends_as_one_that_was_not) {
  constexpr index_t budget = 1500;
  log_file alone, killed;
  const std::string asked = killed.folder() + "/asked";
  const program_end expected = run_program(alone, budget, alone.folder() + "/asked", std::nullopt);
  ASSERT_EQ(expected.status, 0) << expected.printed;

  std::mt19937 random(11);
  std::uniform_int_distribution<int> microseconds(0, 9000);
  for (int k = 0; k < 200; ++k) {
    run_program(killed, budget, asked, std::chrono::microseconds(microseconds(random)));
  }
  const program_end end = run_program(killed, budget, asked, std::nullopt);
  EXPECT_EQ(end.status, 0);
  EXPECT_EQ(end.printed, expected.printed);
  EXPECT_EQ(zo::read_journal(killed.name()).entries.size(),
            zo::read_journal(alone.name()).entries.size());
  // Asked twice is at most what two workers were answering when they were killed.
  EXPECT_LE(std::filesystem::file_size(asked), static_cast<std::uintmax_t>(budget + 2 * 200));
}

TEST(journal_ends, a_full_disk_ends_the_run_in_a_sentence_and_loses_nothing) {
  log_file alone, full;
  const program_end expected = run_program(alone, 60, alone.folder() + "/asked", std::nullopt);
  for (const char* limit : {"100", "1000", "5001", "7777"}) {
    const program_end end = run_program(full, 60, full.folder() + "/asked", std::nullopt, limit);
    EXPECT_EQ(WEXITSTATUS(end.status), 3);
    EXPECT_NE(end.printed.find("could not be written"), std::string::npos) << end.printed;
    EXPECT_TRUE(full.text().empty() || full.text().back() == '\n');
  }
  EXPECT_EQ(run_program(full, 60, full.folder() + "/asked", std::nullopt).printed,
            expected.printed);
}

TEST(journal_ends, what_was_answered_before_an_exception_is_kept) {
  log_file kept;
  index_t asked = 0, most = 0;
  const auto f = [&](std::span<const double> x) {
    if (++asked > most) throw zo::interrupted("enough");
    return x[0] * x[0] + x[1] * x[1];
  };
  const auto run = [&](std::vector<double>& x, zo::answer_log* log) {
    return zo::minimize(zo::seq, f, x, zo::rge({.directions = 3}), zo::adam({.rate = 0.1}),
                        {.max_queries = 50, .seed = 8, .log = log});
  };
  most = 1000;
  std::vector<double> expected{1, 2};
  run(expected, nullptr);
  most = 7;
  for (int times = 0;; ++times) {
    ASSERT_LT(times, 10);
    asked = 0;
    std::vector<double> x{1, 2};
    zo::journal log(kept.name());
    try {
      run(x, &log);
    } catch (const zo::interrupted&) {
      EXPECT_EQ(log.recorded(), 7);
      continue;
    }
    EXPECT_EQ(x, expected);
    EXPECT_EQ(times, 6);  // 49 answers, 7 at a time
    break;
  }
}

}  // namespace
