#include "mpi/workloads.hpp"

#include <algorithm>
#include <limits>

#include "measure.hpp"

namespace bench {
namespace {

constexpr double mu = 5e-3;

// The first of every tensor's coordinates, in proportion.
zo::cge_options sampled(const std::vector<stratum>& step, zo::index_t part) {
  std::vector<zo::index_t> all;
  for (const stratum& s : step) {
    const auto count = static_cast<std::ptrdiff_t>(std::max<zo::index_t>(1, s.active / part));
    all.insert(all.end(), s.sampled.begin(), s.sampled.begin() + count);
  }
  return {.smoothing = mu, .coordinates = zo::coordinate_list{std::move(all)}};
}

}  // namespace

double probe_time::median() const {
  std::vector<double> sorted = seconds;
  const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
  std::ranges::nth_element(sorted, middle);
  return *middle;
}

double rge_work::operator()(std::span<const float> x) const {
  keep(work_(x));
  double sum = 0;
  for (const float value : x) sum += static_cast<double>(value) * static_cast<double>(value);
  return sum;
}

network_work::network_work(zo::index_t batch, bool smoke)
    : what_(smoke ? 2 : batch),
      step_(sparse_step(what_.net, std::numeric_limits<zo::index_t>::max())),
      objective_(what_.objective<float>(what_.statistics, {})),
      gradient_(what_.parameters.size()),
      how_(sampled(step_, smoke ? std::numeric_limits<zo::index_t>::max() : part)) {}

std::vector<probe_time> network_work::time_probes(zo::index_t coordinates, int repetitions) {
  const stopwatch clock = stopwatch_of(timing::thread);
  objective_.prepare(zo::seq, what_.parameters, 0);
  std::vector<probe_time> found;
  for (const stratum& s : step_) {
    probe_time& one = found.emplace_back();
    one.tensor = s.tensor->name;
    one.active = s.active;
    one.cost = objective_.cost(s.tensor->offset);
  }
  const float by = static_cast<float>(mu);
  double difference = 0;
  for (int repetition = 0; repetition < repetitions; ++repetition) {
    for (std::size_t k = 0; k < step_.size(); ++k) {
      const auto& from = step_[k].sampled;
      for (std::size_t i = 0; i < std::min(from.size(), static_cast<std::size_t>(coordinates));
           ++i) {
        found[k].seconds.push_back(clock([&] {
          objective_.probe(zo::seq, std::span(&from[i], 1), std::span(&by, 1),
                           std::span(&difference, 1));
        }));
      }
    }
  }
  return found;
}

double network_work::time_prepare(int repetitions) {
  const stopwatch clock = stopwatch_of(timing::thread);
  std::vector<double> seconds;
  for (int repetition = 0; repetition < repetitions; ++repetition) {
    seconds.push_back(clock([&] { objective_.prepare(zo::seq, what_.parameters, 0); }));
  }
  return *std::ranges::min_element(seconds);
}

}  // namespace bench
