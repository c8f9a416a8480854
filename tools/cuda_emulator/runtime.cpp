#include "runtime.hpp"

#include "memory.hpp"
#include "stream.hpp"

namespace cuda_emulator {

namespace detail {

// Never destroyed: a program may free its memory while it ends.
world& all = *new world;

host_thread& this_thread() {
  thread_local host_thread own;
  if (own.generation != all.generation) own = {all.generation, 0, cudaSuccess};
  return own;
}

void suspect(const std::string& sentence) {
  ++all.count.suspicious;
  all.suspicions.push_back(sentence);
}

}  // namespace detail

namespace {

using namespace detail;

template <class T>
void set(T settings::*which, T value) {
  const std::scoped_lock lock(all.mutex);
  all.set.*which = value;
}

}  // namespace

void reset() {
  const std::scoped_lock lock(all.mutex);
  if (all.running) die("reset() was called by a host function of a stream");
  all.events.all.clear();
  all.execs.all.clear();
  all.graphs.all.clear();
  all.streams.all.clear();
  all.memory.clear();
  all.pools.all.clear();
  all.set = {};
  all.count = {};
  all.suspicions.clear();
  all.held_bytes = 0;
  ++all.generation;
  detail::seed_order(1);
}

counters statistics() {
  const std::scoped_lock lock(all.mutex);
  return all.count;
}

void reset_statistics() {
  const std::scoped_lock lock(all.mutex);
  const counters before = std::exchange(all.count, {});
  all.count.live_allocations = before.live_allocations;
  all.count.live_bytes = all.count.peak_bytes = before.live_bytes;
  all.count.live_pinned_allocations = before.live_pinned_allocations;
  all.suspicions.clear();
  for (const auto& stream : all.streams.all) stream->launches = 0;
}

std::string suspicions() {
  const std::scoped_lock lock(all.mutex);
  std::string text;
  for (const std::string& line : all.suspicions) text += line + "\n";
  return text;
}

std::size_t launches(cudaStream_t stream) {
  const std::scoped_lock lock(all.mutex);
  const CUstream_st* found = find_stream(stream);
  return found != nullptr ? found->launches : 0;
}

void fail_call(const std::string& name, cudaError_t error, std::size_t n) {
  const std::scoped_lock lock(all.mutex);
  std::erase_if(all.set.injections, [&](const injection& it) { return it.name == name; });
  if (error == cudaSuccess) return;
  all.set.injections.push_back({name, error, std::max<std::size_t>(n, 1)});
}

void shuffle(std::uint64_t seed) {
  const std::scoped_lock lock(all.mutex);
  detail::seed_order(seed);
}

void fail_allocation_after(std::size_t n) { set(&settings::allocations_left, n); }
void limit_memory(std::size_t bytes) { set(&settings::memory, bytes); }
void poison(cudaError_t error) { set(&settings::poison, error); }
void set_devices(int count) { set(&settings::devices, count); }
void set_capability(int major, int minor) {
  set(&settings::major, major);
  set(&settings::minor, minor);
}
void set_no_kernel_image(bool missing) { set(&settings::no_image, missing); }

}  // namespace cuda_emulator
