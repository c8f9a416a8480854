// Device memory: bounded, given back on every path; every refusal a sentence.
#include "device.hpp"

namespace {

using namespace testing_zo;

class gpu_memory : public gpu {};

TEST_F(gpu_memory, arrays_copy_and_check_sizes) {
  zo::cuda::array<double> numbers(on(), std::vector<double>{1, 2, 3});
  EXPECT_EQ(numbers.to_host(), (std::vector<double>{1, 2, 3}));
  EXPECT_TRUE(contains(complaint([&] {
                         numbers.copy_from(std::vector<double>{1, 2});
                       }),
                       "3 numbers cannot be copied from 2"));
  EXPECT_TRUE(
      contains(complaint([&] { zo::cuda::array<double>(on(), -1); }), "size must be in 0 … "));
  zo::cuda::array<double> moved = std::move(numbers);
  EXPECT_EQ(moved.to_host(), (std::vector<double>{1, 2, 3}));
  EXPECT_EQ(numbers.size(), 0);
  EXPECT_EQ(numbers.to_host(), std::vector<double>{});
  const zo::cuda::array<std::uint64_t> listed(on(), {0});
  EXPECT_EQ(listed.to_host(), std::vector<std::uint64_t>{0});
  EXPECT_TRUE(contains(complaint([&] { zo::cuda::array<double>(on(), zo::index_t{1} << 61); }),
                       "size must be in 0 … 1152921504606846975"));
  EXPECT_EQ(zo::cuda::array<double>(on(), 0).to_host(), std::vector<double>{});
}

TEST_F(gpu_memory, overlaps_are_refused) {
  zo::cuda::array<float> x(on(), 9);
  const zo::cuda::span<float> all = x;
  EXPECT_TRUE(contains(complaint([&] {
                         zo::cuda::perturb(on(), zo::gaussian{}, {}, all.subspan(0, 8), 1.0F,
                                           all.subspan(1, 8));
                       }),
                       "must be x itself or lie apart"));
  zo::cuda::workspace memory(on());
  zo::cuda::array<double> losses(on(), 4);
  const zo::cuda::span<double> inside(reinterpret_cast<double*>(x.data()), 2);
  zo::cuda::array<float> z(on(), 8);
  EXPECT_TRUE(contains(complaint([&] {
                         zo::boundary(on(), device_rowwise<float>{},
                                      zo::cuda::points<float>{z, 2, 4}, zo::cge(), {},
                                      all.subspan(0, 8), inside, memory);
                       }),
                       "losses must not overlap gradients"));
}

TEST_F(gpu_memory, askew_vectors_and_impossible_sizes_are_refused) {
  const zo::cuda::array<double> x(on(), 9);
  zo::cuda::array<double> g(on(), 8);
  const char* const bytes = reinterpret_cast<const char*>(x.data());
  const zo::cuda::span<const double> askew(reinterpret_cast<const double*>(bytes + 4), 8);
  auto f = [](zo::cuda::points<double>, zo::cuda::span<double>, cudaStream_t) {};
  EXPECT_TRUE(contains(complaint([&] { zo::estimate(on(), f, askew, g, zo::rge()); }),
                       "x must lie at a multiple of 8 bytes"));
  auto rows = [](zo::cuda::points<double>, zo::cuda::span<const zo::index_t>,
                 zo::cuda::span<double>, cudaStream_t) {};
  zo::cuda::workspace memory(on());
  const zo::cuda::points<double> huge{{x.data(), 0}, zo::index_t{1} << 32, zo::index_t{1} << 32};
  EXPECT_TRUE(
      contains(complaint([&] { zo::boundary(on(), rows, huge, zo::rge(), {}, g, g, memory); }),
               "more than any memory holds"));
}

TEST_F(gpu_memory, workspaces_serve_one_estimate_at_a_time) {
  const zo::cuda::array<double> x(on(), std::vector<double>{1, 2, 3});
  zo::cuda::array<double> g(on(), 3), inner(on(), 3);
  zo::cuda::workspace memory(on());
  std::string said;
  auto plain = [](zo::cuda::points<double>, zo::cuda::span<double> losses, cudaStream_t on_stream) {
    cudaMemsetAsync(losses.data(), 0, static_cast<std::size_t>(losses.size()) * 8, on_stream);
  };
  auto nested = [&](zo::cuda::points<double> at, zo::cuda::span<double> losses, cudaStream_t s) {
    said = complaint([&] { zo::estimate(on(), plain, x, inner, zo::rge(), {}, memory); });
    plain(at, losses, s);
  };
  EXPECT_TRUE(zo::estimate(on(), nested, x, g, zo::rge(), {}, memory).get().ok);
  EXPECT_TRUE(contains(said, "another estimate is using this workspace")) << said;
  EXPECT_TRUE(zo::estimate(on(), plain, x, g, zo::rge(), {}, memory).get().ok);
}

TEST_F(gpu_memory, bad_vectors_are_refused) {
  zo::cuda::array<float> x(on(), ramp<float>(8)), gradient(on(), 8), shorter(on(), 7);
  const device_batch<float> f;
  const auto call = [&](auto& from, auto& to) {
    return complaint([&] { zo::estimate(on(), f, from, to, zo::rge()); });
  };
  EXPECT_TRUE(contains(call(x, shorter), "as many coordinates as x, got 7 and 8"));
  EXPECT_TRUE(contains(call(x, x), "must not overlap"));
  zo::cuda::array<float> none(on(), 0);
  EXPECT_TRUE(contains(call(none, none), "no coordinates"));
}

TEST_F(gpu_memory, an_estimate_keeps_to_max_bytes) {
  const std::vector<float> x = ramp<float>(1000);
  const zo::rge how({.directions = 64}, zo::sphere{}, zo::central{});
  const auto host = on_host<float>(host_scalar<float>{}, x, how);
  zo::index_t calls = 0;
  for (const zo::index_t bound : {20'000, 50'000, 1'000'000}) {
    calls = 0;
    const auto bounded = on({.max_bytes = bound});
    const zo::cuda::array<float> there(on(), x);
    zo::cuda::array<float> gradient(on(), 1000);
    zo::cuda::workspace memory(bounded);
    zo::estimate(bounded, device_batch<float>{{}, &calls}, there, gradient, how, {}, memory);
    EXPECT_LE(memory.bytes(), bound);
    EXPECT_TRUE(same_bits(gradient.to_host(), host.gradient)) << bound;
    EXPECT_EQ(calls > 1, bound < 1'000'000);
  }
  calls = 0;
  const std::string text = complaint([&] {
    on_gpu<float>(on({.max_bytes = 3000}), device_batch<float>{{}, &calls}, x, how);
  });
  EXPECT_TRUE(contains(text, "bytes of device memory or more, and max_bytes is 3000")) << text;
  EXPECT_EQ(calls, 0);
}

// What is refused for its memory has asked nothing, in whatever order memory is needed.
TEST_F(gpu_memory, a_bound_is_judged_before_anything_is_asked) {
  zo::index_t calls = 0, refused = 0;
  for (zo::index_t bound = 100; bound < 30'000; bound += 700) {
    calls = 0;
    const auto bounded = on({.max_bytes = bound});
    const auto judge = [&](const auto& how) {
      const std::string text = complaint([&] {
        on_gpu<float>(bounded, device_batch<float>{{}, &calls}, ramp<float>(1000), how);
      });
      refused += text.empty() ? 0 : 1;
      EXPECT_EQ(calls == 0, !text.empty()) << bound;
      calls = 0;
    };
    judge(zo::rge({.directions = 20}));
    judge(zo::rge({.directions = 20}, zo::sphere{}));
    judge(zo::cge());
  }
  EXPECT_GT(refused, 10);
}

// What another estimate has left in the workspace makes room.
TEST_F(gpu_memory, a_bounded_workspace_serves_one_estimate_after_another) {
  const auto bounded = on({.max_bytes = 20'000});
  const zo::cuda::array<float> x(bounded, ramp<float>(1000));
  zo::cuda::array<float> gradient(bounded, 1000);
  zo::cuda::workspace memory(bounded);
  zo::cge_options some;
  some.coordinates = zo::random_coordinates{500};
  const zo::cge by_coordinates(some);
  const zo::rge by_directions({.directions = 64}, zo::sphere{});
  for (int turn = 0; turn < 2; ++turn) {
    zo::estimate(bounded, device_batch<float>{}, x, gradient, by_directions, {}, memory);
    EXPECT_TRUE(
        same_bits(gradient.to_host(),
                  on_host<float>(host_scalar<float>{}, ramp<float>(1000), by_directions).gradient));
    zo::estimate(bounded, device_batch<float>{}, x, gradient, by_coordinates, {}, memory);
    EXPECT_TRUE(same_bits(
        gradient.to_host(),
        on_host<float>(host_scalar<float>{}, ramp<float>(1000), by_coordinates).gradient));
    EXPECT_LE(memory.bytes(), 20'000);
  }
}

TEST_F(gpu_memory, lazy_estimates_and_norms_shrink_to_the_bound) {
  const std::vector<float> x = ramp<float>(100'000);
  const zo::rge plain({.directions = 300});
  const zo::rge on_sphere({.directions = 20}, zo::sphere{});
  const auto bounded = on({.max_bytes = 8000});
  expect_same(on_gpu<float>(bounded, lazy_chain{}, x, plain),
              on_host<float>(lazy_chain{}, x, plain), "lazy");
  expect_same(on_gpu<float>(bounded, lazy_chain{}, x, on_sphere),
              on_host<float>(lazy_chain{}, x, on_sphere), "sphere");
}

TEST_F(gpu_memory, a_workspace_is_used_again) {
  const std::vector<float> x = ramp<float>(1000);
  const zo::cuda::array<float> there(on(), x);
  zo::cuda::array<float> gradient(on(), 1000);
  zo::cuda::workspace memory(on());
  const zo::rge big({.directions = 64}), small({.directions = 5});
  zo::estimate(on(), device_batch<float>{}, there, gradient, big, {}, memory);
  const zo::index_t bytes = memory.bytes();
  zo::estimate(on(), device_batch<float>{}, there, gradient, small, {}, memory);
  EXPECT_EQ(memory.bytes(), bytes);
  EXPECT_TRUE(
      same_bits(gradient.to_host(), on_host<float>(host_scalar<float>{}, x, small).gradient));
}

TEST_F(gpu_memory, buffers_come_from_the_users_pool) {
  cudaMemPoolProps wanted{};
  wanted.allocType = cudaMemAllocationTypePinned;
  wanted.location.type = cudaMemLocationTypeDevice;
  cudaMemPool_t pool = nullptr;
  check(cudaMemPoolCreate(&pool, &wanted), "cudaMemPoolCreate");
  const std::vector<float> x = ramp<float>(100);
  const zo::rge how({.directions = 4});
  expect_same(on_gpu<float>(on({.pool = pool}), device_batch<float>{}, x, how),
              on_host<float>(host_scalar<float>{}, x, how), "own pool");
  check(cudaStreamSynchronize(stream), "wait");
  check(cudaMemPoolDestroy(pool), "cudaMemPoolDestroy");
}

#if defined(ZO_CUDA_EMULATOR)

// A buffer that grows is given back first: the old and the new never exist together.
TEST_F(gpu_memory, growing_takes_no_more_than_the_larger) {
  const zo::cuda::array<float> x(on(), ramp<float>(1000));
  zo::cuda::array<float> gradient(on(), 1000);
  zo::cuda::workspace memory(on());
  zo::estimate(on(), device_batch<float>{}, x, gradient, zo::rge({.directions = 60}), {}, memory);
  cuda_emulator::reset_statistics();
  zo::estimate(on(), device_batch<float>{}, x, gradient, zo::rge({.directions = 64}), {}, memory);
  const auto held = static_cast<std::size_t>(memory.bytes()) + 2 * 4000;
  EXPECT_EQ(cuda_emulator::statistics().live_bytes, held);
  EXPECT_EQ(cuda_emulator::statistics().peak_bytes, held);
}

// The first sentence an estimate complains with, and nothing lost: the fixture counts allocations.
std::string sentence_of(const zo::cuda::policy& on) {
  try {
    on_gpu<float>(on, device_batch<float>{}, ramp<float>(100),
                  zo::rge({.directions = 4}, zo::sphere{}));
  } catch (const std::exception& problem) {
    return problem.what();
  }
  return {};
}

TEST_F(gpu_memory, every_allocation_may_fail) {
  std::size_t failures = 0;
  for (std::size_t n = 1; n < 30; ++n) {
    cuda_emulator::fail_allocation_after(n);
    const std::string text = sentence_of(on());
    if (text.empty()) break;
    ++failures;
    EXPECT_TRUE(contains(text, "zo::cuda: out of device memory: no ")) << text;
    EXPECT_TRUE(contains(text, "chunk_bytes")) << text;
    EXPECT_EQ(cudaGetLastError(), cudaSuccess);  // the next estimate starts clean
  }
  EXPECT_GE(failures, 8U);
  EXPECT_LT(failures, 29U);
}

TEST_F(gpu_memory, every_call_is_checked) {
  for (const char* name :
       {"cudaMallocAsync", "cudaMemcpyAsync", "cudaMemsetAsync", "cudaLaunchKernelEx",
        "cudaStreamIsCapturing", "cudaPointerGetAttributes"}) {
    bool seen = false;
    for (std::size_t n = 1; n < 40; ++n) {
      cuda_emulator::fail_call(name, cudaErrorLaunchFailure, n);
      const std::size_t failures = cuda_emulator::statistics().failures;
      const std::string text = sentence_of(on());
      cudaGetLastError();
      if (cuda_emulator::statistics().failures == failures) break;
      seen = true;
      EXPECT_TRUE(contains(text, "unspecified launch failure")) << name << n << ": " << text;
      EXPECT_TRUE(contains(text, "failed at ")) << name << n << ": " << text;
    }
    EXPECT_TRUE(seen) << name;
  }
}

// After a fault of a kernel every call fails, and so must everything of zo.
TEST_F(gpu_memory, a_dead_device_is_an_error) {
  const zo::cuda::array<float> x(on(), ramp<float>(8));
  zo::cuda::array<float> gradient(on(), 8);
  const auto pending = zo::estimate(on(), device_batch<float>{}, x, gradient, zo::rge());
  const auto policy = on();
  cuda_emulator::poison(cudaErrorIllegalAddress);
  EXPECT_THROW(pending.get(), zo::cuda::error);
  EXPECT_THROW(zo::cuda::on(stream), zo::cuda::error);
  EXPECT_THROW(zo::estimate(policy, device_batch<float>{}, x, gradient, zo::rge()),
               zo::cuda::error);
  cuda_emulator::reset();
  stream = nullptr;
}

TEST_F(gpu_memory, no_device_is_a_sentence) {
  cuda_emulator::set_devices(0);
  try {
    zo::cuda::on(stream);
    FAIL() << "there was a device";
  } catch (const zo::cuda::error& problem) {
    EXPECT_TRUE(contains(problem.what(), "no usable CUDA device here")) << problem.what();
    EXPECT_TRUE(contains(problem.what(), "use zo::par")) << problem.what();
  }
  cuda_emulator::set_devices(1);
}

TEST_F(gpu_memory, too_old_a_device_is_a_sentence) {
  cuda_emulator::set_capability(6, 1);
  cuda_emulator::set_no_kernel_image(true);
  try {
    zo::cuda::on(stream);
    FAIL() << "the device was new enough";
  } catch (const zo::cuda::error& problem) {
    EXPECT_TRUE(contains(problem.what(), "compute capability 6.1")) << problem.what();
    EXPECT_TRUE(contains(problem.what(), "-DCMAKE_CUDA_ARCHITECTURES=61")) << problem.what();
  }
  cuda_emulator::set_no_kernel_image(false);
}

TEST_F(gpu_memory, host_memory_is_refused) {
  std::vector<float> x(8), gradient(8);
  const zo::cuda::span<const float> wrong(x.data(), 8);
  zo::cuda::array<float> to(on(), 8);
  EXPECT_TRUE(
      contains(complaint([&] { zo::estimate(on(), device_batch<float>{}, wrong, to, zo::rge()); }),
               "x must be device memory, and this is host memory"));
}

#endif

}  // namespace
