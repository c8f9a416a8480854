// A network's probes shared between processes: the bits of one, shares of equal work.
#include "zo/nn/objective.hpp"

#include <algorithm>

#include "support.hpp"

namespace {

using namespace testing_zo;
using zo::index_t;
namespace nn = zo::nn;

nn::minibatch<float> some_images(index_t count, index_t size) {
  nn::minibatch<float> batch{{}, count, nn::cross_entropy(std::vector<index_t>{0}, 10)};
  batch.inputs = ramp<float>(count * size, -1.0, 0.19);
  batch.count = count;
  std::vector<index_t> targets;
  for (index_t i = 0; i < count; ++i) targets.push_back(i % 10);
  batch.loss = nn::cross_entropy(targets, 10);
  return batch;
}

TEST(mpi_network, has_the_bits_of_one_process_and_even_shares) {
  const nn::network net = nn::adjustable_cnn({1, 8, 8}, 4, 2);
  std::vector<float> x(static_cast<std::size_t>(net.parameter_count()));
  std::vector<float> statistics(static_cast<std::size_t>(net.statistic_count()));
  nn::initialize<float>(net, nn::initialization::kaiming_normal, 3, x);
  nn::initialize_statistics<float>(net, statistics);
  const nn::minibatch<float> batch = some_images(20, 64);
  const auto batch_of = [&](zo::sample_id) { return batch; };

  nn::objective<float> single(net, batch_of, statistics);
  std::vector<float> expected(x.size()), g(x.size());
  const zo::cge how({.coordinates = zo::random_coordinates{60}}, zo::central{});
  const auto alone = zo::estimate(zo::seq, single, x, expected, how, {.seed = 5});
  nn::objective<float> shared(net, batch_of, statistics);
  for_each_shared_policy([&](const auto& policy) {
    const auto r = zo::estimate(policy, shared, x, g, how, {.seed = 5});
    EXPECT_TRUE(same_bits(g, expected));
    EXPECT_EQ(r.queries, alone.queries);
    EXPECT_EQ(r.value, alone.value);
    double all = 0, most = 0;
    for (const double one :
         zo::mpi::gather(policy, static_cast<double>(shared.multiplications()))) {
      all += one;
      most = std::max(most, one);
    }
    EXPECT_EQ(all, static_cast<double>(single.multiplications()));
    EXPECT_LE(most, 1.1 * all / policy.ranks());
  });
}

// They cost next to no multiplications, and still time: one rank must not have them all.
TEST(mpi_network, shares_the_probes_of_the_last_layer) {
  constexpr int ranks = 50;
  const nn::network net = nn::resnet(20);
  const auto batch_of = [](zo::sample_id) { return some_images(1, 3 * 32 * 32); };
  const std::vector<float> statistics(static_cast<std::size_t>(net.statistic_count()));
  const nn::objective<float> priced(net, batch_of, statistics);
  const nn::view& last = *std::ranges::find(net.parameters(), "linear.weight", &nn::view::name);
  std::vector<index_t> asked;
  for (index_t i = 0; i < last.offset; i += 97) asked.push_back(i);
  for (index_t i = 0; i < last.size; ++i) asked.push_back(last.offset + i);
  const auto dealt = zo::detail::deal(static_cast<index_t>(asked.size()), ranks, [&](index_t k) {
    return priced.cost(asked[static_cast<std::size_t>(k)]);
  });
  for (int r = 0; r < ranks; ++r) {
    const auto share = zo::detail::share_of(dealt.ends, r);
    index_t mine = 0;
    for (index_t at = share.first; at < share.end; ++at) {
      const auto k = static_cast<std::size_t>(dealt.order[static_cast<std::size_t>(at)]);
      mine += asked[k] >= last.offset ? 1 : 0;
    }
    EXPECT_LE(mine, 3 * last.size / ranks);
  }
}

}  // namespace
