// A network of fixed weights as a black box with vector answers: a row of numbers in, outputs out.
// zo::pullback, zo::jacobian and zo::jvp ask it by differences.
#pragma once

#include <memory>
#include <span>

#include "zo/config.hpp"
#include "zo/execution.hpp"
#include "zo/nn/network.hpp"
#include "zo/objective.hpp"

namespace zo::nn {

/// Models zo::difference_map: a row of x is one input of the network, an answer its outputs. A
/// difference of inputs goes through the layers as such (difference_pass), so that no two passes
/// are subtracted and steps may be as small as one likes, in float too. The same bits for any
/// number of threads.
///
/// Rows are independent, so batch norms use running statistics. Network, parameters and statistics
/// are copied. Cost: a forward pass a row in prepare, and one a candidate. Memory: pass_bytes of
/// the rows, at least 16, and difference_bytes of as many a thread. Throws std::invalid_argument
/// for sizes that do not fit the network.
template <class T>
class input_map {
 public:
  input_map(const network& net, std::span<const T> parameters, std::span<const T> statistics = {});
  input_map(input_map&&) noexcept;
  input_map& operator=(input_map&&) noexcept;
  ~input_map();

  void prepare(const execution_policy auto& on, points<T> x, std::span<T> ys) {
    prepare_with(zo::detail::threads_of(on), x, ys);
  }
  void differences(const execution_policy auto& on, points<T> candidates,
                   std::span<const index_t> rows, std::span<T> dys) {
    differences_with(zo::detail::threads_of(on), candidates, rows, dys);
  }

  /// Of the differences since the last prepare, to be compared with network::multiplications().
  index_t multiplications() const;

 private:
  void prepare_with(int threads, points<T> x, std::span<T> ys);
  void differences_with(int threads, points<T> candidates, std::span<const index_t> rows,
                        std::span<T> dys);

  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace zo::nn
