// The emulator itself: what it must let pass, and what it must show.
#include <cuda_runtime.h>
#include <gtest/gtest.h>
#include <cuda_emulator.hpp>

#include <chrono>
#include <cmath>
#include <cstring>
#include <numeric>
#include <thread>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#define ZO_TEST_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ZO_TEST_ASAN 1
#endif
#endif

namespace {

using cuda_emulator::statistics;

class cuda_emulator_test : public testing::Test {
 protected:
  cuda_emulator_test() { cuda_emulator::reset(); }
  ~cuda_emulator_test() override { cuda_emulator::reset(); }
};

void ok(cudaError_t result, int line = __builtin_LINE()) {
  EXPECT_EQ(result, cudaSuccess) << cudaGetErrorString(result) << " in line " << line;
}

template <class... P, class... A>
cudaError_t launch(cudaStream_t on, dim3 grid, dim3 block, void (*kernel)(P...), A&&... arguments) {
  const cudaLaunchConfig_t shape{.gridDim = grid, .blockDim = block, .stream = on};
  return cudaLaunchKernelEx(&shape, kernel, std::forward<A>(arguments)...);
}

template <class T>
T* device_array(const std::vector<T>& values) {
  T* data = nullptr;
  EXPECT_EQ(cudaMalloc(&data, values.size() * sizeof(T)), cudaSuccess);
  EXPECT_EQ(cudaMemcpy(data, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice),
            cudaSuccess);
  return data;
}

template <class T>
std::vector<T> back(const T* data, std::size_t count) {
  std::vector<T> values(count);
  EXPECT_EQ(cudaMemcpy(values.data(), data, count * sizeof(T), cudaMemcpyDeviceToHost),
            cudaSuccess);
  return values;
}

cudaStream_t stream(unsigned flags = cudaStreamNonBlocking) {
  cudaStream_t made = nullptr;
  EXPECT_EQ(cudaStreamCreateWithFlags(&made, flags), cudaSuccess);
  return made;
}

cudaEvent_t event(unsigned flags = cudaEventDefault) {
  cudaEvent_t made = nullptr;
  EXPECT_EQ(cudaEventCreateWithFlags(&made, flags), cudaSuccess);
  return made;
}

__global__ void add(int* values, int by, int count) {
  const auto i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < count) values[i] += by;
}

__global__ void set_one(int* value, int to) { *value = to; }

// Kernels

__global__ void __launch_bounds__(256) sum_blocks(const double* values, double* sums) {
  __shared__ double part[256];
  const unsigned t = threadIdx.x;
  part[t] = values[blockIdx.x * blockDim.x + t];
  for (unsigned half = blockDim.x / 2; half >= 1; half /= 2) {
    __syncthreads();
    if (t < half) part[t] += part[t + half];
  }
  if (t == 0) sums[blockIdx.x] = part[0];
  __syncthreads();
}

TEST_F(cuda_emulator_test, a_barrier_makes_a_sum_independent_of_the_order) {
  std::vector<double> values(1024);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = 1.0 / (1.0 + static_cast<double>(i));
  std::vector<double> first;
  for (const std::uint64_t seed : {0U, 1U, 2U, 3U}) {
    cuda_emulator::shuffle(seed);
    double* in = device_array(values);
    double* sums = device_array(std::vector<double>(4));
    ok(launch(nullptr, 4, 256, sum_blocks, in, sums));
    const std::vector<double> found = back(sums, 4);
    if (seed == 0) first = found;
    EXPECT_EQ(found, first) << seed;
    EXPECT_NEAR(std::accumulate(found.begin(), found.end(), 0.0), 7.509175672, 1e-9);
  }
}

// Wrong: nothing keeps a thread from reading before its neighbour has written.
__global__ void racy_shift(const int* in, int* out) {
  __shared__ int part[64];
  part[threadIdx.x] = in[threadIdx.x];
  out[threadIdx.x] = part[(threadIdx.x + 1) % 64];
}

TEST_F(cuda_emulator_test, a_race_gives_different_results_under_two_seeds) {
  std::vector<int> values(64);
  std::iota(values.begin(), values.end(), 1000);
  std::vector<std::vector<int>> found;
  for (const std::uint64_t seed : {0U, 1U, 2U}) {
    cuda_emulator::shuffle(seed);
    int* in = device_array(values);
    int* out = device_array(std::vector<int>(64));
    int* other = device_array(std::vector<int>(64, -1));
    ok(launch(nullptr, 1, 64, racy_shift, other, out));  // what the array holds before
    ok(launch(nullptr, 1, 64, racy_shift, in, out));
    found.push_back(back(out, 64));
  }
  EXPECT_NE(found[0], found[1]);
  EXPECT_NE(found[1], found[2]);
}

__global__ void note_order(int* order, int* next) {
  order[atomicAdd(next, 1)] = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
}

TEST_F(cuda_emulator_test, every_thread_runs_once_in_an_order_of_the_seed) {
  constexpr int count = 6 * 32;
  std::vector<std::vector<int>> orders;
  for (const std::uint64_t seed : {0U, 5U, 5U, 6U}) {
    cuda_emulator::shuffle(seed);
    int* order = device_array(std::vector<int>(count, -1));
    int* next = device_array(std::vector<int>{0});
    ok(launch(nullptr, 6, 32, note_order, order, next));
    orders.push_back(back(order, count));
  }
  std::vector<int> natural(count);
  std::iota(natural.begin(), natural.end(), 0);
  EXPECT_EQ(orders[0], natural);
  EXPECT_NE(orders[1], natural);
  EXPECT_EQ(orders[1], orders[2]);
  EXPECT_NE(orders[1], orders[3]);
  std::sort(orders[1].begin(), orders[1].end());
  EXPECT_EQ(orders[1], natural);
}

__global__ void note_indices(unsigned* seen) {
  const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  atomicAdd(&seen[block * blockDim.x * blockDim.y * blockDim.z + thread], 1U);
}

