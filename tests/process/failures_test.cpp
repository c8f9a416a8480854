// Each way to fail has its sentence, and the next question its answer.
#include <csignal>
#include <fstream>

#include "function.hpp"
#include "process/processes.hpp"
#include "support.hpp"

namespace {

using namespace testing_zo;
using failures = process_test;
using std::chrono::milliseconds;

const std::vector<double> somewhere{1, 2, 3};

std::string failure_of_child(const std::vector<std::string>& words,
                             const zo::process_options& options = {}) {
  std::vector<std::string> command = child(words);
  command.push_back(mark());
  const zo::process f(command, options);
  return failure_of([&] { f(somewhere); });
}

void expect_said(const std::string& sentence, const std::vector<std::string>& parts) {
  EXPECT_TRUE(sentence.starts_with("zo::process: \"")) << sentence;
  for (const std::string& part : parts) {
    EXPECT_NE(sentence.find(part), sentence.npos) << "no " << part << " in " << sentence;
  }
}

TEST_F(failures, of_kept_programs) {
  expect_said(failure_of_child({"exit", "3"}),
              {"process_child exit 3", "ended with exit code 3 and gave no answer"});
  expect_said(failure_of_child({"die", "9"}), {"was killed by signal 9"});
  expect_said(failure_of_child({"early"}), {"ended with exit code 7"});
  expect_said(failure_of_child({"say", "abc"}), {"answered \"abc\", which is no number"});
  expect_said(failure_of_child({"say", "1.5x"}), {"\"1.5x\", which is no number"});
  expect_said(failure_of_child({"say", "1e999"}), {"\"1e999\", which is beyond what a double"});
  expect_said(failure_of_child({"say", ""}), {"answered 0 numbers where 1 is wanted"});
  expect_said(failure_of_child({"say", "1 2 3"}),
              {"answered 3 numbers where 1 is wanted: \"1 2 3\""});
  expect_said(failure_of_child({"half", "1.2"}),
              {"ended with exit code 0 in the middle", "\"1.2\""});
  expect_said(failure_of_child({"say", "1\n2"}),
              {"wrote another line behind its answer", "\"2?\""});
}

TEST_F(failures, of_silence) {
  const zo::process_options impatient{.timeout = milliseconds(100)};
  expect_said(failure_of_child({"hang"}, impatient),
              {"gave no answer within 0.1 s (zo::process_options::timeout)", "flush its stdout"});
  expect_said(failure_of_child({"unfinished", "1.2"}, impatient),
              {"within 0.1 s", "it has begun one, \"1.2\", without a newline"});
}

TEST_F(failures, of_too_many_words) {
  const zo::process_options small{.longest_answer = 64};
  expect_said(failure_of_child({"flood_line"}, small),
              {"wrote a line longer than 64 bytes (zo::process_options::longest_answer)"});
  zo::process_options once = small;
  once.manner = zo::process_manner::once;
  expect_said(failure_of_child({"flood_line"}, once), {"wrote a line longer than 64 bytes"});
  once.timeout = milliseconds(100);
  expect_said(failure_of_child({"flood_lines"}, once), {"no answer within 0.1 s"});
}

TEST_F(failures, of_programs_that_speak_before_they_are_asked) {
  const std::string said = testing::TempDir() + mark();
  const zo::process f(child({"banner", said}));
  ASSERT_TRUE(comes_true([&] { return std::filesystem::exists(said); }));
  expect_said(failure_of([&] { f(somewhere); }), {"wrote \"welcome?\" before it was asked"});
  std::filesystem::remove(said);
}

TEST_F(failures, of_programs_started_for_each_question) {
  const zo::process_options once{.manner = zo::process_manner::once};
  const auto said = [&](const std::string& line) {
    return failure_of([&] { zo::process(zo::shell(line), once)(somewhere); });
  };
  expect_said(said("echo 5; exit 3"), {"ended with exit code 3"});
  expect_said(said("kill -s KILL $$"), {"was killed by signal 9"});
  expect_said(said("true"), {"ended with exit code 0 and wrote nothing to stdout"});
  expect_said(said("echo 1; echo two"), {"answered \"two\", which is no number"});
  expect_said(said("no_such_program_of_anyone"), {"ended with exit code 127", "not found"});
}

TEST_F(failures, quote_stderr) {
  const std::string sentence = failure_of_child({"complain"}, {.stderr_lines = 2});
  EXPECT_TRUE(sentence.ends_with("; the end of its stderr:\n  second\n  third")) << sentence;
  const std::string silent = failure_of_child({"complain"}, {.stderr_lines = 0});
  EXPECT_EQ(silent.find("; the end"), silent.npos) << silent;
  const std::string all = failure_of_child({"complain"}, {.stderr_lines = 9});
  EXPECT_TRUE(all.ends_with(":\n  first\n  second\n  third")) << all;
}

TEST_F(failures, are_followed_by_answers) {
  const zo::process f(child({"first_minus_is_fatal", mark()}));
  const double bad[] = {-1}, good[] = {1};
  EXPECT_EQ(f.last_failure(), "");
  for (int k = 0; k < 4; ++k) {
    const std::string sentence = failure_of([&] { f(bad); });
    expect_said(sentence, {"ended with exit code 4"});
    EXPECT_EQ(sentence.find("in a row"), sentence.npos) << sentence;
    EXPECT_EQ(f.last_failure(), sentence);
    EXPECT_EQ(f(good), valley<double>(good));
  }
}

TEST_F(failures, of_every_start_are_counted) {
  const zo::process f(child({"early", mark()}));
  std::string sentence;
  for (int k = 0; k < 3; ++k) {
    sentence = failure_of([&] { f(somewhere); });
    EXPECT_EQ(sentence.find("started 3 times in a row and never answered") != sentence.npos, k == 2)
        << sentence;
  }
}

TEST_F(failures, of_some_points_of_a_batch_leave_the_others) {
  for (const int workers : {1, 3}) {
    const zo::process f(child({"first_minus_is_fatal", mark()}), {.workers = workers});
    const std::vector<double> x{1, 2, -1, 4, -1, -1, 5};
    std::vector<double> losses(x.size(), -7);
    f.batch()(zo::points<double>{x, 7, 1}, losses);
    for (std::size_t k = 0; k < x.size(); ++k) {
      EXPECT_EQ(losses[k], x[k] < 0 ? -7 : valley(std::span<const double>(x).subspan(k, 1))) << k;
    }
    expect_said(f.last_failure(), {"exit code 4"});
    const std::vector<double> bad{-1, -2};
    expect_said(failure_of([&] {
                  f.batch()(zo::points<double>{bad, 2, 1}, losses);
                }),
                {"exit code 4"});
  }
}

TEST_F(failures, of_commands_that_cannot_be_started) {
  const auto said = [](const std::vector<std::string>& words, const zo::process_options& options) {
    return failure_of([&] { zo::process(words, options); });
  };
  const std::string script = testing::TempDir() + mark();
  std::ofstream(script) << "echo 1\n";
  for (const auto manner : {zo::process_manner::kept, zo::process_manner::once}) {
    const zo::process_options how{.manner = manner};
    expect_said(said({"no_such_program_of_anyone"}, how),
                {"\"no_such_program_of_anyone\" cannot be started: No such file"});
    expect_said(said({"./nothing", "here"}, how), {"\"./nothing here\" cannot be started"});
    expect_said(said({"/etc/passwd"}, how), {"cannot be started: Permission denied"});
    expect_said(said({"/tmp"}, how), {"cannot be started: Permission denied"});
    expect_said(said({"cat"}, {.manner = manner, .folder = "/no/such/folder"}), {"is no folder"});
  }
  std::filesystem::permissions(script, std::filesystem::perms::owner_all);
  expect_said(said({script}, {}), {"Exec format error; a script begins with #!/bin/sh"});
  std::filesystem::remove(script);
}

TEST_F(failures, of_options) {
  const auto refused = [](const std::vector<std::string>& words, const zo::process_options& how) {
    EXPECT_THROW(zo::process(words, how), std::invalid_argument);
  };
  refused({}, {});
  refused({""}, {});
  refused({"cat"}, {.workers = 0});
  refused({"cat"}, {.timeout = milliseconds(0)});
  refused({"cat"}, {.timeout = milliseconds::max()});
  refused({"cat"}, {.environment = {"no value"}});
  refused({"cat"}, {.longest_answer = 0});
  refused({"cat"}, {.stderr_lines = -1});
  refused({"cat", "{x}"}, {});
}

// A program that is gone when it is written to must not take this one along.
TEST_F(failures, to_listen_cause_no_sigpipe) {
  const std::vector<double> much(20'000, 0.1);
  const zo::process deaf(zo::shell("echo 5"), {.manner = zo::process_manner::once});
  EXPECT_EQ(deaf(much), 5);
  const zo::process gone(child({"early", mark()}));
  for (int k = 0; k < 10; ++k) expect_said(failure_of([&] { gone(much); }), {"exit code 7"});
  sigset_t pending;
  sigpending(&pending);
  EXPECT_EQ(sigismember(&pending, SIGPIPE), 0);
}

// What this program has set for itself is not passed on.
TEST_F(failures, do_not_depend_on_blocked_signals) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  expect_said(failure_of_child({"die", "15"}), {"was killed by signal 15"});
  std::signal(SIGPIPE, SIG_IGN);
  expect_said(failure_of_child({"die", "13"}), {"was killed by signal 13"});
  std::signal(SIGPIPE, SIG_DFL);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

TEST_F(failures, are_told_without_an_exit_code_where_it_is_thrown_away) {
  std::signal(SIGCHLD, SIG_IGN);
  {
    const zo::process f(child({"valley", mark()}));
    EXPECT_EQ(f(somewhere), valley<double>(somewhere));
    expect_said(failure_of_child({"exit", "3"}), {"ignores SIGCHLD"});
  }
  std::signal(SIGCHLD, SIG_DFL);
}

}  // namespace
