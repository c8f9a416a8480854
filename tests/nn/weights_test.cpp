// Parameters by name: what comes back, and what is refused without writing anything.
#include "zo/nn/weights.hpp"

#include "support.hpp"

namespace {

using namespace testing_zo;
using zo::index_t;
namespace nn = zo::nn;

struct sample {
  nn::network net = nn::adjustable_cnn({1, 8, 8}, 3, 2);
  std::vector<double> parameters = ramp<double>(net.parameter_count());
  std::vector<double> statistics = ramp<double>(net.statistic_count(), 0.25);
  std::vector<nn::named_values<double>> tensors =
      nn::tensors_of<double>(net, parameters, statistics);
  std::vector<double> to = std::vector<double>(parameters.size(), 7);
  std::vector<double> to_statistics = std::vector<double>(statistics.size(), 7);

  void load(std::string_view prefix = "") {
    nn::load<double>(net, tensors, prefix, to, to_statistics);
  }
};

TEST(nn_weights, come_back_by_name_in_any_order) {
  sample s;
  std::reverse(s.tensors.begin(), s.tensors.end());
  for (auto& t : s.tensors) t.name = "module." + t.name;
  s.tensors.push_back({"module.bn0.num_batches_tracked", {}, {}});
  s.load("module.");
  EXPECT_TRUE(same_bits(s.to, s.parameters));
  EXPECT_TRUE(same_bits(s.to_statistics, s.statistics));
}

TEST(nn_weights, prefixes_are_of_all_tensors) {
  sample s;
  for (auto& t : s.tensors) t.name = "module." + t.name;
  EXPECT_TRUE(contains(complaint([&] { s.load(); }), "nothing called module.conv0.weight"));
  s.tensors.push_back({"conv0.weight", s.tensors[0].dims, s.tensors[0].values});
  EXPECT_TRUE(contains(complaint([&] { s.load("module."); }), "nothing called conv0.weight"));
  EXPECT_EQ(s.to, std::vector<double>(s.to.size(), 7));
}

TEST(nn_weights, what_does_not_fit_is_named_and_nothing_is_written) {
  const auto refuses = [](const auto& spoil, const char* part) {
    sample s;
    spoil(s);
    const std::string text = complaint([&] { s.load(); });
    EXPECT_TRUE(contains(text, part)) << text;
    EXPECT_EQ(s.to, std::vector<double>(s.to.size(), 7));
  };
  refuses(
      [](sample& s) {
        s.tensors[0].dims = {3, 1, 9};
      },
      "conv0.weight has the shape (3, 1, 9), and the network needs (3, 1, 3, 3)");
  refuses([](sample& s) { s.tensors[0].values = s.tensors[0].values.first(5); },
          "conv0.weight has 5 values for the shape (3, 1, 3, 3)");
  refuses([](sample& s) { s.tensors.erase(s.tensors.begin() + 1); },
          "there is no tensor conv0.bias");
  refuses(
      [](sample& s) {
        s.tensors.push_back({"conv9.weight", {1}, {}});
      },
      "the network has nothing called conv9.weight of shape (1)");
  // The first, the last and equal values: which one is meant is never guessed.
  refuses([](sample& s) { s.tensors.push_back(s.tensors[0]); },
          "there are two tensors called conv0.weight; give one");
  refuses(
      [](sample& s) {
        s.tensors.insert(s.tensors.begin(), s.tensors[7]);
        s.tensors[0].values = s.tensors[1].values.first(s.tensors[0].values.size());
      },
      "there are two tensors called");
  refuses([](sample& s) { s.tensors.push_back(s.tensors.back()); },
          "there are two tensors called bn1.running_var");
  const std::vector<double> negative{1, -0.25, 1};
  refuses([&](sample& s) { s.tensors.back().values = negative; },
          "bn1.running_var holds -0.25, and a variance is not negative");
  refuses([](sample& s) { s.to_statistics.pop_back(); }, "parameters and 12 statistics, got room");
}

}  // namespace
