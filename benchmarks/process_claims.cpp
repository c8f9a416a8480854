// What a question to another program costs beyond the pipe that it goes through.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <stdexcept>
#include <string>
#include <vector>
#include <zo/process.hpp>

#include "claims.hpp"

extern char** environ;

namespace bench {
namespace {

// cat answers with the number that it is asked about.
class cat_by_hand {
 public:
  cat_by_hand() {
    std::array<int, 2> in{}, out{};
    if (pipe2(in.data(), O_CLOEXEC) != 0 || pipe2(out.data(), O_CLOEXEC) != 0) {
      throw std::runtime_error("no pipes");
    }
    posix_spawn_file_actions_t stdio;
    posix_spawn_file_actions_init(&stdio);
    posix_spawn_file_actions_adddup2(&stdio, in[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&stdio, out[1], STDOUT_FILENO);
    std::string name = "cat";
    std::array<char*, 2> words{name.data(), nullptr};
    const int error = posix_spawnp(&cat_, name.c_str(), &stdio, nullptr, words.data(), environ);
    posix_spawn_file_actions_destroy(&stdio);
    if (error != 0) throw std::runtime_error("cat cannot be started");
    close(in[0]);
    close(out[1]);
    to_ = in[1];
    from_ = out[0];
  }
  cat_by_hand(const cat_by_hand&) = delete;
  cat_by_hand& operator=(const cat_by_hand&) = delete;
  ~cat_by_hand() {
    close(to_);
    close(from_);
    waitpid(cat_, nullptr, 0);
  }

  double operator()(double x) const {
    std::array<char, 64> text{};
    char* end = std::to_chars(text.data(), text.data() + text.size() - 1, x).ptr;
    *end++ = '\n';
    if (write(to_, text.data(), static_cast<std::size_t>(end - text.data())) <= 0) return 0;
    std::size_t got = 0;
    while (got == 0 || text[got - 1] != '\n') {
      const ssize_t some = read(from_, text.data() + got, text.size() - got);
      if (some <= 0) return 0;
      got += static_cast<std::size_t>(some);
    }
    double answer = 0;
    std::from_chars(text.data(), text.data() + got, answer);
    return answer;
  }

 private:
  pid_t cat_ = 0;
  int to_ = -1, from_ = -1;
};

// The programs are the same, so that what remains is what this thread does and waits for.
outcome questions_to_cat(timing clock, const effort& effort) {
  constexpr int questions = 100;
  const zo::process kept({"cat"});
  const cat_by_hand bare;
  const auto ask_each = [](const auto& ask) {
    for (int k = 0; k < questions; ++k) {
      const double x = 1.0 / (k + 3);
      if (ask(x) != x) throw std::runtime_error("cat answers another number");
    }
  };
  const auto ours = [&] {
    ask_each([&](double x) { return kept(std::span<const double>(&x, 1)); });
  };
  const auto theirs = [&] { ask_each([&](double x) { return bare(x); }); };
  return times_the_bare_cost(compare(clock, effort, ours, theirs), questions * 1e3);
}

}  // namespace

std::vector<claim> process_claims() {
  return {
      {"Question to a kept program (cat), processor time of the thread that asks", "a pipe by hand",
       "us/question", bar::at_most, 2,
       [](const effort& how) { return questions_to_cat(timing::thread, how); }},
      {"The same, from the question to its answer", "a pipe by hand", "us/question", bar::none, 0,
       [](const effort& how) { return questions_to_cat(timing::wall, how); }},
  };
}

}  // namespace bench
