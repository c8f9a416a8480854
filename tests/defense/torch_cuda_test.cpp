// zo/cuda/torch.hpp: gradients of a black box of tensors on a GPU, with the bits of the CPU.
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <zo/cuda/torch.hpp>
#include <zo/zo.hpp>

#include "support.hpp"
#include "training.hpp"

namespace {

// One operation after the other, each rounded once: the same losses on CPU and GPU.
struct steady_box {
  torch::Tensor weights;  // (rows, numbers of a row)
  double fails_above = std::numeric_limits<double>::infinity();

  torch::Tensor operator()(const torch::Tensor& candidates, const torch::Tensor& rows) const {
    const torch::Tensor x = candidates.reshape({rows.size(0), -1}).to(torch::kFloat64);
    const torch::Tensor w = weights.to(x.device()).index_select(0, rows);
    torch::Tensor sum = torch::zeros({x.size(0)}, x.options());
    for (std::int64_t i = 0; i < x.size(1); ++i) {
      const torch::Tensor bend = x.select(1, i) * w.select(1, i);
      sum = sum + bend * x.select(1, i);
    }
    const auto nan = torch::full_like(sum, std::numeric_limits<double>::quiet_NaN());
    return torch::where(x.select(1, 0) > fails_above, nan, sum);
  }
};

steady_box box_for(const torch::Tensor& z) {
  torch::manual_seed(7);
  return {torch::randn({z.size(0), z.numel() / z.size(0)}, torch::kFloat64)};
}

torch::Tensor latents(at::IntArrayRef shape, torch::ScalarType type) {
  torch::manual_seed(5);
  return torch::randn(shape, type);
}

zo::cuda::policy on_current_stream() { return zo::cuda::on(c10::cuda::getCurrentCUDAStream()); }

// A stream that torch did not make and that waits for no other.
class own_stream {
 public:
  own_stream() {
    zo::cuda::detail::check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking),
                            "cudaStreamCreate");
  }
  ~own_stream() {
    cudaStreamSynchronize(stream_);
    cudaStreamDestroy(stream_);
  }
  cudaStream_t get() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

void expect_same(const zo::tensor_boundary& device, const zo::tensor_boundary& host) {
  EXPECT_TRUE(device.gradients.is_cuda());
  EXPECT_TRUE(device.losses.is_cuda());
  EXPECT_TRUE(torch::equal(device.gradients.cpu(), host.gradients));
  const auto nan_aside = [](const torch::Tensor& t) { return t.cpu().nan_to_num(-1e300); };
  EXPECT_TRUE(torch::equal(nan_aside(device.losses), nan_aside(host.losses)));
  EXPECT_EQ(device.queries, host.queries);
  EXPECT_EQ(device.failed, host.failed);
  EXPECT_EQ(device.ok, host.ok);
}

template <class How>
void expect_cpu_bits(const How& how, at::IntArrayRef shape, torch::ScalarType type,
                     double fails_above = std::numeric_limits<double>::infinity()) {
  const torch::Tensor z = latents(shape, type);
  steady_box box = box_for(z);
  box.fails_above = fails_above;
  zo::estimate_options options{.seed = 3, .step = 6};
  const auto host = zo::boundary(zo::seq, box, z, how, options);
  const torch::Tensor there = z.to(torch::kCUDA);
  expect_same(zo::boundary(on_current_stream(), box, there, how, options), host);
  const own_stream own;
  expect_same(zo::boundary(zo::cuda::on(own.get()), box, there, how, options), host);
  options.chunk_bytes = 100;
  expect_same(zo::boundary(on_current_stream(), box, there, how, options), host);
}

template <class Call>
std::string complaint(Call call) {
  try {
    call();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "no complaint";
}

// Needs no GPU: nothing is asked of one before the arguments are in order.
TEST(TorchCudaRefusals, TensorsOfTheCpuAndOfOtherTypes) {
  const zo::cuda::policy on(nullptr, 0, {});
  const auto ask = [&](const torch::Tensor& z) {
    return complaint([&] { zo::boundary(on, steady_box{}, z, zo::cge()); });
  };
  EXPECT_NE(ask(torch::zeros({2, 3})).find("z.to(torch::kCUDA), or give zo::par"),
            std::string::npos);
  EXPECT_NE(ask(torch::zeros({2, 3}, torch::kInt64)).find("float32 or float64"), std::string::npos);
  EXPECT_NE(ask(torch::tensor(1.0)).find("tensor of rows"), std::string::npos);
  EXPECT_NE(ask({}).find("tensor of rows"), std::string::npos);
}

class TorchCuda : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!torch::cuda::is_available()) GTEST_SKIP() << "there is no CUDA device here";
  }
};

TEST_F(TorchCuda, BitsOfTheCpu) {
  for (const auto type : {torch::kFloat32, torch::kFloat64}) {
    expect_cpu_bits(zo::cge({.smoothing = 0.01}), {5, 2, 3}, type);
    expect_cpu_bits(zo::cge({.coordinates = zo::random_coordinates{4}}, zo::central{}), {33, 7},
                    type);
    expect_cpu_bits(zo::rge({.directions = 5}, zo::sphere{}), {5, 2, 3}, type);
    expect_cpu_bits(zo::rge({.directions = 3}, zo::gaussian{}, zo::central{}), {1, 70}, type);
    expect_cpu_bits(zo::rge({.directions = 3}, zo::rademacher{}), {4}, type);
  }
}

