// What the benchmarks of zo::mpi share between processes.
#pragma once

#include <span>
#include <string>
#include <vector>
#include <zo/mpi.hpp>

#include "busy_work.hpp"
#include "nn/workload.hpp"

namespace bench {

/// How long a probe of a tensor takes here, and what zo::nn::objective::cost says.
struct probe_time {
  std::string tensor;
  zo::index_t active = 0;  // coordinates in the whole step
  double cost = 0;
  std::vector<double> seconds;  // of single probes, processor time

  double median() const;
};

/// RGE of an objective that computes for a millisecond.
class rge_work {
 public:
  /// Collective: all ranks compute equally long.
  template <class Policy>
  rge_work(const Policy& shared, bool smoke)
      : x_(smoke ? 100 : 10'000, 0.5F),
        gradient_(x_.size()),
        how_({.directions = smoke ? 3 : 64}, zo::gaussian{}, zo::central{}) {
    long length = busy_work::lasting(smoke ? 1e-5 : 1e-3).length();
    zo::mpi::broadcast(shared, std::span(&length, 1));
    work_ = busy_work(length);
  }

  template <class Policy>
  const std::vector<float>& estimate(const Policy& policy) {
    zo::estimate(policy, *this, x_, gradient_, how_, {.seed = 1}, memory_);
    return gradient_;
  }

  double operator()(std::span<const float> x) const;

  zo::index_t queries() const { return how_.queries(static_cast<zo::index_t>(x_.size())); }
  zo::index_t dimension() const { return static_cast<zo::index_t>(x_.size()); }

 private:
  busy_work work_{1};
  std::vector<float> x_, gradient_;
  zo::rge<zo::gaussian, zo::central> how_;
  zo::workspace<float> memory_;
};

/// A DeepZero step of ResNet-20 at 90 % sparsity: of each tensor the same part of its coordinates.
class network_work {
 public:
  static constexpr zo::index_t part = 32;  // one coordinate of so many

  network_work(zo::index_t batch, bool smoke);

  template <class Policy>
  const std::vector<float>& estimate(const Policy& policy) {
    zo::estimate(policy, objective_, what_.parameters, gradient_, how_, {.seed = 1}, memory_);
    return gradient_;
  }

  zo::index_t queries() const { return how_.queries(dimension()); }
  zo::index_t dimension() const { return static_cast<zo::index_t>(what_.parameters.size()); }

  /// `repetitions` probes of each of some coordinates of every tensor.
  std::vector<probe_time> time_probes(zo::index_t coordinates, int repetitions);
  /// The pass that every process makes before its probes.
  double time_prepare(int repetitions);

 private:
  workload what_;
  std::vector<stratum> step_;
  zo::nn::objective<float> objective_;
  std::vector<float> gradient_;
  zo::cge<zo::forward> how_;
  zo::workspace<float> memory_;
};

template <zo::index_t Batch>
class network_work_of : public network_work {
 public:
  template <class Policy>
  network_work_of(const Policy&, bool smoke) : network_work(Batch, smoke) {}
};

}  // namespace bench
