// A layer in a small network, against the textbook: its values, what a change of all inputs does,
// and what one element of each parameter does, also of the layers before and behind it.
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

  std::vector<wide> outputs(const std::vector<wide>& parameters,
                            const std::vector<wide>& at) const {
    return naive_forward<wide>(
               net, parameters,
               std::vector<wide>(static_cast<std::size_t>(net.statistic_count()), 0.5), at, count,
               mode)
        .back();
  }
};

inline std::vector<wide> widened(const auto& values) { return {values.begin(), values.end()}; }

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
  const auto narrow = [](const std::vector<double>& v) {
    return std::vector<T>(v.begin(), v.end());
  };
  const std::vector<T> parameters = noise<T>(c.net.parameter_count(), 41, 0.7);
  const std::vector<T> inputs = narrow(c.inputs);
  const std::vector<wide> p = widened(parameters), x = widened(inputs);
  nn::forward_pass<T> pass(c.net);
  const std::vector<T> statistics(static_cast<std::size_t>(c.net.statistic_count()), T(0.5));
  pass.run(parameters, statistics, inputs, c.count, c.mode);
  const std::vector<wide> before = c.outputs(p, x);
  const index_t size = c.net.output().size();
  expect_close<T>(pass.outputs(), before, std::vector<wide>(before.size()), size, units, 0.01,
                  "values");
  pass.prepare_differences();
  nn::difference_pass<T> follow(pass);
  for (const double step : {1e-12, 1e-3, 30.0}) {
    const std::string of_step = " at a step of " + std::to_string(step);
    if (c.inputs_move) {
      const std::vector<T> moved = noise<T>(static_cast<index_t>(inputs.size()), 43, step);
      std::vector<wide> at = x;
      for (std::size_t i = 0; i < at.size(); ++i) at[i] += moved[i];
      expect_close<T>(follow.from(0, moved, nn::coupling::batch), c.outputs(p, at), before, size,
                      units * (1 + step), step / 100, "inputs" + of_step);
    }
    for (const nn::view& v : c.net.parameters()) {
      for (index_t element = 0; element < v.size; element += 1 + v.size / 5) {
        std::vector<wide> at = p;
        const T h = static_cast<T>(step);
        at[static_cast<std::size_t>(v.offset + element)] += h;
        expect_close<T>(follow(v.offset + element, h), c.outputs(at, x), before, size,
                        units * (1 + step), step / 100,
                        v.name + "[" + std::to_string(element) + "]" + of_step);
      }
    }
  }
}

// Both types, and more than a group of samples.
inline void expect_textbook(const layer_case& c, double units = 500) {
  expect_textbook<double>(c, units);
  expect_textbook<float>(c, units);
}

}  // namespace testing_nn