TEST_F(TorchCuda, FailedRowsAreDroppedAlone) {
  expect_cpu_bits(zo::rge({.directions = 4, .failures = zo::on_failure::drop}), {11, 7},
                  torch::kFloat32, 0.3);
  zo::cge_options drop;
  drop.failures = zo::on_failure::drop;
  expect_cpu_bits(zo::cge(drop, zo::central{}), {11, 7}, torch::kFloat64, 0.3);
}

TEST_F(TorchCuda, RowsThatDoNotLieInOrder) {
  const torch::Tensor z = latents({3, 6}, torch::kFloat32).t();
  const steady_box box = box_for(z);
  expect_same(zo::boundary(on_current_stream(), box, z.to(torch::kCUDA), zo::cge()),
              zo::boundary(zo::seq, box, z, zo::cge()));
}

TEST_F(TorchCuda, TheBlackBoxWorksOnThePolicysStreamWithoutGradients) {
  const own_stream own;
  const torch::Tensor z = torch::ones({2, 3}, torch::kCUDA).requires_grad_();
  bool right = true;
  const auto box = [&](const torch::Tensor& candidates, const torch::Tensor& rows) {
    right = right && c10::cuda::getCurrentCUDAStream().stream() == own.get() &&
            candidates.device() == z.device() && rows.device() == z.device() &&
            !candidates.requires_grad() && !torch::GradMode::is_enabled();
    return candidates.square().sum(1);
  };
  const auto before = c10::cuda::getCurrentCUDAStream();
  const auto found = zo::boundary(zo::cuda::on(own.get()), box, z, zo::cge());
  EXPECT_TRUE(right);
  EXPECT_FALSE(found.gradients.requires_grad());
  EXPECT_EQ(c10::cuda::getCurrentCUDAStream(), before);
  const auto broken = [](const torch::Tensor&, const torch::Tensor&) -> torch::Tensor {
    throw std::runtime_error("no answer");
  };
  EXPECT_THROW(zo::boundary(zo::cuda::on(own.get()), broken, z, zo::cge()), std::runtime_error);
  EXPECT_EQ(c10::cuda::getCurrentCUDAStream(), before);
}

// The products keep torch's stream busy while the other one could already read z.
TEST_F(TorchCuda, ZIsWaitedFor) {
  const own_stream own;
  torch::Tensor slow = torch::eye(4096, torch::kCUDA);
  torch::Tensor z = torch::zeros({2, 3}, torch::kCUDA);
  const auto box = [](const torch::Tensor& candidates, const torch::Tensor&) {
    return candidates.sum(1);
  };
  zo::boundary(zo::cuda::on(own.get()), box, z, zo::cge());  // what is loaded late is loaded now
  for (int i = 0; i < 50; ++i) slow = slow.mm(slow);
  z.fill_(slow[0][0]);
  const auto found = zo::boundary(zo::cuda::on(own.get()), box, z, zo::cge());
  EXPECT_TRUE(torch::equal(found.losses.cpu(), torch::full({2}, 3.0, torch::kFloat64)));
}

TEST_F(TorchCuda, AWorkspaceIsKeptAndAnswersMayLieElsewhere) {
  const torch::Tensor z = latents({5, 6}, torch::kFloat32);
  const steady_box box = box_for(z);
  const auto host = zo::boundary(zo::seq, box, z, zo::cge());
  const auto elsewhere = [&](const torch::Tensor& candidates, const torch::Tensor& rows) {
    return box(candidates.cpu(), rows.cpu());
  };
  const auto on = on_current_stream();
  zo::cuda::workspace memory(on);
  const torch::Tensor there = z.to(torch::kCUDA);
  expect_same(zo::boundary(on, box, there, zo::cge(), {}, memory), host);
  const zo::index_t bytes = memory.bytes();
  expect_same(zo::boundary(on, elsewhere, there, zo::cge(), {}, memory), host);
  EXPECT_EQ(memory.bytes(), bytes);
}

TEST_F(TorchCuda, WrongNumberOfLossesAndNamelessStreamsAreRefused) {
  const auto short_box = [](const torch::Tensor&, const torch::Tensor&) {
    return torch::zeros({1});
  };
  const torch::Tensor z = torch::zeros({2, 3}, torch::kCUDA);
  EXPECT_EQ(complaint([&] { zo::boundary(on_current_stream(), short_box, z, zo::cge()); }),
            "zo::boundary: the black box must return 2 losses, got 1");
  const auto named =
      complaint([&] { zo::boundary(zo::cuda::on(cudaStreamPerThread), short_box, z, zo::cge()); });
  EXPECT_NE(named.find("getCurrentCUDAStream"), std::string::npos) << named;
}

// The program's own step, with networks and images on the GPU.
TEST_F(TorchCuda, ADefenseIsTrained) {
  using namespace defense;
  const test::scratch_folder out;
  settings s = test::small_settings(out.path());
  s.device = "cuda";
  problem p = test::small_problem(s);
  for (const network* net : {&p.classifier, &p.encoder, &p.decoder}) {
    net->module->to(torch::kCUDA);
  }
  for (image_tensors* images : {&p.train, &p.test}) {
    images->pixels = images->pixels.to(torch::kCUDA);
    images->labels = images->labels.to(torch::kCUDA);
  }
  for (const std::string name : {"zo-ds", "zo-ae-ds-rge", "zo-ae-ds-cge"}) {
    const method m = make_method(name, s, 784);
    defended front(p, m, s);
    black_box classifier(p.classifier.forward);
    const stage_report report = train_defense(front, p, m, classifier, s, {});
    EXPECT_EQ(report.queries, s.steps * s.batch * (1 + m.step_queries)) << name;
    EXPECT_TRUE(std::isfinite(report.loss)) << name;
  }
}

}  // namespace
