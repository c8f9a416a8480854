// A network's probes shared between processes: the bits of one, shares of equal work.
#include "zo/nn/objective.hpp"

#include "support.hpp"

namespace {

using namespace testing_zo;
using zo::index;  // hides index() of <strings.h>
namespace nn = zo::nn;

nn::minibatch<float> some_images(index count, index size) {
  nn::minibatch<float> batch{{}, count, nn::cross_entropy(std::vector<index>{0}, 10)};
  batch.inputs = ramp<float>(count * size, -1.0, 0.19);
  batch.count = count;
  std::vector<index> targets;
  for (index i = 0; i < count; ++i) targets.push_back(i % 10);
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
  const auto policy = zo::mpi::over(MPI_COMM_WORLD, zo::seq);
  for (const int threads : {1, 2}) {
    nn::objective<float> shared(net, batch_of, statistics, {.threads = threads});
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
  }
}

}  // namespace
