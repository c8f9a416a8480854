#include "torch_times.hpp"

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "gpu.hpp"

namespace bench {
namespace {

// What stands after "name": in a flat JSON object; empty where it has no such name.
std::string value_of(const std::string& text, const std::string& name) {
  const std::string key = "\"" + name + "\":";
  const std::size_t at = text.find(key);
  if (at == std::string::npos) return "";
  const std::size_t first = text.find_first_not_of(' ', at + key.size());
  if (first == std::string::npos) return "";
  if (text[first] != '"') return text.substr(first, text.find_first_of(",}\n", first) - first);
  return text.substr(first + 1, text.find('"', first + 1) - first - 1);
}

}  // namespace

torch_times::torch_times(const std::string& file) {
  if (file.empty()) return;
  std::ifstream in(file);
  text_.assign(std::istreambuf_iterator<char>(in), {});
  if (!in || value_of(text_, "torch").empty()) {
    throw std::runtime_error("cannot read " + file +
                             ": it should be what benchmarks/peers/torch_gpu.py wrote");
  }
}

outcome torch_times::against(const std::string& name, const effort& how,
                             const std::function<void()>& ours, double amount) const {
  if (text_.empty())
    return skip("PyTorch was not timed here; scripts/gpu-check does, with --torch");
  const double seconds = std::strtod(value_of(text_, name).c_str(), nullptr);
  if (seconds <= 0) return skip("PyTorch could not do it: " + value_of(text_, name + "_failed"));
  const comparison c = compare_with(seconds, the_gpu().clock(how), how, ours);
  outcome o = times_as_fast(c, amount);
  o.note = "PyTorch " + value_of(text_, "torch") + ", timed on its own";
  return o;
}

}  // namespace bench
