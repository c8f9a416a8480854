// Nothing runs on: after a timeout, the end of a zo::process, an interrupt, the death of the
// parent.
#include <sys/wait.h>

#include <csignal>

#include "process/processes.hpp"
#include "support.hpp"

namespace {

using namespace testing_zo;
using ends = process_test;
using std::chrono::milliseconds;

const std::vector<double> somewhere{1, 2, 3};

TEST_F(ends, a_timeout_for_all_that_was_started) {
  const zo::process f(child({"family", mark()}), {.timeout = milliseconds(100)});
  ASSERT_TRUE(comes_true([] { return running(mark()).size() == 2; }));
  EXPECT_NE(failure_of([&] { f(somewhere); }), "nothing failed");
  EXPECT_TRUE(comes_true([] { return running(mark()).empty(); }));
}

TEST_F(ends, a_destructor_for_all_that_was_started) {
  {
    const zo::process f(child({"family", mark()}), {.workers = 2});
    ASSERT_TRUE(comes_true([] { return running(mark()).size() == 4; }));
  }
  EXPECT_TRUE(comes_true([] { return running(mark()).empty(); }));
}

// It gets the time to end by itself.
TEST_F(ends, a_destructor_gently) {
  const std::string file = testing::TempDir() + mark();
  { const zo::process f(zo::shell("cat; echo done >" + file)); }
  EXPECT_EQ(text_of_file(file), "done\n");
  std::filesystem::remove(file);
}

TEST_F(ends, a_program_whose_child_holds_its_stdout) {
  for (const auto manner : {zo::process_manner::kept, zo::process_manner::once}) {
    const zo::process f(child({"orphan", mark()}), {.manner = manner});
    const std::string sentence = failure_of([&] { f(somewhere); });
    EXPECT_NE(sentence.find("ended with exit code 3"), sentence.npos) << sentence;
    EXPECT_TRUE(comes_true([] { return running(mark()).empty(); }));
  }
}

TEST_F(ends, an_interrupt_whatever_the_policy) {
  std::atomic<int> waits{0};
  const zo::process f(child({"hang", mark()}), {.workers = 2, .while_waiting = [&] {
                                                  if (++waits > 3) throw zo::interrupted("enough");
                                                }});
  std::vector<double> x = somewhere;
  const zo::cge how({.failures = zo::on_failure::drop});
  EXPECT_THROW(zo::minimize(zo::par.with_threads(2), f, x, how, zo::sgd(), {.max_queries = 40}),
               zo::interrupted);
  EXPECT_TRUE(comes_true([] { return running(mark()).empty(); }));
  waits = 0;
  EXPECT_THROW(zo::minimize(zo::seq, f.batch(), x, how, zo::sgd(), {.max_queries = 40}),
               zo::interrupted);
  EXPECT_TRUE(comes_true([] { return running(mark()).empty(); }));
}

int started(const std::vector<std::string>& words) {
  const int parent = fork();
  if (parent != 0) return parent;
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  execv(argv[0], argv.data());
  _exit(127);
}

TEST_F(ends, the_death_of_the_parent) {
  const std::string own = mark();
  for (const int number : {SIGKILL, SIGINT, SIGTERM, SIGABRT}) {
    for (const std::string mode : {"hang", "family"}) {
      const int parent = started({ZO_PROCESS_PARENT, "wait", ZO_PROCESS_CHILD, mode, own});
      const std::size_t whole = mode == "family" ? 7 : 4;  // with the parent itself
      ASSERT_TRUE(comes_true([&] { return running(own).size() == whole; }));
      const std::vector<int> all = children(std::to_string(parent));
      EXPECT_EQ(all.size(), 4u);  // three programs and the guardian
      kill(parent, number);
      int status = 0;
      waitpid(parent, &status, 0);
      EXPECT_EQ(WTERMSIG(status), number);
      EXPECT_TRUE(comes_true([&] { return running(own).empty(); })) << mode << ' ' << number;
      const auto is_gone = [](int one) {
        return text_of_file("/proc/" + std::to_string(one) + "/cmdline").empty();
      };
      EXPECT_TRUE(comes_true([&] { return std::ranges::all_of(all, is_gone); }));
    }
  }
}

// At moments of their own: also while a program starts.
TEST_F(ends, the_death_of_a_young_parent) {
  const std::string own = mark();
  for (int k = 0; k < 20; ++k) {
    const int parent = started({ZO_PROCESS_PARENT, "wait", ZO_PROCESS_CHILD, "family", own});
    usleep(static_cast<useconds_t>(300 * k));
    kill(parent, SIGKILL);
    waitpid(parent, nullptr, 0);
    EXPECT_TRUE(comes_true([&] { return running(own).empty(); })) << k;
  }
}

TEST_F(ends, nothing_where_stdio_is_closed) {
  int status = 0;
  waitpid(started({ZO_PROCESS_PARENT, "alone"}), &status, 0);
  EXPECT_EQ(status, 0);
}

}  // namespace
