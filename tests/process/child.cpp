// A program that answers, or fails to, in every way that zo::process must survive:
//   process_child MODE [VALUE] [anything, to be found by]
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <map>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "function.hpp"

namespace {

using numbers = std::vector<double>;

bool read_numbers(numbers& x) {
  std::string line;
  if (!std::getline(std::cin, line)) return false;
  x.clear();
  const char* at = line.c_str();
  char* end = nullptr;
  for (double value = std::strtod(at, &end); end != at; value = std::strtod(at, &end)) {
    x.push_back(value);
    at = end;
  }
  return true;
}

void answer(double value) {
  std::printf("%.17g\n", value);
  std::fflush(stdout);
}

void say(const char* text) {
  std::fputs(text, stdout);
  std::fflush(stdout);
}

double valley(const numbers& x) { return testing_zo::valley(std::span<const double>(x)); }

[[noreturn]] void hang() {
  for (;;) pause();
}

void take_no_orders() {
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGQUIT}) std::signal(number, SIG_IGN);
}

// {"x":[…],"sample":7}, as it is written to programs: no more of JSON is wanted here.
void answer_json(const std::string& line, const std::string& value) {
  numbers x;
  const char* at = line.c_str() + line.find('[') + 1;
  for (char* end = nullptr; *at != ']'; at = *end == ',' ? end + 1 : end) {
    x.push_back(std::strtod(at, &end));
    if (end == at) _exit(9);
  }
  const std::span<const double> all(x);
  double y = valley(x);
  for (const char* name : {"\"sample\":", "\"row\":"}) {
    const std::size_t found = line.find(name);
    if (found == line.npos) continue;
    y = testing_zo::noisy_valley(all, std::stoull(line.substr(found + std::strlen(name))));
  }
  if (value == "map") {
    std::printf("{\"answer\": [%.17g, %.17g]}\n", x[0], y);
  } else if (value == "fails" && x[0] < 0) {
    say("{\"failure\": \"below 0\"}\n");
  } else {
    std::printf("{\"answer\": %.17g}\n", y);
  }
  std::fflush(stdout);
}

// One behaviour a question, drawn anew: most are answers.
void be_faulty(const numbers& x, std::mt19937& draw) {
  switch (draw() % 20) {
    case 0:
      raise(SIGKILL);
      break;
    case 1:
      _exit(3);
    case 2:
      say("garbage\n");
      break;
    case 3:
      say("1.2");
      _exit(0);
    case 4:
      say("nan\n");
      break;
    case 5:
      if (draw() % 4 == 0) hang();
      say("1 2 3\n");
      break;
    default:
      answer(valley(x));
  }
}

void ask_again_and_again(const std::string& mode, const std::string& value) {
  std::mt19937 draw(static_cast<unsigned>(getpid()));
  for (numbers x; read_numbers(x);) {
    const std::span<const double> all(x);
    if (mode == "valley") answer(valley(x));
    if (mode == "noisy") {
      answer(testing_zo::noisy_valley(all.subspan(1), static_cast<std::uint64_t>(x[0])));
    }
    if (mode == "map") {
      for (std::size_t i = 0; i < std::stoul(value); ++i) {
        std::printf("%.17g ", testing_zo::mapped(all, i));
      }
      say("\n");
    }
    if (mode == "say") say((value + "\n").c_str());
    if (mode == "half") {
      say(value.c_str());
      _exit(0);
    }
    if (mode == "unfinished") say(value.c_str());
    if (mode == "exit") _exit(std::stoi(value));
    if (mode == "die") raise(std::stoi(value));
    if (mode == "hang") hang();
    if (mode == "slow") {
      usleep(static_cast<useconds_t>(1000 * std::stoi(value)));
      answer(valley(x));
    }
    if (mode == "answer_and_leave") {
      answer(valley(x));
      _exit(0);
    }
    if (mode == "faulty") be_faulty(x, draw);
    if (mode == "first_minus_is_fatal") {
      if (x[0] < 0) _exit(4);
      answer(valley(x));
    }
    if (mode == "environment") answer(std::atof(std::getenv(value.c_str())));
  }
}

void flood(const char* line) {
  numbers x;
  read_numbers(x);
  for (;;) std::fputs(line, stdout);
}

int run_once(const std::string& mode, const std::vector<std::string>& words) {
  numbers x;
  if (mode == "once_arguments") {
    for (const std::string& word : words) x.push_back(std::strtod(word.c_str(), nullptr));
  } else if (mode == "once_file") {
    std::ifstream file(words.at(0));
    for (std::string line; std::getline(file, line);) {
      x.push_back(std::strtod(line.c_str(), nullptr));
    }
  } else if (!read_numbers(x) || std::cin.get() != EOF) {
    return 5;
  }
  std::printf("some words first\n%.17g\n\n", valley(x));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  alarm(120);  // a test that fails leaves nothing behind for long
  const std::vector<std::string> words(argv + 1, argv + argc);
  const std::string mode = words.at(0), value = words.size() > 1 ? words[1] : "";
  if (mode.starts_with("once_")) return run_once(mode, {words.begin() + 1, words.end()});
  if (mode == "early") return 7;
  if (mode == "json") {
    for (std::string line; std::getline(std::cin, line);) answer_json(line, value);
    return 0;
  }
  if (mode == "banner") {
    say("welcome\n");
    const std::ofstream said(value);
  }
  if (mode == "flood_line") flood("12345678");
  if (mode == "flood_lines") flood("1\n");
  if (mode == "complain") {
    std::fputs("first\nsecond\nthird\n", stderr);
    return 3;
  }
  if (mode == "talk_first") {  // more than a pipe holds, before it listens
    std::fputs(std::string(1 << 20, '.').c_str(), stderr);
    ask_again_and_again("valley", "");
  }
  if (mode == "stubborn" || mode == "family") {
    take_no_orders();
    if (mode == "family") fork();
    for (numbers x; read_numbers(x);) {
    }
    hang();
  }
  if (mode == "orphan") {  // it holds stdout open when its parent is gone
    if (fork() == 0) hang();
    return 3;
  }
  ask_again_and_again(mode, value);
}
