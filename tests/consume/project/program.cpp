// One estimate through another program: cat, which answers with the number that it is asked about.
// And, where zo has it, a service that is not there.
#include <cstdio>
#include <vector>
#include <zo/process.hpp>
#include <zo/zo.hpp>
#ifdef HAS_SERVICE
#include <zo/service.hpp>

bool a_service_is_missed() {
  const zo::service f("http://127.0.0.1:1/", {.patience = std::chrono::milliseconds(0)});
  try {
    f(std::vector<double>{2});
  } catch (const zo::service_error& error) {
    std::printf("%s\n", error.what());
    return true;
  }
  return false;
}
#else
bool a_service_is_missed() { return true; }
#endif

int main() {
  const zo::process f({"cat"});
  const std::vector<double> x{2};
  std::vector<double> gradient(1);
  zo::estimate(zo::seq, f, x, gradient, zo::cge({.smoothing = 0.5}));
  std::printf("slope %.6f\n", gradient[0]);
  return gradient[0] == 1 && a_service_is_missed() ? 0 : 1;
}
