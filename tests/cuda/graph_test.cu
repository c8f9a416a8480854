// Streams and graphs: nothing waits, steps can be captured and replayed, streams do not meet.
#include "device.hpp"

namespace {

using namespace testing_zo;

class gpu_graph : public gpu {
 protected:
  // Captures what `work` enqueues on the test's stream.
  template <class Work>
  cudaGraphExec_t captured(const Work& work) {
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t ready = nullptr;
    check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "begin capture");
    work();
    check(cudaStreamEndCapture(stream, &graph), "end capture");
    check(cudaGraphInstantiate(&ready, graph, 0), "instantiate");
    check(cudaGraphDestroy(graph), "destroy graph");
    return ready;
  }
};

// Each replay is the next step of the same run.
template <class T, class F, class How>
void expect_replays_are_steps(cudaStream_t stream, const How& how, F f, cudaGraphExec_t& ready,
                              const auto& capture) {
  constexpr zo::index_t dimension = 3000;
  constexpr int steps = 4;
  const zo::estimate_options first{.seed = 11, .step = 20};

  const auto eager = zo::cuda::on(stream);
  zo::cuda::array<T> expected(eager, ramp<T>(dimension)), gradient(eager, dimension);
  zo::cuda::updater<zo::sgd, T> sgd(eager, zo::sgd({.rate = 1e-3}), dimension);
  std::vector<double> values;
  for (int s = 0; s < steps; ++s) {
    zo::estimate_options now = first;
    now.step += static_cast<std::uint64_t>(s);
    now.sample = 0;
    values.push_back(zo::estimate(eager, f, expected, gradient, how, now).get().value);
    sgd.step(eager, expected, gradient);
  }

  zo::cuda::array<std::uint64_t> counter(eager, {0});
  const auto replayed = zo::cuda::on(stream, {.step_counter = counter.data()});
  zo::cuda::array<T> x(eager, ramp<T>(dimension));
  zo::cuda::workspace memory(replayed);
  zo::estimate_options now = first;
  now.sample = 0;
  zo::estimate(replayed, f, x, gradient, how, now, memory);  // makes the memory ready
  zo::cuda::updater<zo::sgd, T> again(eager, zo::sgd({.rate = 1e-3}), dimension);
  ready = capture([&] {
    zo::estimate(replayed, f, x, gradient, how, now, memory);
    again.step(replayed, x, gradient);
    zo::cuda::advance(replayed, counter.data());
  });
  for (int s = 0; s < steps; ++s) {
    check(cudaGraphLaunch(ready, stream), "launch");
    zo::cuda::detail::report found{};
    zo::cuda::detail::copy_to_host(
        replayed, memory.take<zo::cuda::detail::report>(zo::cuda::detail::room::report, 1),
        sizeof found, &found);
    EXPECT_EQ(found.value, values[static_cast<std::size_t>(s)]) << s;
    EXPECT_EQ(found.why, 0U);
  }
  EXPECT_TRUE(same_bits(x.to_host(), expected.to_host()));
  EXPECT_EQ(counter.to_host()[0], 4U);
  check(cudaGraphExecDestroy(ready), "destroy");
}

TEST_F(gpu_graph, replays_of_a_captured_step_are_the_steps_of_a_run) {
  cudaGraphExec_t ready = nullptr;
  const auto capture = [this](const auto& work) { return captured(work); };
  expect_replays_are_steps<float>(stream, zo::rge({.directions = 3}, zo::sphere{}, zo::central{}),
                                  device_batch<float>{}, ready, capture);
  expect_replays_are_steps<float>(stream, zo::rge({.directions = 3}, zo::rademacher{}),
                                  lazy_chain{}, ready, capture);
  zo::cge_options some;
  some.coordinates = zo::coordinate_list{{2, 1, 77, 2999}};
  expect_replays_are_steps<float>(stream, zo::cge(some, zo::central{}), device_batch<float>{},
                                  ready, capture);
  expect_replays_are_steps<float>(stream, zo::cge(some), device_coordinate<float>{}, ready,
                                  capture);
  expect_replays_are_steps<float>(stream, zo::quadrature(listed(3, 3000)), device_batch<float>{},
                                  ready, capture);
}

TEST_F(gpu_graph, an_estimate_without_a_workspace_takes_its_memory_from_the_graph) {
  const std::vector<float> x = ramp<float>(70);
  const zo::rge how({.directions = 3}, zo::sphere{});
  const auto host = on_host<float>(host_scalar<float>{}, x, how);
  zo::cuda::array<float> there(on(), x), gradient(on(), 70);
  cudaGraphExec_t ready = captured([&] {
    const auto pending = zo::estimate(on(), device_batch<float>{}, there, gradient, how);
    EXPECT_EQ(pending.queries(), 4);
    EXPECT_TRUE(
        contains(complaint([&] { pending.get(); }), "give zo::estimate a zo::cuda::workspace"));
  });
  for (int k = 0; k < 2; ++k) {
    check(cudaGraphLaunch(ready, stream), "launch");
    EXPECT_TRUE(same_bits(gradient.to_host(), host.gradient));
  }
  check(cudaGraphExecDestroy(ready), "destroy");
}

