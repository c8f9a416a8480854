// Layers on the CPU against the textbook: values, what a change of all inputs does, and what one
// element of each parameter does, also of the layers before and behind.
#pragma once

#include "nn/layer_case.hpp"

namespace testing_nn {

// Errors are compared with the largest difference of the same sample, whose rounding may reach all
// of them, and never with less than `least`: a bias of keys changes nothing but by rounding.
template <class T>
void expect_close(std::span<const T> made, const std::vector<wide>& after,
                  const std::vector<wide>& before, index_t of_sample, double units, double least,
                  const std::string& what) {
  const wide epsilon = std::numeric_limits<T>::epsilon();
  for (std::size_t first = 0; first < made.size(); first += static_cast<std::size_t>(of_sample)) {
    wide largest = least, off = 0;
    for (std::size_t i = first; i < first + static_cast<std::size_t>(of_sample); ++i) {
      const wide right = after[i] - before[i];
      largest = std::max(largest, abs_of(right));
      off = std::max(off, abs_of(wide(made[i]) - right));
    }
    ASSERT_LE(static_cast<double>(off / (largest * epsilon)), units) << what;
  }
}

template <class T>
void expect_textbook(const layer_case& c, double units) {
  const std::vector<T> parameters = c.parameters<T>(), inputs(c.inputs.begin(), c.inputs.end());
  const std::vector<wide> p = widened(parameters), x = widened(inputs);
  nn::forward_pass<T> pass(c.net);
  pass.run(zo::seq, parameters, c.statistics<T>(), inputs, c.count, c.mode);
  const std::vector<wide> before = c.outputs(p, x);
  const index_t size = c.net.output().size();
  expect_close<T>(pass.outputs(), before, std::vector<wide>(before.size()), size, units, 0.01,
                  "values");
  pass.prepare_differences();
  nn::difference_pass<T> follow(pass);
  for (const double step : layer_steps) {
    const std::string of_step = " at a step of " + std::to_string(step);
    const double allowed = units * (1 + step), least = step / 100;
    if (c.inputs_move) {
      const std::vector<T> moved = noise<T>(static_cast<index_t>(inputs.size()), 43, step);
      std::vector<wide> at = x;
      for (std::size_t i = 0; i < at.size(); ++i) at[i] += moved[i];
      expect_close<T>(follow.from(0, moved, nn::coupling::batch), c.outputs(p, at), before, size,
                      allowed, least, "inputs" + of_step);
    }
    each_parameter(c.net, [&](const nn::view& v, index_t element) {
      const T h = static_cast<T>(step);
      expect_close<T>(follow(v.offset + element, h), outputs_after(c, p, x, v.offset + element, h),
                      before, size, allowed, least,
                      v.name + "[" + std::to_string(element) + "]" + of_step);
    });
  }
}

// Both types, and more than a group of samples.
inline void expect_textbook(const layer_case& c, double units = 500) {
  expect_textbook<double>(c, units);
  expect_textbook<float>(c, units);
}

}  // namespace testing_nn
