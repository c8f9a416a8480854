#include "context.hpp"

#include <cstdlib>
#include <fstream>
#include <thread>
#include <zo/zo.hpp>

namespace bench {
namespace {

std::string cpu_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

std::string commit() {
  const char* const given = std::getenv("ZO_BENCH_COMMIT");  // scripts/bench knows it
  return given != nullptr && *given != '\0' ? given : "unknown";
}

}  // namespace

facts context() {
  return {
      {"commit", commit()},      {"compiler", ZO_BENCH_COMPILER},
      {"flags", ZO_BENCH_FLAGS}, {"threads", std::to_string(std::thread::hardware_concurrency())},
      {"cpu", cpu_name()},       {"instruction_set", zo::instruction_set()}};
}

}  // namespace bench
