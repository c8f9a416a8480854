#include "gpu.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>

namespace bench {
namespace {

std::string version(int number) {  // 13000 is 13.0
  return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10);
}

std::string today() {
  const std::time_t now = std::time(nullptr);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d", std::gmtime(&now));
  return text;
}

// What the emulator does not know stays 0.
struct figures {
  int l2_bytes = 0, kilohertz = 0, memory_kilohertz = 0;
};

figures figures_of([[maybe_unused]] int device) {
  figures found;
#if !defined(ZO_CUDA_EMULATOR)
  check(cudaDeviceGetAttribute(&found.l2_bytes, cudaDevAttrL2CacheSize, device), "the cache size");
  check(cudaDeviceGetAttribute(&found.kilohertz, cudaDevAttrClockRate, device), "the clock");
  check(cudaDeviceGetAttribute(&found.memory_kilohertz, cudaDevAttrMemoryClockRate, device),
        "the memory's clock");
#endif
  return found;
}

}  // namespace

gpu::gpu() {
  int devices = 0;
  const cudaError_t found = cudaGetDeviceCount(&devices);
  if (found != cudaSuccess || devices == 0) {
    throw std::runtime_error(std::string("there is no CUDA device here (") +
                             cudaGetErrorString(found == cudaSuccess ? cudaErrorNoDevice : found) +
                             "); run it on a machine where nvidia-smi lists a GPU");
  }
  check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
  check(cudaEventCreate(&start_), "cudaEventCreate");
  check(cudaEventCreate(&end_), "cudaEventCreate");
  int device = 0;
  check(cudaGetDevice(&device), "cudaGetDevice");
  l2_bytes_ = figures_of(device).l2_bytes;
}

facts gpu::context() const {
  int device = 0, driver = 0, runtime = 0;
  cudaDeviceProp properties{};
  check(cudaGetDevice(&device), "cudaGetDevice");
  check(cudaGetDeviceProperties(&properties, device), "cudaGetDeviceProperties");
  check(cudaDriverGetVersion(&driver), "cudaDriverGetVersion");
  check(cudaRuntimeGetVersion(&runtime), "cudaRuntimeGetVersion");
  const figures known = figures_of(device);
  facts all = bench::context();
  const facts ours{{"date", today()},
                   {"gpu", properties.name},
                   {"compute_capability",
                    std::to_string(properties.major) + "." + std::to_string(properties.minor)},
                   {"multiprocessors", std::to_string(properties.multiProcessorCount)},
                   {"gpu_memory_bytes", std::to_string(properties.totalGlobalMem)},
                   {"gpu_l2_bytes", std::to_string(known.l2_bytes)},
                   {"gpu_peak_mhz", std::to_string(known.kilohertz / 1000)},
                   {"gpu_memory_peak_mhz", std::to_string(known.memory_kilohertz / 1000)},
                   {"cuda_driver", version(driver)},
                   {"cuda_runtime", version(runtime)},
                   {"cuda_compiler", ZO_BENCH_CUDA_COMPILER},
                   {"cuda_flags", ZO_BENCH_CUDA_FLAGS}};
  all.insert(all.end(), ours.begin(), ours.end());
  return all;
}

stopwatch gpu::clock(const effort& how) {
  const stopwatch seconds_of = [this](const std::function<void()>& work) {
    check(cudaEventRecord(start_, stream_), "cudaEventRecord");
    work();
    check(cudaEventRecord(end_, stream_), "cudaEventRecord");
    check(cudaEventSynchronize(end_), "cudaEventSynchronize");
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, start_, end_), "cudaEventElapsedTime");
    return std::max(1e-3 * static_cast<double>(milliseconds), 1e-9);  // emulated work takes none
  };
  if (!awake_ && !how.smoke) {
    awake_ = true;  // an idle GPU runs at a sixth of its clock
    copies work(*this, how);
    double worked = 0;
    while (worked < 0.5) worked += seconds_of([&] { work(); });
  }
  return seconds_of;
}

zo::index_t gpu::room() const {
  check(cudaStreamSynchronize(stream_), "cudaStreamSynchronize");  // gives back what was freed
  std::size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  return static_cast<zo::index_t>(0.8 * static_cast<double>(free));
}

zo::index_t gpu::fitting(zo::index_t wanted, zo::index_t bytes) const {
  if (wanted <= room() / bytes) return wanted;
  return room() / bytes / zo::detail::tile * zo::detail::tile;
}

gpu& the_gpu() {
  static gpu one;
  return one;
}

copies::copies(const gpu& g, const effort& how)
    : stream_(g.stream()),
      count_(how.smoke ? 4096 : g.fitting(zo::index_t{1} << 29, 16)),
      from_(normals<float>(g, count_)),
      to_(g.on(), count_) {}

void copies::operator()() {
  check(cudaMemcpyAsync(to_.data(), from_.data(), static_cast<std::size_t>(count_) * sizeof(float),
                        cudaMemcpyDeviceToDevice, stream_),
        "cudaMemcpyAsync");
}

outcome share_of_copies(const effort& how, const std::function<void()>& ours, double bytes) {
  gpu& g = the_gpu();
  copies theirs(g, how);
  const comparison c = compare(g.clock(how), how, ours, [&] { theirs(); });
  constexpr double giga = 1e9;
  const double share = bytes / theirs.bytes();
  outcome o;
  o.ours = bytes / c.ours / giga;
  o.peer = theirs.bytes() / c.theirs / giga;
  o.ratio = share * c.ratio;
  o.low = share * c.low;
  o.high = share * c.high;
  o.pairs = c.pairs;
  return o;
}

void expect_close(double found, double wanted, double tolerance, const std::string& what) {
  if (std::abs(found - wanted) <= tolerance * std::abs(wanted)) return;
  throw std::runtime_error("wrong result: " + what + " is " + std::to_string(found) +
                           " and should be " + std::to_string(wanted));
}

}  // namespace bench