TEST_F(cuda_emulator_test, grids_and_blocks_have_three_dimensions) {
  unsigned* seen = device_array(std::vector<unsigned>(2 * 3 * 4 * 5 * 3 * 2));
  ok(launch(nullptr, dim3(2, 3, 4), dim3(5, 3, 2), note_indices, seen));
  EXPECT_EQ(back(seen, 720), std::vector<unsigned>(720, 1));
}

__global__ void count_votes(int* votes) {
  const int odd = __syncthreads_count(threadIdx.x % 2 == 1);
  const int any = __syncthreads_or(threadIdx.x == 99);
  const int nobody = __syncthreads_or(0);
  votes[threadIdx.x] = 1000 * odd + 10 * any + nobody;
}

TEST_F(cuda_emulator_test, barriers_count_predicates) {
  int* votes = device_array(std::vector<int>(100));
  ok(launch(nullptr, 1, 100, count_votes, votes));
  EXPECT_EQ(back(votes, 100), std::vector<int>(100, 50010));
}

__global__ void sum_warps(const double* in, double* down, double* butterfly, int* neighbour) {
  double a = in[threadIdx.x], b = a;
  for (unsigned by = 16; by >= 1; by /= 2) a += __shfl_down_sync(0xffffffffU, a, by);
  for (int with = 16; with >= 1; with /= 2) b += __shfl_xor_sync(0xffffffffU, b, with);
  __syncwarp();
  down[threadIdx.x] = a;
  butterfly[threadIdx.x] = b;
  neighbour[threadIdx.x] = __shfl_down_sync(0xffffffffU, static_cast<int>(threadIdx.x), 1, 8);
}

TEST_F(cuda_emulator_test, warps_exchange_values) {
  std::vector<double> values(64);
  std::iota(values.begin(), values.end(), 1);
  double* in = device_array(values);
  double* down = device_array(std::vector<double>(64));
  double* butterfly = device_array(std::vector<double>(64));
  int* neighbour = device_array(std::vector<int>(64));
  ok(launch(nullptr, 1, 64, sum_warps, in, down, butterfly, neighbour));
  EXPECT_EQ(back(down, 64)[0], 528);
  EXPECT_EQ(back(down, 64)[32], 1552);
  EXPECT_EQ(back(butterfly, 64)[31], 528);
  EXPECT_EQ(back(butterfly, 64)[40], 1552);
  EXPECT_EQ(back(neighbour, 64)[6], 7);
  EXPECT_EQ(back(neighbour, 64)[7], 7);
  EXPECT_EQ(back(neighbour, 64)[8], 9);
}

__global__ void read_an_absent_lane(float* out) {
  out[threadIdx.x] = __shfl_down_sync(0xffffffffU, 1.0F, 4);
}

TEST_F(cuda_emulator_test, a_lane_that_is_not_there_gives_a_nan) {
  float* out = device_array(std::vector<float>(8));
  ok(launch(nullptr, 1, 8, read_an_absent_lane, out));
  EXPECT_EQ(back(out, 8)[3], 1);
  EXPECT_TRUE(std::isnan(back(out, 8)[4]));
}

__global__ void add_in_all_types(int* a, unsigned* b, unsigned long long* c, float* d, double* e) {
  atomicAdd(a, -1);
  atomicAdd(b, 1);
  atomicAdd(c, 1);
  atomicAdd(d, 0.5F);
  atomicAdd(e, 0.25);
  __threadfence();
}

TEST_F(cuda_emulator_test, atomics_add) {
  int* a = device_array(std::vector<int>{0});
  unsigned* b = device_array(std::vector<unsigned>{~0U});
  auto* c = device_array(std::vector<unsigned long long>{~0ULL});
  float* d = device_array(std::vector<float>{0});
  double* e = device_array(std::vector<double>{0});
  ok(launch(nullptr, 2, 50, add_in_all_types, a, b, c, d, e));
  EXPECT_EQ(back(a, 1)[0], -100);
  EXPECT_EQ(back(b, 1)[0], 99U);
  EXPECT_EQ(back(c, 1)[0], 99U);
  EXPECT_EQ(back(d, 1)[0], 50);
  EXPECT_EQ(back(e, 1)[0], 25);
}

__global__ void some_skip_the_barrier(int) {
  if (threadIdx.x < 60) __syncthreads();
}

__global__ void two_barriers(int) {
  if (threadIdx.x < 60) {
    __syncthreads();
  } else {
    __syncthreads();
  }
}

__global__ void a_lane_stays_away(int) {
  if (threadIdx.x != 7) __syncwarp();
  __syncthreads();
}

__global__ void not_in_its_own_mask(int) { __syncwarp(1); }

TEST_F(cuda_emulator_test, barriers_that_not_all_threads_reach_abort) {
  const auto run = [](void (*kernel)(int)) {
    launch(nullptr, 3, 64, kernel, 0);
    cudaDeviceSynchronize();
  };
  EXPECT_DEATH(run(some_skip_the_barrier),
               "4 of 64 threads of block .* ended without reaching __syncthreads at "
               ".*emulator_test.cpp:[0-9]+, where 60 wait");
  EXPECT_DEATH(run(two_barriers), "meet in different places: __syncthreads at ");
  EXPECT_DEATH(run(a_lane_stays_away), "__syncwarp at .* waits for lanes of its mask");
  EXPECT_DEATH(run(not_in_its_own_mask), "its mask leaves out");
  EXPECT_DEATH(__syncthreads(), "outside of a kernel");
}

__global__ void half_ends_early(int* values) {
  if (threadIdx.x % 2 == 1) return;
  __syncwarp();
  values[threadIdx.x] = 1;
}

TEST_F(cuda_emulator_test, a_warp_does_not_wait_for_lanes_that_ended) {
  for (const std::uint64_t seed : {0U, 1U, 2U}) {
    cuda_emulator::shuffle(seed);
    int* values = device_array(std::vector<int>(32));
    ok(launch(nullptr, 1, 32, half_ends_early, values));
    EXPECT_EQ(back(values, 32)[30], 1);
  }
}

