// One estimate through another program: cat, which answers with the number that it is asked about.
#include <cstdio>
#include <vector>
#include <zo/process.hpp>
#include <zo/zo.hpp>

int main() {
  const zo::process f({"cat"});
  const std::vector<double> x{2};
  std::vector<double> gradient(1);
  zo::estimate(zo::seq, f, x, gradient, zo::cge({.smoothing = 0.5}));
  std::printf("slope %.6f\n", gradient[0]);
  return gradient[0] == 1 ? 0 : 1;
}
