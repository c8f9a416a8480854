// Descriptions of networks: their sizes, their names, and what does not fit.
#include "zo/nn/network.hpp"

#include "support.hpp"
#include "trial.hpp"

namespace {

using namespace testing_zo;
using zo::index_t;
namespace nn = zo::nn;

// He et al. 2016, table 6, and DeepZero: 0.27, 0.46, 0.66, 0.85 and 1.7 million parameters.
TEST(nn_network, resnets_have_the_published_sizes) {
  EXPECT_EQ(nn::resnet(20).parameter_count(), 269'722);
  EXPECT_EQ(nn::resnet(32).parameter_count(), 464'154);
  EXPECT_EQ(nn::resnet(44).parameter_count(), 658'586);
  EXPECT_EQ(nn::resnet(56).parameter_count(), 853'018);
  EXPECT_EQ(nn::resnet(110).parameter_count(), 1'727'962);
  EXPECT_NEAR(static_cast<double>(nn::resnet(20).multiplications()), 40.55e6, 0.01e6);
  EXPECT_EQ(nn::resnet(20).output(), (nn::shape{10, 1, 1}));
}

// Two 1x1 convolutions with batch norm more than option A: 16 x 32 + 64 and 32 x 64 + 128.
TEST(nn_network, projection_shortcuts_have_parameters) {
  const nn::network net = nn::resnet(20, {.shortcuts = nn::shortcut::projection});
  EXPECT_EQ(net.parameter_count(), 269'722 + 16 * 32 + 2 * 32 + 32 * 64 + 2 * 64);
  EXPECT_EQ(net.parameter("layer2.0.shortcut.0.weight").dims, (std::vector<index_t>{32, 16, 1, 1}));
  EXPECT_EQ(net.parameter("layer3.0.shortcut.1.bias").size, 64);
  EXPECT_EQ(net.output(), nn::resnet(20).output());
  EXPECT_EQ(nn::resnet(8, {.classes = 7}).output(), (nn::shape{7, 1, 1}));
}

// DeepZero (ICLR 2024), figure 5: the sizes of its small CNN of depth 1 to 5.
TEST(nn_network, the_adjustable_cnn_has_the_published_sizes) {
  const index_t published[] = {730, 3700, 6670, 9640, 12610};
  for (index_t depth = 1; depth <= 5; ++depth) {
    EXPECT_EQ(nn::adjustable_cnn({3, 32, 32}, 18, depth).parameter_count(), published[depth - 1]);
  }
}

TEST(nn_network, parameters_are_named_and_lie_one_after_another) {
  const nn::network net = nn::resnet(20);
  EXPECT_EQ(net.parameters().front().name, "conv1.weight");
  EXPECT_EQ(net.parameters().back().name, "linear.bias");
  EXPECT_EQ(net.parameter("layer2.0.conv1.weight").dims, (std::vector<index_t>{32, 16, 3, 3}));
  EXPECT_EQ(net.statistics().front().name, "bn1.running_mean");
  index_t offset = 0;
  for (const nn::view& v : net.parameters()) {
    EXPECT_EQ(v.offset, offset);
    EXPECT_EQ(net.parameter_of(offset).name, v.name);
    offset += v.size;
    EXPECT_EQ(net.parameter_of(offset - 1).name, v.name);
  }
  EXPECT_EQ(offset, net.parameter_count());
}

TEST(nn_network, what_does_not_fit_is_named) {
  const auto says = [](const auto& make, const char* part) {
    EXPECT_TRUE(contains(complaint(make), part)) << complaint(make);
  };
  says([] { nn::network({3, 0, 4}); }, "an input of 3 x 0 x 4 holds nothing");
  says([] { nn::resnet(21); }, "depth must be 6 n + 2");
  says([] { nn::mlp({5}); }, "got 1");
  says(
      [] {
        nn::adjustable_cnn({3, 8, 8}, 4, 4);
      },
      "a pool of 2 with stride 2 does not fit into 4 x 1 x 1");
  nn::network net({3, 8, 8});
  says([&] { net.convolution(0, "a", {.channels = 4, .kernel = 11}); },
       "a: a kernel of 11 does not fit into 3 x 8 x 8 with padding 1");
  says([&] { net.convolution(0, "a", {.channels = 0}); }, "a: channels, kernel and stride");
  says([&] { net.relu(7); }, "works on value 7, and there are only 0 … 0");
  const index_t a = net.convolution(0, "a", {.channels = 4});
  says([&] { net.add(a, net.input()); }, "4 x 8 x 8 and 3 x 8 x 8 cannot be added");
  says([&] { net.convolution(0, "a", {.channels = 4}); }, "two parameters are called a.weight");
  says([&] { net.parameter("b.weight"); }, "no parameter is called b.weight; there are a.weight");
  says([&] { net.parameter_of(108); }, "coordinate 108 is not in 0 … 107");
}

TEST(nn_network, a_part_is_a_stretch_of_values_and_parameters) {
  const nn::network net = testing_nn::mixture();
  const auto node_of = [&](const char* name) { return net.parameter(name).node; };
  const index_t from = node_of("an.weight"), to = node_of("bn.weight");
  const nn::network_part part = net.part(from, from + 1, to);
  EXPECT_EQ(part.first_parameter, net.parameter("p.weight").offset);
  EXPECT_EQ(part.first_statistic, 8);  // after those of an
  EXPECT_EQ(part.net.nodes().front().out, net.nodes()[static_cast<std::size_t>(from)].out);
  EXPECT_EQ(part.net.output(), net.nodes()[static_cast<std::size_t>(to)].out);
  std::vector<std::string> names;
  index_t multiplications = 0;
  for (const nn::view& v : part.net.parameters()) {
    names.push_back(v.name);
    const nn::view& whole = net.parameter(v.name);
    EXPECT_EQ(v.offset + part.first_parameter, whole.offset);
    EXPECT_EQ(v.dims, whole.dims);
    EXPECT_EQ(v.node + from, whole.node);
  }
  EXPECT_EQ(names, (std::vector<std::string>{"p.weight", "b.weight", "bn.weight", "bn.bias"}));
  for (index_t id = from + 1; id <= to; ++id) {
    multiplications += net.nodes()[static_cast<std::size_t>(id)].multiplications;
  }
  EXPECT_EQ(part.net.multiplications(), multiplications);

  // All of it, and a part of a part.
  const auto last = static_cast<index_t>(net.nodes().size()) - 1;
  EXPECT_EQ(net.part(0, 1, last).net.parameter_count(), net.parameter_count());
  EXPECT_EQ(part.net.part(0, 1, 1).net.nodes().size(), 2);
  EXPECT_EQ(net.part(last - 1, last, last).first_statistic, net.statistic_count());
}

TEST(nn_network, parts_that_cannot_be_are_named) {
  const nn::network net = testing_nn::mixture();
  const auto says = [&](const char* sentence, index_t input, index_t first, index_t last) {
    const std::string text = complaint([&] { net.part(input, first, last); });
    EXPECT_TRUE(contains(text, sentence)) << text;
  };
  says("come after its input, of 0 … 12, got values 3 to 4 of input 3", 3, 3, 4);
  says("got values 4 to 3 of input 2", 2, 4, 3);
  says("of input -1", -1, 1, 2);
  says("got values 1 to 13", 0, 1, 13);
  // b reads the ReLU, value 3, as the shortcut before it does.
  EXPECT_EQ(net.part(3, 5, 6).net.nodes().size(), 3);
  says("value 5 is made of value 3, which a part from value 5 on of input 4", 4, 5, 6);
}

// No machine holds these; their sizes are never multiplied into nonsense, and nothing runs for
// ever.
TEST(nn_network, what_no_machine_could_hold_is_refused) {
  const auto says = [](const char* part, const auto& make) {
    EXPECT_TRUE(contains(complaint(make), part)) << part << "\n" << complaint(make);
  };
  constexpr index_t wide = index_t{1} << 31, huge = std::numeric_limits<index_t>::max();
  const auto memory = "are more numbers than fit into memory";
  says(memory, [] { nn::network({wide, wide, 4}); });
  says(memory, [] { nn::network({1, wide, 1}); });
  says(memory, [] { nn::network({huge, 1, 1}); });
  says(memory, [] { nn::mlp({huge, 3}); });
  says("linear1: 9223372036854775807 x 1 x 1 are more", [] { nn::mlp({3, huge}); });
  says("linear2 would make more parameters", [] { nn::mlp({1, wide, wide}); });
  says("at most 9002, got 2147483647", [] { nn::resnet(std::numeric_limits<int>::max()); });
  says("at most 9002, got 9223372036854775802", [] { nn::resnet(huge - 5); });
  says("linear: outputs must be at least 1, got -3", [] { nn::resnet(8, {.classes = -3}); });
  says("does not fit into", [] { nn::adjustable_cnn({3, 32, 32}, 18, huge); });
  says("are more numbers", [] { nn::adjustable_cnn({3, 32, 32}, huge, 2); });
  says("conv1 would make more parameters", [] { nn::adjustable_cnn({3, 32, 32}, wide, 2); });
  says("has at most 32768 values", [] { nn::mlp(std::vector<index_t>(100'000, 1)); });
  nn::network net({3, 8, 8});
  says("is wider than any image", [&] { net.convolution(0, "a", {.padding = huge}); });
  says("is wider than any image", [&] { net.convolution(0, "a", {.stride = huge}); });
  says("does not fit into 3 x 8 x 8", [&] { net.convolution(0, "a", {.kernel = huge}); });
  says("more parameters", [&] {
    net.convolution(0, "a", {.channels = 1 << 12, .kernel = 60'000, .padding = 30'000});
  });
  says(memory, [&] { net.convolution(0, "a", {.channels = huge, .kernel = 1, .padding = 0}); });
  says(memory, [&] { net.subsample(0, huge); });
  says("a pool of 9223372036854775807", [&] { net.max_pool(0, {.kernel = huge}); });
  nn::network many({1, 1 << 15, 1 << 15});
  says("more multiplications", [&] {
    many.convolution(0, "a", {.channels = 1 << 10, .kernel = 1 << 15, .padding = 1 << 14});
  });
  for (const double epsilon : {0.0, -1e-5, not_a_number, infinity}) {
    says("n: epsilon must be above 0", [&] { net.batch_norm(0, "n", epsilon); });
  }
  // What was refused is not there, and its name is free.
  EXPECT_EQ(net.nodes().size(), 1U);
  EXPECT_TRUE(net.parameters().empty());
  EXPECT_EQ(net.parameter_count() + net.multiplications(), 0);
  net.convolution(0, "a", {.channels = 2, .kernel = 1, .padding = 0, .bias = true});
  says("two parameters are called a.weight", [&] { net.linear(0, "a", 2); });
  says("two parameters are called a.weight", [&] { net.batch_norm(0, "a"); });
  EXPECT_EQ(net.statistics().size(), 0U);
  EXPECT_EQ(net.parameter_count(), 8);
  EXPECT_EQ(net.multiplications(), 6 * 64);
}

TEST(nn_network, sizes_of_parameters_to_make_are_checked) {
  const nn::network net = nn::adjustable_cnn({1, 8, 8}, 3, 1);
  std::vector<double> three(3);
  EXPECT_TRUE(contains(
      complaint([&] { nn::initialize<double>(net, nn::initialization::orthogonal, 1, three); }),
      "got room for 3"));
  EXPECT_TRUE(contains(complaint([&] { nn::initialize_statistics<double>(net, three); }),
                       "6 statistics, got room for 3"));
  EXPECT_TRUE(contains(complaint([&] { net.parameter_of(-1); }), "coordinate -1 is not in 0 … "));
}

// Mean 0 and variance 2 / fan_in, by a z-score from the known variance of each.
TEST(nn_network, kaiming_weights_have_their_variance) {
  const nn::network net = nn::resnet(20);
  std::vector<double> p(static_cast<std::size_t>(net.parameter_count()));
  nn::initialize<double>(net, nn::initialization::kaiming_normal, 5, p);
  const nn::view& v = net.parameter("layer3.1.conv1.weight");
  const double expected = 2.0 / (64 * 9);
  double sum = 0, squares = 0;
  for (index_t i = v.offset; i < v.offset + v.size; ++i) {
    const double w = p[static_cast<std::size_t>(i)];
    sum += w;
    squares += w * w;
  }
  const auto n = static_cast<double>(v.size);
  EXPECT_LT(std::abs(sum / n) / std::sqrt(expected / n), 4);
  EXPECT_LT(std::abs(squares / n - expected) / (expected * std::sqrt(2 / n)), 4);
  EXPECT_EQ(p[static_cast<std::size_t>(net.parameter("bn1.weight").offset)], 1);
  EXPECT_EQ(p[static_cast<std::size_t>(net.parameter("bn1.bias").offset)], 0);
  std::vector<double> other = p;
  nn::initialize<double>(net, nn::initialization::kaiming_normal, 6, other);
  EXPECT_NE(p, other);
  nn::initialize<double>(net, nn::initialization::kaiming_normal, 5, other);
  EXPECT_TRUE(same_bits(p, other));
}

// Q Q^T = I for more columns than rows (convolution 8 x 36), Q^T Q = I for fewer (linear 40 x 8).
TEST(nn_network, orthogonal_weights_are_orthonormal) {
  nn::network net({4, 6, 6});
  index_t x = net.convolution(net.input(), "wide", {.channels = 8, .bias = true});
  net.linear(net.global_average_pool(x), "tall", 40);
  std::vector<double> p(static_cast<std::size_t>(net.parameter_count()));
  nn::initialize<double>(net, nn::initialization::orthogonal, 5, p);
  const auto check = [&](const nn::view& v, index_t vectors, index_t length, index_t next,
                         index_t step) {
    const double* const w = p.data() + v.offset;
    for (index_t a = 0; a < vectors; ++a) {
      for (index_t b = 0; b < vectors; ++b) {
        double sum = 0;
        for (index_t i = 0; i < length; ++i) sum += w[a * next + i * step] * w[b * next + i * step];
        EXPECT_NEAR(sum, a == b ? 1 : 0, 1e-14) << v.name;
      }
    }
  };
  check(net.parameter("wide.weight"), 8, 36, 36, 1);
  check(net.parameter("tall.weight"), 8, 40, 1, 8);
  EXPECT_EQ(p[static_cast<std::size_t>(net.parameter("wide.bias").offset)], 0);
  std::vector<double> other(p.size());
  nn::initialize<double>(net, nn::initialization::orthogonal, 6, other);
  EXPECT_NE(p, other);
}

TEST(nn_network, uniform_weights_keep_to_their_bound) {
  const nn::network net = nn::mlp({100, 50, 3});
  std::vector<float> p(static_cast<std::size_t>(net.parameter_count()));
  nn::initialize<float>(net, nn::initialization::kaiming_uniform, 5, p);
  const nn::view& v = net.parameter("linear1.weight");
  double largest = 0;
  for (index_t i = v.offset; i < v.offset + v.size; ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(p[static_cast<std::size_t>(i)])));
  }
  EXPECT_LE(largest, 0.1 + 1e-8);
  EXPECT_GT(largest, 0.099);
}

TEST(nn_network, transformers_have_the_names_and_sizes_of_pytorchs_modules) {
  const nn::network net = nn::transformer({.tokens = 6,
                                           .entries = 11,
                                           .width = 8,
                                           .heads = 2,
                                           .layers = 1,
                                           .feed_forward = 12,
                                           .classes = 4});
  const auto dims = [&](const std::string& name) { return net.parameter(name).dims; };
  EXPECT_EQ(dims("embedding.weight"), (std::vector<index_t>{11, 8}));
  EXPECT_EQ(dims("positions.weight"), (std::vector<index_t>{6, 8}));
  EXPECT_EQ(dims("encoder.layers.0.self_attn.in_proj_weight"), (std::vector<index_t>{24, 8}));
  EXPECT_EQ(dims("encoder.layers.0.self_attn.in_proj_bias"), (std::vector<index_t>{24}));
  EXPECT_EQ(dims("encoder.layers.0.self_attn.out_proj.weight"), (std::vector<index_t>{8, 8}));
  EXPECT_EQ(dims("encoder.layers.0.linear1.weight"), (std::vector<index_t>{12, 8}));
  EXPECT_EQ(dims("encoder.layers.0.norm2.bias"), (std::vector<index_t>{8}));
  // Four maps of a position, twice the products of all pairs of positions, and the classes.
  EXPECT_EQ(net.multiplications(), 6 * (24 * 8 + 8 * 8 + 2 * 8 * 12) + 2 * 6 * 6 * 8 + 8 * 4);
}

TEST(nn_network, transformers_that_cannot_be_are_refused) {
  EXPECT_TRUE(contains(complaint([] { nn::transformer({.width = 8, .heads = 3}); }),
                       "width must be a multiple of heads, got 8 and 3"));
  EXPECT_TRUE(contains(complaint([] { nn::transformer({.tokens = 0}); }), "must be at least 1"));
}

}  // namespace
