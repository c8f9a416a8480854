// A layer in a small network, with inputs: what tests/nn/layer/ hands to the machine that it is
// compiled for, to be held against the textbook.
#pragma once

#include "nn/naive.hpp"
#include "nn/trial.hpp"

namespace testing_nn {

struct layer_case {
  nn::network net;
  std::vector<double> inputs;  // of `count` samples
  index_t count;
  bool inputs_move = true;  // false for tokens
  nn::norm_mode mode = nn::norm_mode::train;

  template <class T>
  std::vector<T> parameters() const {
    return noise<T>(net.parameter_count(), 41, 0.7);
  }
  template <class T>
  std::vector<T> statistics() const {
    return std::vector<T>(static_cast<std::size_t>(net.statistic_count()), T(0.5));
  }
  std::vector<wide> outputs(const std::vector<wide>& parameters,
                            const std::vector<wide>& at) const {
    return naive_forward<wide>(net, parameters, statistics<wide>(), at, count, mode).back();
  }
};

inline std::vector<wide> widened(const auto& values) { return {values.begin(), values.end()}; }

constexpr double layer_steps[] = {1e-12, 1e-3, 30.0};

// A few elements of each parameter: body(parameter, element).
void each_parameter(const nn::network& net, const auto& body) {
  for (const nn::view& v : net.parameters()) {
    for (index_t element = 0; element < v.size; element += 1 + v.size / 5) body(v, element);
  }
}

// Outputs after one parameter has moved.
inline std::vector<wide> outputs_after(const layer_case& c, std::vector<wide> parameters,
                                       const std::vector<wide>& inputs, index_t coordinate,
                                       wide step) {
  parameters[static_cast<std::size_t>(coordinate)] += step;
  return c.outputs(parameters, inputs);
}

}  // namespace testing_nn
