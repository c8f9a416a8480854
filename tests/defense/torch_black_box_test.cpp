// zo/torch.hpp: a black box as a layer of a network, against back-propagation through it.
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>
#include <zo/torch.hpp>
#include <zo/zo.hpp>

namespace {

using torch::Tensor;

const auto exact = zo::cge({.smoothing = 1e-5}, zo::central{});

Tensor values(torch::IntArrayRef shape, torch::ScalarType type = torch::kFloat64) {
  return torch::randn(shape, type);
}

// (n, 3) to (n, 2, 2), with a derivative that LibTorch knows.
struct smooth_box {
  Tensor weights = values({3, 4});
  Tensor operator()(const Tensor& z) const {
    return torch::sin(z.mm(weights.to(z.scalar_type()))).reshape({-1, 2, 2});
  }
};

// The message of what call() throws; empty if it does not.
template <class Call>
std::string thrown_by(const Call& call) {
  try {
    call();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

void expect_in(const std::string& text, const std::string& whole) {
  EXPECT_NE(whole.find(text), std::string::npos) << whole;
}

TEST(TorchBlackBox, GradientsAreThoseOfBackPropagationThroughIt) {
  for (int graph = 0; graph < 5; ++graph) {
    torch::manual_seed(graph);
    const smooth_box box, other;
    const zo::torch::black_box layer(box, exact), second(other, exact);
    const Tensor x = values({4, 5}), before = values({5, 3}).requires_grad_();
    const Tensor after = values({2, 2, 3}).requires_grad_();
    // One layer twice, another between, and one result used by two.
    const auto loss = [&](const auto& f, const auto& g) {
      const Tensor z = torch::tanh(x.mm(before));
      const Tensor y = f(z);
      const Tensor again = f(torch::einsum("nab,abc->nc", {y, after}));
      return (again.square() * g(z + 0.5 * y.flatten(1).narrow(1, 0, 3))).sum();
    };
    const auto wanted = torch::autograd::grad({loss(box, other)}, {before, after});
    const auto found = torch::autograd::grad({loss(layer, second)}, {before, after});
    for (std::size_t i = 0; i < found.size(); ++i) {
      EXPECT_TRUE(torch::allclose(found[i], wanted[i], 1e-7, 1e-8)) << found[i] << wanted[i];
    }
  }
}

TEST(TorchBlackBox, FloatHasTheTypeAndShapeOfItsInput) {
  torch::manual_seed(7);
  const smooth_box box;
  const zo::torch::black_box layer(box, zo::cge({.smoothing = 1e-2}, zo::central{}),
                                   {.policy = zo::par.with_threads(2)});
  const Tensor z = values({6, 3}, torch::kFloat32).requires_grad_();
  const Tensor y = layer(z);
  EXPECT_EQ(y.scalar_type(), torch::kFloat32);
  EXPECT_TRUE(torch::equal(y, box(z)));
  const Tensor found = torch::autograd::grad({y.square().sum()}, {z})[0];
  EXPECT_EQ(found.scalar_type(), torch::kFloat32);
  EXPECT_TRUE(
      torch::allclose(found, torch::autograd::grad({box(z).square().sum()}, {z})[0], 1e-2, 1e-3));
}

TEST(TorchBlackBox, RowsAreToldApartAndMemoryMayLieInAnyOrder) {
  torch::manual_seed(8);
  const Tensor scales = values({4, 1});
  const auto box = [&](const Tensor& z, const Tensor& rows) {
    EXPECT_EQ(rows.scalar_type(), torch::kInt64);
    return (z.flatten(1) * scales.index_select(0, rows)).square();
  };
  // Few rows a call.
  const zo::torch::black_box layer(box, exact, {.chunk_bytes = 200});
  const Tensor z = values({3, 2, 4}).permute({2, 1, 0}).requires_grad_();
  const Tensor found = torch::autograd::grad({layer(z).sum()}, {z})[0];
  const Tensor wanted = 2 * z * scales.square().unsqueeze(2);
  EXPECT_TRUE(torch::allclose(found, wanted, 1e-7, 1e-8));
}

TEST(TorchBlackBox, NothingIsAskedTwice) {
  std::int64_t asked = 0;
  const auto counted = [&](const Tensor& z) {
    asked += z.size(0);
    return torch::sin(z);
  };
  const Tensor z = torch::ones({5, 3}, torch::kFloat64).requires_grad_();
  const zo::torch::black_box forward(counted, zo::cge({.smoothing = 1e-4}));
  {
    const torch::NoGradGuard no_gradient;
    EXPECT_FALSE(forward(z).requires_grad());
  }
  EXPECT_FALSE(forward(z.detach()).requires_grad());
  EXPECT_EQ(asked, 10);
  forward(z).sum().backward();
  EXPECT_EQ(asked, 10 + 5 * (1 + 3));
  EXPECT_EQ(forward.queries(), asked);
  asked = 0;
  const zo::torch::black_box central(counted, exact);
  const auto copy = central;
  copy(z).sum().backward();
  EXPECT_EQ(asked, 5 * (1 + 2 * 3));
  EXPECT_EQ(central.queries(), asked);
}

TEST(TorchBlackBox, EveryBackwardPassHasAStepOfItsOwn) {
  torch::manual_seed(9);
  const smooth_box box;
  const zo::rge how({.directions = 2, .smoothing = 1e-4});
  const Tensor z = values({2, 3}).requires_grad_();
  const auto gradient = [&](const Tensor& y, bool keep = false) {
    return torch::autograd::grad({y.sum()}, {z}, {}, keep)[0];
  };
  zo::torch::black_box layer(box, how, {.seed = 3, .step = 10});
  const Tensor y = layer(z);
  const Tensor first = gradient(y, true), second = gradient(y);
  const Tensor earlier = layer(z), later = layer(z);  // both wait for their backward pass
  const Tensor third = gradient(later), fourth = gradient(earlier);
  EXPECT_EQ(layer.step(), 14u);
  const std::vector<Tensor> all{first, second, third, fourth};
  for (std::size_t i = 0; i < all.size(); ++i) {
    for (std::size_t k = 0; k < i; ++k) EXPECT_FALSE(torch::allclose(all[i], all[k]));
    const zo::torch::black_box alone(box, how, {.seed = 3, .step = 10 + i});
    EXPECT_TRUE(torch::equal(gradient(alone(z)), all[i]));
  }
  layer.resume_at(10);
  EXPECT_TRUE(torch::equal(gradient(layer(z)), first));
  const zo::torch::black_box other(box, how, {.seed = 4, .step = 10});
  EXPECT_FALSE(torch::allclose(gradient(other(z)), first));
}

TEST(TorchBlackBox, IsAskedWithoutGradientsAndCannotChangeX) {
  bool recorded = false;
  const auto careless = [&](const Tensor& z) {
    recorded = recorded || z.requires_grad() || torch::GradMode::is_enabled();
    Tensor same = z;
    return same.mul_(2);
  };
  const zo::torch::black_box layer(careless, exact);
  const Tensor z = torch::ones({2, 3}, torch::kFloat64).requires_grad_();
  layer(z);
  EXPECT_FALSE(recorded);
  EXPECT_TRUE(torch::equal(z.detach(), torch::ones({2, 3}, torch::kFloat64)));
}

TEST(TorchBlackBox, AGradientIsNotDifferentiatedAgain) {
  const zo::torch::black_box layer([](const Tensor& z) { return z.square(); }, exact);
  const Tensor z = torch::ones({2, 2}, torch::kFloat64).requires_grad_();
  const Tensor g = torch::autograd::grad({layer(z).sum()}, {z}, {}, true, true)[0];
  EXPECT_TRUE(torch::allclose(g, 2 * z));
  expect_in("zo::torch::black_box: the gradient of a black box is an estimate",
            thrown_by([&] { torch::autograd::grad({g.sum()}, {z}); }));
  // A graph may be kept for others.
  const Tensor w = torch::full({2, 2}, 2.0, torch::kFloat64).requires_grad_();
  const auto both =
      torch::autograd::grad({(layer(z) * z + w.pow(3)).sum()}, {z, w}, {}, true, true);
  EXPECT_TRUE(torch::allclose(both[0], 3 * z.square(), 1e-7, 1e-8));
  EXPECT_TRUE(torch::equal(torch::autograd::grad({both[1].sum()}, {w})[0], 6 * w));
}

// Fails, in a way of its own, for first numbers above 1.5.
enum class fault { throws, not_a_number, other_size, nothing, few_rows };
struct faulty_box {
  fault how;
  Tensor operator()(const Tensor& z) const {
    const Tensor bad = z.select(1, 0) > 1.5;
    const Tensor y = 3 * z;
    if (!bad.any().item<bool>()) return y;
    switch (how) {
      case fault::throws:
        throw std::runtime_error("the valve is shut");
      case fault::other_size:
        return torch::cat({y, y}, 1);
      case fault::nothing:
        return {};
      case fault::few_rows:
        return y.narrow(0, 0, 1).expand({z.size(0) + 1, -1});
      default:
        return torch::where(bad.unsqueeze(1), torch::full_like(y, std::nan("")), y);
    }
  }
};

const std::vector<std::pair<fault, std::string>> faults = {
    {fault::throws, "the valve is shut"},
    {fault::not_a_number, "not finite"},
    {fault::other_size, "must not change their size"},
    {fault::nothing, "returned no tensor"},
    {fault::few_rows, "a row for each"}};

TEST(TorchBlackBox, AFailedQueryStopsWithASentence) {
  for (const auto& [how, sentence] : faults) {
    const zo::torch::black_box layer(faulty_box{how}, zo::cge({.smoothing = 1.0}));
    const Tensor z = torch::ones({1, 2}, torch::kFloat64).requires_grad_();
    const Tensor y = layer(z);
    const std::string said = thrown_by([&] { y.sum().backward(); });
    expect_in(sentence, said);
    EXPECT_FALSE(z.grad().defined());
    if (how != fault::other_size) expect_in(sentence, thrown_by([&] { layer(2 * z); }));
  }
}

TEST(TorchBlackBox, AFailedQueryIsDropped) {
  for (const auto& [how, sentence] : faults) {
    const zo::torch::black_box layer(faulty_box{how},
                                     zo::cge({.smoothing = 1.0, .failures = zo::on_failure::drop}),
                                     {.chunk_bytes = 1});  // a candidate a call
    const Tensor z = torch::ones({1, 2}, torch::kFloat64).requires_grad_();
    layer(z).sum().backward();
    EXPECT_DOUBLE_EQ(z.grad()[0][0].item<double>(), 0) << sentence;
    EXPECT_NEAR(z.grad()[0][1].item<double>(), 3, 1e-12) << sentence;
    EXPECT_EQ(layer.failed(), 1) << sentence;
  }
}

TEST(TorchBlackBox, ADroppedRowAnswersNaNAndHasNoGradient) {
  const auto drop = zo::cge({.smoothing = 1e-3, .failures = zo::on_failure::drop});
  const zo::torch::black_box layer(faulty_box{fault::not_a_number}, drop);
  const Tensor z = torch::tensor({{1.0, 1.0}, {2.0, 1.0}}, torch::kFloat64).requires_grad_();
  const Tensor y = layer(z);
  EXPECT_TRUE(y[1].isnan().all().item<bool>());
  torch::nan_to_num(y).square().sum().backward();
  EXPECT_TRUE(torch::allclose(z.grad()[0], 18 * z[0], 1e-6, 1e-6));
  EXPECT_TRUE(torch::equal(z.grad()[1], torch::zeros({2}, torch::kFloat64)));
  // A box that throws answers nothing at all, and how much that is it has said before, or not.
  const zo::torch::black_box silent(faulty_box{fault::throws}, drop);
  expect_in("the valve is shut", thrown_by([&] { silent(z); }));
  silent(torch::ones({1, 2}, torch::kFloat64));
  EXPECT_TRUE(silent(z).isnan().all().item<bool>());
}

TEST(TorchBlackBox, WrongTensorsAndGradientsAreRefused) {
  const zo::torch::black_box layer([](const Tensor& z) { return 1 * z; }, exact);
  expect_in("float32 or float64", thrown_by([&] { layer(torch::ones({2, 2}, torch::kInt64)); }));
  expect_in("at least 1 row", thrown_by([&] { layer(torch::ones({0, 2})); }));
  expect_in("at least 1 row", thrown_by([&] { layer(Tensor()); }));
  const Tensor z = torch::zeros({1, 2}, torch::kFloat64).requires_grad_();
  expect_in("from behind is not finite", thrown_by([&] { layer(z).log().sum().backward(); }));
}

}  // namespace
