// Where the gradient of the network's weights comes from: one class for each method.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <zo/coloring.hpp>

#include "rollout.hpp"
#include "settings.hpp"

namespace wake {

struct answer {
  double loss = 0;         ///< at the weights, of the step's simulations
  std::int64_t calls = 0;  ///< of the solver: a step of one simulation, or a part of one
};

/// Gradients of one training. Which simulations a step sees, and all directions, follow from the
/// seed and the step's number alone.
class teacher {
 public:
  virtual ~teacher() = default;
  virtual answer operator()(std::span<const float> weights, std::int64_t step,
                            std::span<float> gradient) = 0;
};

/// `truth` is the reference of training; all arguments must outlive the teacher. Throws
/// std::runtime_error, here and at a step, where answers are of no use.
std::unique_ptr<teacher> make_teacher(const std::string& method, const corrected_flow& flow,
                                      const window& truth, const settings& s, std::uint64_t seed);

/// Solver calls that a step of a method makes, and those before its first.
std::int64_t calls_of_step(const std::string& method, const settings& s);
std::int64_t calls_before(const std::string& method, const settings& s);
/// Steps of training.
std::int64_t steps_of(const std::string& method, const settings& s);

/// Which numbers of a state an answer of solver::advect depends on, where nothing moves by more
/// than a cell across and two cells downstream in a step: rows of up to 16 numbers.
zo::sparsity advection_pattern(const grid& where);

}  // namespace wake