__global__ void write_beyond(int* values, int at) { values[at] = 1; }

TEST_F(cuda_emulator_test, a_write_beyond_an_allocation_aborts) {
  const auto run = [](int at) {
    launch(nullptr, 1, 1, write_beyond, device_array(std::vector<int>(5)), at);
    cudaDeviceSynchronize();
  };
  run(4);
#ifdef ZO_TEST_ASAN
  EXPECT_DEATH(run(5), "heap-buffer-overflow");
  EXPECT_DEATH(run(-1), "heap-buffer-overflow");
#else
  EXPECT_DEATH(run(5), "wrote outside of an allocation of 20 bytes");
  EXPECT_DEATH(run(-1), "wrote outside of an allocation of 20 bytes");
#endif
}

#ifdef ZO_TEST_ASAN
__global__ void overrun_a_local_array(int* out, unsigned at) {
  volatile int own[4] = {1, 2, 3, 4};
  __syncthreads();
  *out = own[at + threadIdx.x];
}

TEST_F(cuda_emulator_test, sanitizers_see_kernels_and_the_host) {
  int* values = device_array(std::vector<int>(5));
  EXPECT_DEATH(EXPECT_EQ(*static_cast<volatile int*>(values), 0), "use-after-poison");
  ok(launch(nullptr, 1, 2, overrun_a_local_array, values, 2U));
  ok(cudaDeviceSynchronize());
  const auto overrun = [&] {
    launch(nullptr, 1, 2, overrun_a_local_array, values, 3U);
    cudaDeviceSynchronize();
  };
  EXPECT_DEATH(overrun(), "stack-buffer-overflow|out of bounds");
  const cudaStream_t other = stream();
  ok(launch(other, 1, 1, set_one, values, 1));
  ok(cudaFreeAsync(values, nullptr));  // nothing orders it after the kernel
  ok(cudaStreamSynchronize(nullptr));
  EXPECT_DEATH(cudaStreamSynchronize(other), "heap-use-after-free");
}
#endif

__global__ void touch(std::uint64_t* total) { *total += threadIdx.x; }

TEST_F(cuda_emulator_test, a_launch_of_a_million_threads) {
  auto* total = device_array(std::vector<std::uint64_t>{0});
  ok(launch(nullptr, 4000, 250, touch, total));
  EXPECT_EQ(back(total, 1)[0], 4000U * (249 * 250 / 2));
}

__global__ void meet_often(int* turns) {
  for (int i = 0; i < 20; ++i) __syncthreads();
  atomicAdd(turns, 1);
}

TEST_F(cuda_emulator_test, stacks_are_used_again_by_other_host_threads) {
  int* turns = device_array(std::vector<int>{0});
  for (int i = 0; i < 3; ++i) {
    std::thread([&] {
      EXPECT_EQ(launch(nullptr, 5, 1024, meet_often, turns), cudaSuccess);
      EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
    }).join();
  }
  EXPECT_EQ(back(turns, 1)[0], 3 * 5 * 1024);
}

// Launches

TEST_F(cuda_emulator_test, launches_are_checked) {
  int* value = device_array(std::vector<int>{0});
  const auto result = [&](dim3 grid, dim3 block) {
    return launch(nullptr, grid, block, set_one, value, 1);
  };
  EXPECT_EQ(result(0, 1), cudaErrorInvalidConfiguration);
  EXPECT_EQ(result(1, 0), cudaErrorInvalidConfiguration);
  EXPECT_EQ(result(1, 1025), cudaErrorInvalidConfiguration);
  EXPECT_EQ(result(1, dim3(64, 32)), cudaErrorInvalidConfiguration);
  EXPECT_EQ(result(1, dim3(1, 1, 65)), cudaErrorInvalidConfiguration);
  EXPECT_EQ(result(0x80000000U, 1), cudaErrorInvalidConfiguration);
  EXPECT_EQ(result(dim3(1, 65536), 1), cudaErrorInvalidConfiguration);
  EXPECT_EQ(result(dim3(1, 1, 65536), 1), cudaErrorInvalidConfiguration);
  EXPECT_EQ(result(0x7fffffff, 1), cudaSuccess);  // and never waited for
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidConfiguration);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  EXPECT_EQ(statistics().kernels, 1U);
  EXPECT_EQ(statistics().suspicious, 0U);
  int here = 0;
  EXPECT_EQ(launch(nullptr, 1, 1, set_one, &here, 1), cudaSuccess);
  EXPECT_EQ(statistics().suspicious, 1U);
  EXPECT_NE(cuda_emulator::suspicions().find("not the device's"), std::string::npos);
}

TEST_F(cuda_emulator_test, arguments_are_copied_at_the_call) {
  int* value = device_array(std::vector<int>{0});
  short argument = 7;
  ok(launch(nullptr, 1, 1, set_one, value, argument));
  argument = 8;
  EXPECT_EQ(back(value, 1)[0], 7);
}

TEST_F(cuda_emulator_test, a_device_without_code_for_it) {
  cudaFuncAttributes attributes{};
  ok(cudaFuncGetAttributes(&attributes, add));
  EXPECT_EQ(attributes.binaryVersion, 90);
  cuda_emulator::set_capability(8, 6);
  ok(cudaFuncGetAttributes(&attributes, add));
  EXPECT_EQ(attributes.binaryVersion, 86);
  cuda_emulator::set_no_kernel_image(true);
  EXPECT_EQ(cudaFuncGetAttributes(&attributes, add), cudaErrorNoKernelImageForDevice);
  EXPECT_EQ(launch(nullptr, 1, 1, set_one, nullptr, 1), cudaErrorNoKernelImageForDevice);
}

// Order