TEST_F(gpu_graph, what_would_wait_says_so_while_capturing) {
  zo::cuda::array<float> x(on(), ramp<float>(70)), gradient(on(), 70);
  zo::cuda::workspace memory(on()), fresh(on());
  const zo::rge how({.directions = 3});
  const device_batch<float> f;
  zo::estimate(on(), f, x, gradient, how, {}, memory);
  cudaGraphExec_t ready = captured([&] {
    const auto pending = zo::estimate(on(), f, x, gradient, how, {}, memory);
    EXPECT_TRUE(contains(complaint([&] { pending.get(); }), "being captured"));
    EXPECT_TRUE(contains(complaint([&] { x.to_host(); }), "being captured"));
    EXPECT_TRUE(
        contains(complaint([&] { zo::minimize(on(), f, x, how, zo::sgd(), {.max_queries = 9}); }),
                 "being captured"));
    EXPECT_TRUE(contains(complaint([&] { zo::estimate(on(), f, x, gradient, how, {}, fresh); }),
                         "before the capture"));
  });
  check(cudaGraphLaunch(ready, stream), "launch");
  check(cudaGraphExecDestroy(ready), "destroy");
  zo::estimate(on(), f, x, gradient, how, {}, fresh);  // it is in no graph
}

// Memory in a graph must stay where it is.
TEST_F(gpu_graph, a_captured_workspace_does_not_grow) {
  zo::cuda::array<float> x(on(), ramp<float>(70)), gradient(on(), 70);
  zo::cuda::workspace memory(on());
  const zo::rge small({.directions = 3}), large({.directions = 300});
  const device_batch<float> f;
  zo::estimate(on(), f, x, gradient, small, {}, memory);
  cudaGraphExec_t ready = captured([&] {
    zo::estimate(on(), f, x, gradient, small, {}, memory);
    EXPECT_TRUE(contains(complaint([&] { zo::cuda::array<float>(on(), 5); }),
                         "make arrays and updaters before the capture"));
    EXPECT_TRUE(
        contains(complaint([&] { zo::cuda::updater<zo::adam, float>(on(), zo::adam(), 70); }),
                 "make arrays and updaters before the capture"));
  });
  EXPECT_TRUE(contains(complaint([&] { zo::estimate(on(), f, x, gradient, large, {}, memory); }),
                       "a graph replays with this memory"));
  zo::estimate(on(), f, x, gradient, small, {.step = 1}, memory);  // no larger: it may
  check(cudaGraphLaunch(ready, stream), "launch");
  EXPECT_TRUE(same_bits(gradient.to_host(),
                        on_host<float>(host_scalar<float>{}, ramp<float>(70), small).gradient));
  check(cudaGraphExecDestroy(ready), "destroy");
}

// Two runs on two streams, enqueued in turns, are what they are alone.
TEST_F(gpu_graph, streams_do_not_meet) {
  cudaStream_t other = nullptr;
  check(cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking), "create");
  {
    const std::vector<float> x = ramp<float>(5000);
    const zo::rge how({.directions = 4}, zo::sphere{});
    const auto here = on(), there = zo::cuda::on(other);
    zo::cuda::array<float> x_here(here, x), x_there(there, x), g_here(here, 5000),
        g_there(there, 5000);
    zo::cuda::workspace memory_here(here), memory_there(there);
    for (std::uint64_t step = 0; step < 3; ++step) {
      zo::estimate(here, lazy_chain{}, x_here, g_here, how, {.seed = 1, .step = step}, memory_here);
      zo::estimate(there, lazy_chain{}, x_there, g_there, how, {.seed = 2, .step = step},
                   memory_there);
    }
    const auto one = on_host<float>(lazy_chain{}, x, how, {.seed = 1, .step = 2});
    const auto two = on_host<float>(lazy_chain{}, x, how, {.seed = 2, .step = 2});
    EXPECT_TRUE(same_bits(g_there.to_host(), two.gradient));
    EXPECT_TRUE(same_bits(g_here.to_host(), one.gradient));
    EXPECT_TRUE(contains(
        complaint([&] { zo::estimate(here, lazy_chain{}, x_here, g_here, how, {}, memory_there); }),
        "belongs to another stream"));
  }
  check(cudaStreamSynchronize(other), "wait");
  check(cudaStreamDestroy(other), "destroy");
}

#if defined(ZO_CUDA_EMULATOR)
TEST_F(gpu_graph, estimates_and_steps_never_wait) {
  zo::cuda::array<float> x(on(), ramp<float>(300)), gradient(on(), 300);
  zo::cuda::updater<zo::adam, float> adam(on(), zo::adam(), 300);
  zo::cge_options some;
  some.coordinates = zo::random_coordinates{9};
  const auto before = cuda_emulator::statistics();
  {
    zo::cuda::workspace memory(on());
    zo::estimate(on(), device_batch<float>{}, x, gradient, zo::rge(), {}, memory);
    zo::estimate(on(), device_coordinate<float>{}, x, gradient, zo::cge(some), {}, memory);
    zo::estimate(on(), lazy_chain{}, x, gradient, zo::rge({}, zo::sphere{}));
    adam.step(on(), x, gradient);
  }
  const auto after = cuda_emulator::statistics();
  EXPECT_EQ(after.synchronizations, before.synchronizations);
  EXPECT_EQ(after.may_synchronize, before.may_synchronize);
  EXPECT_EQ(after.copies_host_to_device_bytes, before.copies_host_to_device_bytes);
}

// A run reads 24 bytes a step, and at its end whether x is finite, and its value.
TEST_F(gpu_graph, a_run_leaves_x_on_the_device) {
  zo::cuda::array<float> x(on(), ramp<float>(3000));
  const auto before = cuda_emulator::statistics();
  const auto run = zo::minimize(on(), lazy_chain{}, x, zo::rge({.directions = 2}), zo::adam(),
                                {.max_queries = 16});
  const auto after = cuda_emulator::statistics();
  EXPECT_EQ(run.steps, 5U);
  EXPECT_EQ(after.copies_device_to_host_bytes - before.copies_device_to_host_bytes, 5U * 24 + 16);
  EXPECT_EQ(after.copies_host_to_device_bytes, before.copies_host_to_device_bytes);
  EXPECT_EQ(after.synchronizations - before.synchronizations, 7U);
}
#endif

}  // namespace
