// Stands for a simulator that somebody else wrote: reads a line of numbers, writes a line with the
// answer, until its input ends.
#include <cstdio>
#include <iostream>
#include <sstream>
#include <string>

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    double x = 0, y = 0;
    std::istringstream(line) >> x >> y;
    const double a = 1 - x, b = y - x * x;
    std::printf("%.17g\n", a * a + 100 * b * b);
    std::fflush(stdout);  // or the answer stays in a buffer
  }
}
