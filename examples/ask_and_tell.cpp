// A run that lives in a file: kill the program between any two lines and start it again, and it
// ends with the bits of one that was left alone. docs/guide.md explains it.
//   ask_and_tell FILE
#include <cinttypes>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <span>
#include <vector>
#include <zo/zo.hpp>

namespace {

// Whatever answers: here Rosenbrock's valley, in two dimensions.
double loss_at(std::span<const double> x) {
  const double a = 1 - x[0], b = x[1] - x[0] * x[0];
  return a * a + 100 * b * b;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 2) {
    std::fprintf(stderr, "usage: ask_and_tell FILE\n");
    return 2;
  }
  const char* const file = argv[1];
  const std::vector<double> start{-1.2, 1.0};
  zo::rge how({.directions = 4, .smoothing = 1e-5}, zo::gaussian{}, zo::central{});
  zo::ask<double> run(start, how, zo::adam({.rate = 0.02}), {.max_queries = 1'500, .seed = 42});
  if (std::filesystem::exists(file)) run.load(file);
  while (const auto questions = run.ask(3)) {
    for (const auto& q : questions) run.tell(q.id, loss_at(q.point));
    run.save(file);
  }
  const zo::minimize_result end = run.result();
  std::printf("f(%.17g, %.17g) = %.17g after %" PRId64 " queries: %s\n", run.x()[0], run.x()[1],
              end.value, end.queries, zo::to_string(end.why).data());
} catch (const std::exception& error) {
  std::fprintf(stderr, "ask_and_tell: %s\n", error.what());
  return 1;
}
