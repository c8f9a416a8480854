#include "context.hpp"

#include <cstdlib>
#include <fstream>
#include <string_view>
#include <thread>
#include <utility>
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

std::string limit_peers() {
#if defined(__x86_64__)
  if (zo::instruction_set() != std::string_view("avx2") || !__builtin_cpu_supports("avx512f")) {
    return "";
  }
  std::string said = "limited as zo is:";
  for (const auto& [name, value] : {std::pair{"ATEN_CPU_CAPABILITY", "avx2"},
                                    {"ONEDNN_MAX_CPU_ISA", "AVX2"},
                                    {"MKL_ENABLE_INSTRUCTIONS", "AVX2"}}) {
    setenv(name, value, 0);  // unless the user has said something
    said += std::string(" ") + name + "=" + std::getenv(name);
  }
  return said + " (LibTorch); others have all instructions of this machine";
#else
  return "";
#endif
}

}  // namespace bench