TEST_F(cuda_emulator_test, work_waits_until_the_host_waits) {
  const cudaStream_t a = stream(), b = stream();
  int *in = nullptr, *pinned = nullptr;
  ok(cudaMallocHost(&pinned, 2 * sizeof(int)));
  pinned[0] = 1, pinned[1] = -1;
  ok(cudaMallocAsync(&in, sizeof(int), a));
  ok(cudaMemcpyAsync(in, &pinned[0], sizeof(int), cudaMemcpyHostToDevice, a));
  ok(launch(a, 1, 1, add, in, 10, 1));
  ok(cudaMemcpyAsync(&pinned[1], in, sizeof(int), cudaMemcpyDeviceToHost, a));
  pinned[0] = 2;  // too early: the copy has not been made
  ok(cudaStreamSynchronize(b));
  EXPECT_EQ(pinned[1], -1);
  EXPECT_EQ(statistics().may_synchronize, 1U);  // cudaMallocHost
  ok(cudaStreamSynchronize(a));
  EXPECT_EQ(pinned[1], 12);
  EXPECT_EQ(statistics().synchronizations, 2U);
  EXPECT_EQ(statistics().copies_host_to_device_bytes, sizeof(int));
  EXPECT_EQ(statistics().copies_device_to_host_bytes, sizeof(int));
  EXPECT_EQ(cuda_emulator::launches(a), 1U);
  EXPECT_EQ(cuda_emulator::launches(b), 0U);
}

TEST_F(cuda_emulator_test, pageable_memory_is_copied_at_the_call) {
  int* there = device_array(std::vector<int>{0});
  cuda_emulator::reset_statistics();
  int here = 5;
  ok(cudaMemcpyAsync(there, &here, sizeof here, cudaMemcpyHostToDevice, nullptr));
  here = 6;
  EXPECT_EQ(statistics().may_synchronize, 1U);
  EXPECT_EQ(statistics().synchronizations, 0U);
  EXPECT_EQ(back(there, 1)[0], 5);
}

TEST_F(cuda_emulator_test, the_legacy_stream_waits_for_blocking_streams_only) {
  const cudaStream_t blocking = stream(cudaStreamDefault), own = stream();
  int* value = device_array(std::vector<int>{0, 0, 0});
  ok(launch(blocking, 1, 1, set_one, value, 1));
  ok(launch(own, 1, 1, set_one, value + 1, 1));
  EXPECT_EQ(back(value, 2), (std::vector<int>{1, 0}));
  ok(launch(cudaStreamLegacy, 1, 1, set_one, value + 2, 1));
  ok(launch(blocking, 1, 1, add, value + 2, 1, 1));
  ok(cudaStreamSynchronize(blocking));
  ok(cudaDeviceSynchronize());
  EXPECT_EQ(back(value, 3), (std::vector<int>{1, 1, 2}));
}

TEST_F(cuda_emulator_test, an_event_orders_streams_and_its_absence_shows) {
  for (const bool ordered : {false, true}) {
    const cudaStream_t a = stream(), b = stream();
    int* value = device_array(std::vector<int>{0});
    const cudaEvent_t done = event();
    ok(cudaStreamWaitEvent(b, done));  // never recorded: nothing to wait for
    ok(launch(a, 1, 1, set_one, value, 5));
    ok(cudaEventRecord(done, a));
    if (ordered) ok(cudaStreamWaitEvent(b, done));
    ok(launch(b, 1, 1, add, value, 1, 1));
    ok(cudaStreamSynchronize(b));
    ok(cudaStreamSynchronize(a));
    EXPECT_EQ(back(value, 1)[0], ordered ? 6 : 5);
    ok(cudaEventDestroy(done));
    ok(cudaStreamDestroy(a));
    ok(cudaStreamDestroy(b));
    EXPECT_EQ(cudaStreamSynchronize(a), cudaErrorInvalidResourceHandle);
    EXPECT_EQ(cudaEventQuery(done), cudaErrorInvalidResourceHandle);
  }
}

TEST_F(cuda_emulator_test, queries_say_not_ready_once) {
  const cudaStream_t a = stream();
  const cudaEvent_t start = event(), end = event();
  int* value = device_array(std::vector<int>{0});
  EXPECT_EQ(cudaStreamQuery(a), cudaSuccess);
  EXPECT_EQ(cudaEventQuery(start), cudaSuccess);
  float time = -1;
  EXPECT_EQ(cudaEventElapsedTime(&time, start, end), cudaErrorInvalidResourceHandle);
  ok(cudaEventRecord(start, a));
  ok(launch(a, 1, 1, set_one, value, 5));
  ok(cudaEventRecord(end, a));
  EXPECT_EQ(cudaEventElapsedTime(&time, start, end), cudaErrorNotReady);
  EXPECT_EQ(cudaEventQuery(end), cudaErrorNotReady);
  EXPECT_EQ(cudaEventQuery(end), cudaSuccess);
  EXPECT_EQ(cudaStreamQuery(a), cudaSuccess);
  ok(cudaEventElapsedTime(&time, start, end));
  EXPECT_GE(time, 0);
  EXPECT_EQ(cudaEventElapsedTime(&time, start, event(cudaEventDisableTiming)),
            cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cudaStreamQuery(nullptr), cudaSuccess);
}

TEST_F(cuda_emulator_test, host_functions_run_in_order_and_must_not_call_cuda) {
  std::vector<int> calls;
  const cudaStream_t a = stream();
  const auto function = [](void* data) {
    static_cast<std::vector<int>*>(data)->push_back(cudaDeviceSynchronize());
  };
  ok(cudaLaunchHostFunc(a, function, &calls));
  EXPECT_TRUE(calls.empty());
  ok(cudaStreamDestroy(a));  // its work is still to be done
  ok(cudaDeviceSynchronize());
  EXPECT_EQ(calls, std::vector<int>{cudaErrorNotPermitted});
  EXPECT_EQ(statistics().suspicious, 1U);
}

