// The peers in PyTorch, timed by benchmarks/peers/torch_gpu.py.
#pragma once

#include <functional>
#include <string>

#include "claim.hpp"

namespace bench {

class torch_times {
 public:
  /// `file`: what torch_gpu.py wrote; empty where there is none. Throws where it cannot be read.
  explicit torch_times(const std::string& file);

  /// Ours against the peer `name`; one call of `ours` is one step of it, of `amount` of what the
  /// unit counts. Not measured where the file has no time for it.
  outcome against(const std::string& name, const effort& how, const std::function<void()>& ours,
                  double amount) const;

 private:
  std::string text_;
};

}  // namespace bench
