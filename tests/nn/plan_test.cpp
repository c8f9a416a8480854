// What a plan says, against a walk over the description that knows nothing of units.
#include <numeric>
#include <set>

#include "nn/plan.hpp"
#include "trial.hpp"

namespace {

using namespace testing_nn;
using nn::detail::extent;
using zo::index_t;

nn::network some_cnn() { return nn::adjustable_cnn({3, 16, 16}, 5, 3); }
nn::network projected() { return nn::resnet(8, {.shortcuts = nn::shortcut::projection}); }

// Sums without a batch norm, a sum of a value with itself, and a value that nobody reads.
nn::network sums() {
  nn::network net({4, 8, 8});
  const index_t x = net.convolution(net.input(), "a", {.channels = 4});
  const index_t y = net.relu(net.add(x, net.convolution(x, "b", {.channels = 4})));
  net.convolution(y, "dead", {.channels = 2});
  const index_t z = net.add(net.subsample(y, 4), net.average_pool(y));
  net.linear(net.global_average_pool(net.relu(net.add(z, z))), "c", 5);
  return net;
}

// The channels that a change of channel 0 reaches, as a set for each node.
std::vector<std::set<index_t>> channels_reached(const nn::network& net, index_t from, bool all) {
  std::vector<std::set<index_t>> reached(net.nodes().size());
  const auto whole = [](const nn::shape& s) {
    std::set<index_t> channels;
    for (index_t c = 0; c < s.channels; ++c) channels.insert(c);
    return channels;
  };
  for (index_t id = from; id < static_cast<index_t>(net.nodes().size()); ++id) {
    const nn::node& n = net.nodes()[static_cast<std::size_t>(id)];
    std::set<index_t>& own = reached[static_cast<std::size_t>(id)];
    if (id == from) {
      own = all ? whole(n.out) : std::set<index_t>{0};
      continue;
    }
    for (const index_t read : {n.first, n.second}) {
      if (read < 0) continue;
      for (const index_t c : reached[static_cast<std::size_t>(read)]) {
        const index_t before =
            n.what == nn::operation::subsample ? (n.out.channels - n.in.channels) / 2 : 0;
        own.insert(c + before);
      }
    }
    if (nn::traits_of(n.what).reach != nn::reach::channel && !own.empty()) own = whole(n.out);
  }
  return reached;
}

void expect_extents(const nn::network& net) {
  const nn::detail::plan how(net);
  const auto count = static_cast<index_t>(net.nodes().size());
  for (index_t from = 0; from < count; ++from) {
    for (const extent began : {extent::channel, extent::full}) {
      const auto reached = channels_reached(net, from, began == extent::full);
      const nn::detail::path way(net, how, from, began);
      std::size_t next = 0;
      index_t multiplications = 0;
      for (index_t k = 0; k < static_cast<index_t>(how.units.size()); ++k) {
        const nn::detail::unit& u = how.units[static_cast<std::size_t>(k)];
        const auto& channels = reached[static_cast<std::size_t>(u.last)];
        if (u.last <= from || channels.empty()) continue;
        ASSERT_LT(next, way.units.size());
        const nn::detail::reached& r = way.units[next++];
        const nn::node& n = net.nodes()[static_cast<std::size_t>(u.last)];
        EXPECT_EQ(r.unit, k);
        if (channels.size() == 1 && n.out.channels > 1 &&
            nn::traits_of(n.what).reach == nn::reach::channel) {
          EXPECT_EQ(r.out.how, extent::channel) << from << " to " << u.last;
          EXPECT_EQ(r.out.shift, *channels.begin());
        }
        if (channels.size() > 1) {
          EXPECT_EQ(r.out.how, extent::full) << from << " to " << u.last;
        }
        const auto& read = reached[static_cast<std::size_t>(n.first)];
        const bool part = nn::mixes(n.what) && read.size() == 1 && n.in.channels > 1;
        if (n.multiplications > 0)
          multiplications += n.multiplications / (part ? n.in.channels : 1);
      }
      EXPECT_EQ(next, way.units.size());
      EXPECT_EQ(way.multiplications, multiplications);
    }
  }
}

TEST(nn_plan, says_what_a_change_reaches) {
  for (const nn::network& net : {nn::resnet(8), nn::resnet(20), projected(), mixture(), some_cnn(),
                                 sums(), nn::mlp({5, 4, 3}), nn::transformer({.layers = 1})}) {
    expect_extents(net);
  }
}

// Every node in one unit, read before it is written never, and given back after its last reader.
TEST(nn_plan, reads_what_is_there_and_gives_back_once) {
  for (const nn::network& net : {nn::resnet(20), projected(), mixture(), sums()}) {
    const nn::detail::plan how(net);
    const auto count = static_cast<index_t>(net.nodes().size());
    for (index_t id = 1; id < count; ++id) EXPECT_TRUE(how.of(id).has(id) || how.of(id).relu == id);
    for (index_t from = 0; from < count; ++from) {
      const nn::detail::path way(net, how, from, extent::channel);
      std::set<index_t> live{from};
      for (const nn::detail::reached& r : way.units) {
        const nn::detail::unit& u = how.units[static_cast<std::size_t>(r.unit)];
        if (r.main.how != extent::none) {
          EXPECT_TRUE(live.contains(r.main_node));
        }
        if (r.other.how != extent::none) {
          EXPECT_TRUE(live.contains(u.other));
        }
        live.insert(u.last);
        for (const index_t gone : r.released) EXPECT_EQ(live.erase(gone), 1U);
      }
      EXPECT_LE(live.size(), 1U) << "from " << from;
    }
  }
}

// From the input everything is multiplied once.
TEST(nn_plan, of_the_whole_is_the_network) {
  for (const nn::network& net : {nn::resnet(20), mixture(), nn::mlp({5, 4, 3})}) {
    const nn::detail::plan how(net);
    EXPECT_EQ(nn::detail::path(net, how, 0, extent::full).multiplications, net.multiplications());
  }
}

TEST(nn_plan, norms_sums_and_relus_go_together) {
  const nn::network net = projected();
  const nn::detail::plan how(net);
  index_t with_sum = 0, norms = 0;
  for (const nn::detail::unit& u : how.units) {
    norms += u.norm >= 0 ? 1 : 0;
    with_sum += u.norm >= 0 && u.sum >= 0 && u.relu >= 0 && u.last == u.relu ? 1 : 0;
  }
  EXPECT_EQ(norms, 9);
  EXPECT_EQ(with_sum, 3);
}

}  // namespace