TEST_F(cuda_emulator_test, a_long_chain_that_never_runs_is_dropped) {
  const cudaStream_t a = stream();
  int* value = device_array(std::vector<int>{0});
  for (int i = 0; i < 200'000; ++i) ok(launch(a, 1, 1, set_one, value, i));
  cuda_emulator::reset();
  EXPECT_EQ(statistics().live_allocations, 0U);
}

// Memory

TEST_F(cuda_emulator_test, memory_is_freed_where_the_stream_gets_to_it) {
  const cudaStream_t a = stream(), b = stream();
  int* p = nullptr;
  ok(cudaMallocAsync(&p, 4 * sizeof(int), a));
  ok(launch(a, 1, 4, add, p, 1, 4));
  std::vector<int> here(4);
  ok(cudaMemcpyAsync(here.data(), p, 16, cudaMemcpyDeviceToHost, a));
  ok(cudaFreeAsync(p, a));
  EXPECT_EQ(statistics().live_allocations, 0U);
  EXPECT_EQ(statistics().peak_bytes, 16U);
  EXPECT_EQ(cudaFreeAsync(p, a), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemsetAsync(p, 0, 16, b), cudaErrorInvalidValue);
  ok(cudaStreamSynchronize(a));
  EXPECT_EQ(here, std::vector<int>(4, 0));  // 0xffffffff + 1
  EXPECT_EQ(cudaFree(p), cudaErrorInvalidValue);

  int* q = device_array(std::vector<int>(4));
  ok(cudaMemcpyAsync(here.data(), q, 16, cudaMemcpyDeviceToHost, b));
  here[0] = 7;
  ok(cudaFree(q));  // waits for the device
  EXPECT_EQ(here[0], 0);

  const auto use_too_early = [&] {
    cudaMallocAsync(&p, 16, a);
    cudaMemsetAsync(p, 0, 16, b);  // nothing orders b after a
    cudaStreamSynchronize(b);
  };
  EXPECT_DEATH(use_too_early(), "a memset ran before the allocation");
  const auto use_too_late = [&] {
    cudaMallocAsync(&p, 16, a);
    cudaStreamSynchronize(a);
    cudaMemsetAsync(p, 0, 16, b);
    cudaFreeAsync(p, a);
    cudaStreamSynchronize(a);
    cudaStreamSynchronize(b);
  };
  EXPECT_DEATH(use_too_late(), "after the free");
  const auto free_too_early = [&] {
    cudaMallocAsync(&p, 16, a);
    cudaFreeAsync(p, b);
    cudaStreamSynchronize(b);
  };
  EXPECT_DEATH(free_too_early(), "cudaFreeAsync ran before the allocation");
  const auto unpinned_too_early = [&] {
    int* pinned = nullptr;
    cudaMallocHost(&pinned, 16);
    cudaMemsetAsync(pinned, 0, 16, a);
    cudaFreeHost(pinned);
    cudaStreamSynchronize(a);
  };
  EXPECT_DEATH(unpinned_too_early(), "after the free");
}

TEST_F(cuda_emulator_test, pointers_are_checked_against_the_direction) {
  int* there = device_array(std::vector<int>(4));
  int here[4] = {};
  EXPECT_EQ(cudaMemcpy(here, here, 16, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpy(there, there, 16, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpy(there, here, 16, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpy(there, here, 16, cudaMemcpyDeviceToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpy(there, here, 20, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpy(there + 1, here, 16, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpy(nullptr, here, 16, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemset(here, 0, 16), cudaErrorInvalidValue);
  EXPECT_EQ(statistics().copies_host_to_device_bytes, 16U);
  ok(cudaMemcpy(here, there, 16, cudaMemcpyDefault));
  ok(cudaMemset(there, 1, 16));
  ok(cudaMemcpy(there + 2, there, 8, cudaMemcpyDeviceToDevice));
  EXPECT_EQ(back(there, 4), std::vector<int>(4, 0x01010101));

  cudaPointerAttributes attributes{};
  ok(cudaPointerGetAttributes(&attributes, there + 1));
  EXPECT_EQ(attributes.type, cudaMemoryTypeDevice);
  ok(cudaPointerGetAttributes(&attributes, here));
  EXPECT_EQ(attributes.type, cudaMemoryTypeUnregistered);
  int* pinned = nullptr;
  ok(cudaMallocHost(&pinned, 16));
  ok(cudaPointerGetAttributes(&attributes, pinned));
  EXPECT_EQ(attributes.type, cudaMemoryTypeHost);
  EXPECT_EQ(statistics().live_pinned_allocations, 1U);
  ok(cudaFreeHost(pinned));
  EXPECT_EQ(statistics().live_pinned_allocations, 0U);
  EXPECT_EQ(cudaFree(there + 1), cudaErrorInvalidValue);
  ok(cudaFree(there));
  ok(cudaFree(nullptr));
}

TEST_F(cuda_emulator_test, memory_is_limited_and_a_stream_uses_it_again) {
  cuda_emulator::limit_memory(1000);
  std::size_t free = 0, total = 0;
  void *p = nullptr, *q = nullptr;
  ok(cudaMalloc(&p, 600));
  ok(cudaMemGetInfo(&free, &total));
  EXPECT_EQ(free, 400U);
  EXPECT_EQ(total, 1000U);
  EXPECT_EQ(cudaMalloc(&q, 401), cudaErrorMemoryAllocation);
  const cudaStream_t a = stream();
  int ran = 0;
  for (int i = 0; i < 5; ++i) {
    ok(cudaMallocAsync(&q, 400, a));
    ok(cudaFreeAsync(q, a));
    ok(cudaLaunchHostFunc(
        a, [](void* count) { ++*static_cast<int*>(count); }, &ran));
  }
  EXPECT_EQ(ran, 4);  // each allocation but the first needs the room of the one before
  EXPECT_EQ(statistics().peak_bytes, 1000U);
  cuda_emulator::fail_allocation_after(2);
  ok(cudaMallocHost(&q, 1));
  ok(cudaFreeHost(q));
  EXPECT_EQ(cudaMallocAsync(&q, 1, a), cudaErrorMemoryAllocation);
  ok(cudaMallocAsync(&q, 1, a));
  EXPECT_EQ(statistics().failures, 1U);
}

TEST_F(cuda_emulator_test, pools) {
  cudaMemPoolProps properties{};
  properties.allocType = cudaMemAllocationTypePinned;
  properties.location = {cudaMemLocationTypeDevice, 0};
  properties.maxSize = 100;
  cudaMemPool_t pool = nullptr, standard = nullptr;
  ok(cudaMemPoolCreate(&pool, &properties));
  std::uint64_t threshold = 77, found = 0;
  ok(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &threshold));
  ok(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &found));
  EXPECT_EQ(found, 77U);
  float* p = nullptr;
  ok(cudaMallocFromPoolAsync(&p, 60, pool, nullptr));
  float* q = nullptr;
  EXPECT_EQ(cudaMallocAsync(&q, 60, pool, nullptr), cudaErrorMemoryAllocation);
  ok(cudaFreeAsync(p, nullptr));
  ok(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrUsedMemCurrent, &found));
  EXPECT_EQ(found, 0U);
  ok(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrUsedMemHigh, &found));
  EXPECT_EQ(found, 60U);
  ok(cudaMemPoolTrimTo(pool, 0));
  ok(cudaDeviceGetDefaultMemPool(&standard, 0));
  EXPECT_EQ(cudaMemPoolDestroy(standard), cudaErrorInvalidValue);
  ok(cudaMemPoolDestroy(pool));
  EXPECT_EQ(cudaMallocFromPoolAsync(&p, 60, pool, nullptr), cudaErrorInvalidValue);
}

// Graphs

TEST_F(cuda_emulator_test, a_capture_is_recorded_and_can_be_launched_many_times) {
  const cudaStream_t a = stream(), b = stream();
  int* value = device_array(std::vector<int>{0});
  int* copies = device_array(std::vector<int>{0, 0});
  const cudaEvent_t fork = event(), join = event();
  cudaStreamCaptureStatus status{};
  ok(cudaStreamBeginCapture(a, cudaStreamCaptureModeThreadLocal));
  ok(cudaStreamIsCapturing(a, &status));
  EXPECT_EQ(status, cudaStreamCaptureStatusActive);
  int by = 3;
  ok(launch(a, 1, 1, add, value, by, 1));
  by = 100;
  ok(cudaEventRecord(fork, a));
  ok(cudaStreamWaitEvent(b, fork));
  ok(cudaStreamIsCapturing(b, &status));
  EXPECT_EQ(status, cudaStreamCaptureStatusActive);
  ok(cudaMemcpyAsync(copies, value, sizeof(int), cudaMemcpyDeviceToDevice, b));
  ok(cudaMemcpyAsync(copies + 1, value, sizeof(int), cudaMemcpyDeviceToDevice, a));
  ok(cudaEventRecord(join, b));
  ok(cudaStreamWaitEvent(a, join));
  ok(launch(a, 1, 1, add, value, 1, 1));
  cudaGraph_t graph = nullptr;
  ok(cudaStreamEndCapture(a, &graph));
  ok(cudaStreamIsCapturing(b, &status));
  EXPECT_EQ(status, cudaStreamCaptureStatusNone);
  ok(cudaDeviceSynchronize());
  EXPECT_EQ(back(value, 1)[0], 0);
  EXPECT_EQ(statistics().kernels, 0U);

  cudaGraphExec_t exec = nullptr;
  ok(cudaGraphInstantiate(&exec, graph));
  ok(cudaGraphDestroy(graph));
  for (int i = 0; i < 3; ++i) ok(cudaGraphLaunch(exec, i == 1 ? b : a));
  ok(cudaStreamSynchronize(b));
  EXPECT_EQ(back(value, 1)[0], 8);  // one launch waits for the other, in whatever stream
  EXPECT_EQ(statistics().kernels, 6U);
  EXPECT_EQ(cuda_emulator::launches(b), 2U);
  ok(cudaGraphExecDestroy(exec));  // the launches go on
  ok(cudaDeviceSynchronize());
  EXPECT_EQ(back(value, 1)[0], 12);
  EXPECT_EQ(back(copies, 2), (std::vector<int>{11, 11}));
  EXPECT_EQ(cudaGraphLaunch(exec, a), cudaErrorInvalidValue);
  EXPECT_EQ(cudaEventSynchronize(fork), cudaErrorCapturedEvent);
}

TEST_F(cuda_emulator_test, a_graph_takes_new_arguments) {
  const cudaStream_t a = stream();
  int* value = device_array(std::vector<int>{0});
  const auto captured = [&](int by, int kernels) {
    cudaGraph_t graph = nullptr;
    EXPECT_EQ(cudaStreamBeginCapture(a, cudaStreamCaptureModeGlobal), cudaSuccess);
    for (int i = 0; i < kernels; ++i) launch(a, 1, 1, add, value, by, 1);
    EXPECT_EQ(cudaStreamEndCapture(a, &graph), cudaSuccess);
    return graph;
  };
  cudaGraphExec_t exec = nullptr;
  ok(cudaGraphInstantiate(&exec, captured(1, 2), 0));
  ok(cudaGraphLaunch(exec, a));
  cudaGraphExecUpdateResultInfo info{};
  ok(cudaGraphExecUpdate(exec, captured(10, 2), &info));
  ok(cudaGraphLaunch(exec, a));
  EXPECT_EQ(cudaGraphExecUpdate(exec, captured(10, 3), &info), cudaErrorGraphExecUpdateFailure);
  EXPECT_EQ(info.result, cudaGraphExecUpdateErrorTopologyChanged);
  ok(cudaStreamSynchronize(a));
  EXPECT_EQ(back(value, 1)[0], 22);
}

TEST_F(cuda_emulator_test, a_graph_owns_the_memory_it_allocates) {
  const cudaStream_t a = stream();
  int* out = device_array(std::vector<int>{0});
  int *kept = nullptr, *inner = nullptr;
  ok(cudaStreamBeginCapture(a, cudaStreamCaptureModeGlobal));
  ok(cudaMallocAsync(&kept, sizeof(int), a));
  ok(cudaMallocAsync(&inner, sizeof(int), a));
  ok(launch(a, 1, 1, add, inner, 5, 1));  // new memory holds -1, at each launch
  ok(cudaMemcpyAsync(kept, inner, sizeof(int), cudaMemcpyDeviceToDevice, a));
  EXPECT_EQ(cudaFreeAsync(out, a), cudaErrorInvalidValue);
  EXPECT_EQ(statistics().suspicious, 1U);
  ok(cudaFreeAsync(inner, a));
  cudaGraph_t graph = nullptr;
  ok(cudaStreamEndCapture(a, &graph));
  cudaGraphExec_t exec = nullptr, second = nullptr;
  ok(cudaGraphInstantiate(&exec, graph));
  EXPECT_EQ(cudaGraphInstantiate(&second, graph), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFreeAsync(kept, a), cudaErrorInvalidValue);  // not allocated yet
  for (int i = 0; i < 2; ++i) {
    ok(cudaGraphLaunch(exec, a));
    EXPECT_EQ(cudaGraphLaunch(exec, a), cudaErrorInvalidValue);  // would allocate it twice
    ok(cudaMemcpyAsync(out, kept, sizeof(int), cudaMemcpyDeviceToDevice, a));
    ok(i == 0 ? cudaFreeAsync(kept, a) : cudaFree(kept));
    ok(cudaStreamSynchronize(a));
    EXPECT_EQ(back(out, 1)[0], 4);
  }
  EXPECT_EQ(statistics().live_allocations, 3U);
  ok(cudaGraphDestroy(graph));
  ok(cudaGraphExecDestroy(exec));
  EXPECT_EQ(statistics().live_allocations, 1U);
}

TEST_F(cuda_emulator_test, what_a_capture_forbids_fails_and_breaks_it) {
  const cudaStream_t a = stream(), b = stream(), blocking = stream(cudaStreamDefault);
  const cudaEvent_t before = event(), inside = event();
  int* value = device_array(std::vector<int>{0});
  void* p = nullptr;
  ok(cudaEventRecord(before, b));
  const auto expect_broken = [&](cudaStream_t on, cudaError_t expected, auto call) {
    cudaGraph_t graph = nullptr;
    cudaStreamCaptureStatus status{};
    ASSERT_EQ(cudaStreamBeginCapture(on, cudaStreamCaptureModeGlobal), cudaSuccess);
    ASSERT_EQ(cudaEventRecord(inside, on), cudaSuccess);
    EXPECT_EQ(call(), expected);
    EXPECT_EQ(cudaStreamIsCapturing(on, &status), cudaSuccess);
    EXPECT_EQ(status, cudaStreamCaptureStatusInvalidated);
    EXPECT_EQ(launch(on, 1, 1, set_one, value, 1), cudaErrorStreamCaptureInvalidated);
    EXPECT_EQ(cudaStreamEndCapture(on, &graph), cudaErrorStreamCaptureInvalidated);
    EXPECT_EQ(graph, nullptr);
    ok(cudaStreamSynchronize(on));
  };
  const auto unsupported = cudaErrorStreamCaptureUnsupported;
  const auto implicit = cudaErrorStreamCaptureImplicit;
  expect_broken(a, unsupported, [&] { return cudaStreamSynchronize(a); });
  expect_broken(a, unsupported, [&] { return cudaStreamQuery(a); });
  expect_broken(a, unsupported, [&] { return cudaDeviceSynchronize(); });
  expect_broken(a, unsupported, [&] { return cudaMalloc(&p, 4); });
  expect_broken(a, unsupported, [&] { return cudaFree(value); });
  expect_broken(a, unsupported, [&] { return cudaMemset(value, 0, 4); });
  expect_broken(a, unsupported, [&] { return cudaEventQuery(before); });
  expect_broken(a, cudaErrorCapturedEvent, [&] { return cudaEventSynchronize(inside); });
  expect_broken(a, cudaErrorStreamCaptureIsolation, [&] { return cudaStreamWaitEvent(a, before); });
  expect_broken(blocking, implicit, [&] { return cudaMemset(value, 0, 4); });
  expect_broken(blocking, implicit, [&] { return launch(nullptr, 1, 1, set_one, value, 1); });
  expect_broken(blocking, implicit, [&] { return cudaStreamSynchronize(nullptr); });
  expect_broken(a, cudaErrorStreamCaptureUnmatched, [&] {
    cudaGraph_t graph = nullptr;
    EXPECT_EQ(cudaStreamWaitEvent(b, inside), cudaSuccess);
    return cudaStreamEndCapture(b, &graph);
  });
  expect_broken(a, cudaErrorStreamCaptureWrongThread, [&] {
    cudaGraph_t graph = nullptr;
    cudaError_t result{};
    std::thread([&] { result = cudaStreamEndCapture(a, &graph); }).join();
    return result;
  });
  EXPECT_EQ(cudaStreamBeginCapture(nullptr, cudaStreamCaptureModeRelaxed), unsupported);
}

TEST_F(cuda_emulator_test, other_ends_of_captures) {
  const cudaStream_t a = stream(), b = stream();
  const cudaEvent_t fork = event();
  int* value = device_array(std::vector<int>{0});
  cudaGraph_t graph = nullptr;
  EXPECT_EQ(cudaStreamEndCapture(a, &graph), cudaErrorIllegalState);
  ok(cudaStreamBeginCapture(a, cudaStreamCaptureModeRelaxed));
  EXPECT_EQ(cudaStreamBeginCapture(a, cudaStreamCaptureModeRelaxed), cudaErrorIllegalState);
  ok(cudaEventRecord(fork, a));
  ok(cudaStreamWaitEvent(b, fork));
  ok(launch(b, 1, 1, set_one, value, 1));
  EXPECT_EQ(cudaStreamEndCapture(a, &graph), cudaErrorStreamCaptureUnjoined);

  ok(cudaStreamBeginCapture(a, cudaStreamCaptureModeRelaxed));
  ok(cudaStreamBeginCapture(b, cudaStreamCaptureModeRelaxed));
  ok(cudaEventRecord(fork, a));
  EXPECT_EQ(cudaStreamWaitEvent(b, fork), cudaErrorStreamCaptureMerge);
  EXPECT_EQ(cudaStreamEndCapture(a, &graph), cudaErrorStreamCaptureInvalidated);
  EXPECT_EQ(cudaStreamEndCapture(b, &graph), cudaErrorStreamCaptureInvalidated);

  EXPECT_EQ(statistics().suspicious, 0U);
  ok(cudaStreamBeginCapture(a, cudaStreamCaptureModeRelaxed));
  void* p = nullptr;
  ok(cudaMalloc(&p, 4));
  EXPECT_EQ(statistics().suspicious, 1U);
  std::thread([&] { ok(cudaMalloc(&p, 4)); }).join();
  EXPECT_EQ(statistics().suspicious, 1U);
  int here = 0;
  ok(cudaMemcpyAsync(&here, value, sizeof here, cudaMemcpyDeviceToHost, a));
  EXPECT_EQ(statistics().suspicious, 2U);
  ok(cudaStreamEndCapture(a, &graph));
}

// What a test may ask for

TEST_F(cuda_emulator_test, calls_fail_when_asked) {
  cudaStream_t a = nullptr;
  cuda_emulator::fail_call("cudaStreamCreate", cudaErrorUnknown);
  EXPECT_EQ(cudaStreamCreate(&a), cudaErrorUnknown);
  EXPECT_EQ(cudaPeekAtLastError(), cudaErrorUnknown);
  ok(cudaStreamCreate(&a));
  int* value = device_array(std::vector<int>{0});
  cuda_emulator::fail_call("cudaLaunchKernelEx", cudaErrorLaunchFailure, 2);
  ok(launch(a, 1, 1, add, value, 1, 1));
  EXPECT_EQ(launch(a, 1, 1, add, value, 1, 1), cudaErrorLaunchFailure);
  ok(launch(a, 1, 1, add, value, 1, 1));
  EXPECT_EQ(statistics().failures, 2U);
  cuda_emulator::fail_call("cudaStreamSynchronize", cudaErrorLaunchFailure);
  int here = 0;
  ok(cudaMemcpyAsync(&here, value, sizeof here, cudaMemcpyDeviceToHost, a));
  EXPECT_EQ(cudaStreamSynchronize(a), cudaErrorLaunchFailure);
  EXPECT_EQ(here, 2);
  cuda_emulator::fail_call("cudaStreamSynchronize", cudaErrorLaunchFailure);
  cuda_emulator::fail_call("cudaStreamSynchronize", cudaSuccess);
  ok(cudaStreamSynchronize(a));

  cuda_emulator::poison(cudaErrorIllegalAddress);
  EXPECT_EQ(launch(a, 1, 1, add, value, 1, 1), cudaErrorIllegalAddress);
  EXPECT_EQ(cudaFree(value), cudaErrorIllegalAddress);
  EXPECT_EQ(cudaGetLastError(), cudaErrorIllegalAddress);
  EXPECT_EQ(cudaGetLastError(), cudaErrorIllegalAddress);
  EXPECT_EQ(cudaFree(value), cudaErrorIllegalAddress);
  cuda_emulator::reset();
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  EXPECT_STREQ(cudaGetErrorName(cudaErrorIllegalAddress), "cudaErrorIllegalAddress");
  EXPECT_STREQ(cudaGetErrorString(cudaErrorMemoryAllocation), "out of memory");
}

TEST_F(cuda_emulator_test, devices) {
  int count = 0, device = -1, value = 0;
  ok(cudaGetDeviceCount(&count));
  EXPECT_EQ(count, 1);
  EXPECT_EQ(cudaSetDevice(1), cudaErrorInvalidDevice);
  cuda_emulator::set_devices(2);
  const cudaStream_t first = stream();
  ok(cudaSetDevice(1));
  ok(cudaGetDevice(&device));
  EXPECT_EQ(device, 1);
  std::thread([&] { EXPECT_EQ(cudaGetDevice(&device), cudaSuccess); }).join();
  EXPECT_EQ(device, 0);
  EXPECT_EQ(launch(first, 1, 1, set_one, nullptr, 1), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cudaEventRecord(event(), first), cudaErrorInvalidResourceHandle);
  int* there = device_array(std::vector<int>{0});
  cudaPointerAttributes attributes{};
  ok(cudaPointerGetAttributes(&attributes, there));
  EXPECT_EQ(attributes.device, 1);

  cuda_emulator::set_capability(7, 5);
  ok(cudaDeviceGetAttribute(&value, cudaDevAttrComputeCapabilityMajor, 0));
  EXPECT_EQ(value, 7);
  cudaDeviceProp properties{};
  ok(cudaGetDeviceProperties(&properties, 1));
  EXPECT_EQ(properties.minor, 5);
  ok(cudaDeviceGetAttribute(&value, cudaDevAttrPageableMemoryAccess, 0));
  EXPECT_EQ(value, 0);

  cuda_emulator::set_devices(0);
  EXPECT_EQ(cudaGetDeviceCount(&count), cudaErrorNoDevice);
  EXPECT_EQ(count, 0);
  void* p = nullptr;
  EXPECT_EQ(cudaMalloc(&p, 4), cudaErrorNoDevice);
  ok(cudaRuntimeGetVersion(&value));
  EXPECT_EQ(value, CUDART_VERSION);
}

}  // namespace
