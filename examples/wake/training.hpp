// Training one network by one method: steps, checkpoints, learning curve; and tests of networks.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "rollout.hpp"
#include "settings.hpp"

namespace wake {

/// The coarse solver, and the reference that it is corrected towards.
struct problem {
  solver flow;
  network net;
  window train;
  window test;                         ///< a row for each test simulation
  std::vector<std::int64_t> reynolds;  ///< of the test simulations
  std::vector<std::int64_t> starts;    ///< their first steps in the reference

  corrected_flow corrected() const { return {flow, net}; }
};

/// Computes the fine flows, s.threads at a time.
problem make_problem(const settings& s);

/// What a network makes of the test simulations: mean absolute errors of the velocities.
struct test_report {
  std::vector<double> of_simulations;  ///< over all steps
  std::vector<double> of_steps;        ///< over all simulations
  torch::Tensor states;                ///< of the first simulations, where they were asked for

  double mean() const;
};

/// Runs the test simulations, without weights uncorrected. Velocities are cut at 10, so that a run
/// that has diverged has an error, too. Keeps the states of simulation `shown` at its every step
/// (1 + steps states), if that is at least 0.
test_report test(const problem& p, const std::vector<float>& weights, std::int64_t shown = -1);

/// One evaluation. Calls and seconds are those of training up to there.
struct curve_point {
  std::int64_t step = 0;
  std::int64_t calls = 0;
  double seconds = 0;  ///< without evaluations
  double loss = 0;     ///< mean over the steps since the last evaluation; NaN before the first step
  double error = 0;    ///< mean absolute, over the test simulations
};

struct training_report {
  std::string method;
  std::int64_t number = 0;  ///< of the seed, from 0 on
  std::vector<float> weights;
  std::vector<curve_point> curve;

  const curve_point& last() const { return curve.back(); }
};

/// Trains the network number `number`, whose initial weights and windows are the same for every
/// method. Saves `folder`/<method>_<number>.safetensors every s.checkpoint_every steps and at every
/// evaluation, atomically; with s.resume goes on from there and ends with the same bits as a run
/// that was never stopped. Calls on_progress with the share of the work that is done. Throws
/// app::interrupted after Ctrl-C, and std::runtime_error with a sentence. LibTorch must use one
/// thread in the calling one.
training_report train(const problem& p, const std::string& method, std::int64_t number,
                      const settings& s, const std::filesystem::path& folder,
                      const std::function<void(double)>& on_progress);

}  // namespace wake
