#include "mpi/simulation.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <zo/zo.hpp>

#include "zo/nn/network.hpp"

namespace bench {
namespace {

constexpr int simulated_steps = 5;

// From quantiles at equal distances, straight lines between them.
double quantile(const std::vector<double>& all, double share) {
  const double at = share * static_cast<double>(all.size() - 1);
  const auto below = std::min(static_cast<std::size_t>(at), all.size() - 2);
  return std::lerp(all[below], all[below + 1], at - static_cast<double>(below));
}

double uniform(std::uint64_t step, zo::index_t item) {
  const zo::stream from{.seed = 1, .step = step};
  return from.words(static_cast<std::uint32_t>(item)).w0 * 0x1p-32;
}

// Seconds a query for the deal of one to `ranks`, between the measured numbers of processes.
double deal_seconds(const measurements& measured, int ranks) {
  const auto rows = measured.rows("deal");
  double found = 0;
  for (std::size_t k = 0; k < rows.size(); ++k) {
    const double known = rows[k].second.at(0), seconds = rows[k].second.at(1);
    if (ranks <= known && k > 0) {
      const double before = rows[k - 1].second.at(0);
      return std::lerp(found, seconds,
                       std::max(0.0, std::log(ranks / before) / std::log(known / before)));
    }
    found = seconds;
  }
  return found;
}

std::vector<double> relative(std::vector<double> quantiles) {
  const double middle = quantiles[quantiles.size() / 2];
  for (double& one : quantiles) one /= middle;
  return quantiles;
}

}  // namespace

double round_seconds(const measurements& measured, const network& net, rounds how, int ranks,
                     double bytes) {
  if (ranks == 1) return 0;
  const std::vector<double>& message = measured.row(net.tcp ? "message_tcp" : "message", 3);
  const double latency = net.latency + message[0], one_more = message[1];
  const double moved = bytes * std::max(message[2], 1 / net.bytes_per_second);
  const double starts = how == rounds::direct ? latency + (ranks - 1) * one_more
                                              : std::ceil(std::log2(ranks)) * (latency + one_more);
  return starts + moved + poll_seconds;
}

zo::index_t shared_step::count() const {
  return std::accumulate(
      queries.begin(), queries.end(), zo::index_t{0},
      [](zo::index_t sum, const queries_of_a_kind& one) { return sum + one.count; });
}

shared_step step_of(const std::string& wanted, const measurements& measured) {
  shared_step step;
  if (wanted == "deepzero") {
    step.name = "DeepZero step";
    step.dealt = true;
    step.dimension = static_cast<double>(zo::nn::resnet(20).parameter_count());
    for (const auto& [name, row] : measured.rows("probe:"))
      step.queries.push_back({static_cast<zo::index_t>(row.at(0)), row.at(1), row.at(2)});
    step.jitter = measured.row("probe_jitter");
    return step;
  }
  const bool large = wanted == "large_rge";
  step.name = large ? "RGE, 1 ms, d = 1e6, q = 4,096" : "RGE, 1 ms, d = 1e4, q = 64";
  step.dimension = large ? 1e6 : 1e4;
  step.directions = large ? 4096 : 64;
  const std::vector<double>& seconds = measured.row("query");
  // Each query also makes its own direction.
  step.queries = {
      {static_cast<zo::index_t>(2 * step.directions), 1,
       seconds[seconds.size() / 2] + step.dimension * measured.number("direction_number")}};
  step.jitter = relative(seconds);
  return step;
}

double simulation::repeated_seconds(int ranks) const {
  const double directions = step_.directions * measured_.number("direction_number");
  double sum = step_.dimension * ((step_.sliced ? directions / ranks : directions) +
                                  measured_.number("updated_number"));
  if (step_.dealt) sum += measured_.number("prepare");
  if (ranks == 1) return sum;
  sum += step_.dimension * measured_.number("compared_number");
  if (step_.dealt) sum += static_cast<double>(step_.count()) * deal_seconds(measured_, ranks);
  return sum;
}

double simulation::message_seconds(int ranks) const {
  const auto round = [&](double bytes) {
    return round_seconds(measured_, net_, how_, ranks, bytes);
  };
  const auto groups =
      static_cast<double>((step_.count() + zo::detail::answers_at_once * ranks - 1) /
                          (zo::detail::answers_at_once * ranks));
  const double answers = 8 * static_cast<double>(step_.count());
  double sum = round(8.0 * ranks) + groups * round(answers / groups);
  if (step_.dealt) sum += round(8.0 * ranks);
  if (step_.sliced) sum += round(4 * step_.dimension);
  return sum;
}

simulation::simulation(const measurements& measured, const network& net, rounds how,
                       const shared_step& step)
    : measured_(measured), net_(net), how_(how), step_(step), seconds_(simulated_steps) {
  for (const queries_of_a_kind& one : step_.queries)
    costs_.insert(costs_.end(), static_cast<std::size_t>(one.count), one.cost);
  for (std::uint64_t number = 0; number < simulated_steps; ++number) {
    std::vector<double>& seconds = seconds_[number];
    for (const queries_of_a_kind& one : step_.queries) {
      for (zo::index_t k = 0; k < one.count; ++k) {
        const double share = uniform(number, static_cast<zo::index_t>(seconds.size()));
        seconds.push_back(one.seconds * quantile(step_.jitter, share));
      }
    }
  }
  alone_ = parts(1).sum();
}

step_parts simulation::parts(int ranks) const {
  const zo::index_t count = step_.count(), group = zo::detail::answers_at_once * ranks;
  step_parts mean{.messages = message_seconds(ranks), .repeated = repeated_seconds(ranks)};
  for (zo::index_t first = 0; first < count; first += group) {
    const zo::index_t here = std::min(group, count - first);
    zo::detail::dealt_items dealt;
    if (step_.dealt) {
      dealt = zo::detail::deal(
          here, ranks, [&](zo::index_t k) { return costs_[static_cast<std::size_t>(first + k)]; });
    } else {
      dealt.order.resize(static_cast<std::size_t>(here));
      std::iota(dealt.order.begin(), dealt.order.end(), zo::index_t{0});
      dealt.ends = zo::detail::even_shares(here, ranks);
    }
    for (const std::vector<double>& seconds : seconds_) {
      double all = 0, slowest = 0;
      for (int r = 0; r < ranks; ++r) {
        double mine = 0;
        const zo::detail::share_range share = zo::detail::share_of(dealt.ends, r);
        for (zo::index_t at = share.first; at < share.end; ++at) {
          const zo::index_t item = first + dealt.order[static_cast<std::size_t>(at)];
          mine += seconds[static_cast<std::size_t>(item)];
        }
        all += mine;
        slowest = std::max(slowest, mine);
      }
      mean.queries += all / ranks / simulated_steps;
      mean.imbalance += (slowest - all / ranks) / simulated_steps;
    }
  }
  return mean;
}

int simulation::half_efficient() const {
  constexpr int most = 1'000'000;
  int good = 1;
  while (good < most && efficiency(2 * good) >= 0.5) good *= 2;
  int bad = 2 * good;
  while (bad - good > std::max(1, good / 100)) {
    const int middle = good + (bad - good) / 2;
    (efficiency(middle) >= 0.5 ? good : bad) = middle;
  }
  return good;
}

}  // namespace bench
