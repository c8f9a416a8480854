// A program that asks others and is killed while it waits, or closes its own stdio:
//   process_parent wait CHILD MODE MARK     never comes back
//   process_parent alone CHILD              answers 0 with stdin, stdout and stderr closed
#include <unistd.h>

#include <string>
#include <string_view>
#include <vector>
#include <zo/process.hpp>
#include <zo/zo.hpp>

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 2, argv + argc);
  const std::vector<double> x{0.5, 0.25};
  if (std::string_view(argv[1]) == "alone") {
    for (const int number : {0, 1, 2}) close(number);
    const zo::process echo({"cat"}, {.workers = 2});
    std::vector<double> y(2);
    echo.vector()(x, y);
    return x == y ? 0 : 1;
  }
  const zo::process f(words, {.workers = 3});
  std::vector<double> gradient(2);
  zo::estimate(zo::par.with_threads(3), f, x, gradient, zo::cge({}, zo::central{}));
}
