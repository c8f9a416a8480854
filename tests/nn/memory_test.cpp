// What a pass and the differences of it keep, against the bytes that they are said to take. Every
// allocation of this program is counted.
#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "trial.hpp"

namespace {

std::atomic<long> bytes_now{0};

void* counted(std::size_t size, std::size_t alignment) {
  void* const memory =
      std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  if (memory == nullptr) throw std::bad_alloc();
  bytes_now += static_cast<long>(malloc_usable_size(memory));
  return memory;
}

void discounted(void* memory) noexcept {
  if (memory != nullptr) bytes_now -= static_cast<long>(malloc_usable_size(memory));
  std::free(memory);
}

}  // namespace

void* operator new(std::size_t size) { return counted(size, 16); }
void* operator new(std::size_t size, std::align_val_t by) {
  return counted(size, static_cast<std::size_t>(by));
}
void operator delete(void* memory) noexcept { discounted(memory); }
void operator delete(void* memory, std::size_t) noexcept { discounted(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { discounted(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { discounted(memory); }

namespace {

using namespace testing_nn;
using zo::index_t;

// Of a pass, with what differences need, and of one difference_pass that was asked about every
// tensor.
template <class T>
void expect_said_bytes(const trial& t, std::optional<nn::products> how) {
  const std::vector<T> at(t.parameters.begin(), t.parameters.end());
  const std::vector<T> running(t.statistics.begin(), t.statistics.end());
  const std::vector<T> inputs(t.inputs.begin(), t.inputs.end());
  const long before = bytes_now;
  nn::forward_pass<T> pass(t.net);
  // A larger batch before leaves nothing.
  const index_t twice = 2 * t.count;
  std::vector<T> larger = inputs;
  larger.insert(larger.end(), inputs.begin(), inputs.end());
  pass.run(zo::seq, at, running, larger, twice, t.mode);
  if (how) {  // nor do weights for other products
    for (const auto other : {nn::products::exact, nn::products::bfloat16}) {
      if (std::is_same_v<T, float>) pass.prepare_differences(other);
    }
  }
  larger = std::vector<T>();
  pass.run(zo::seq, at, running, inputs, t.count, t.mode);
  if (how) pass.prepare_differences(*how);
  const auto kept = static_cast<double>(bytes_now - before);
  const auto said = static_cast<double>(nn::pass_bytes<T>(t.net, t.count, how));
  const double bookkeeping = 2000.0 * static_cast<double>(t.net.nodes().size());
  EXPECT_LE(kept, said + bookkeeping);
  EXPECT_GE(kept, 0.95 * said);
  if (!how) return;
  const long without = bytes_now;
  nn::difference_pass<T> follow(pass);
  for (const nn::view& v : t.net.parameters()) {
    follow(v.offset, T(1e-3));
    EXPECT_LE(static_cast<double>(bytes_now - without),
              static_cast<double>(nn::difference_bytes<T>(t.net, t.count)) + bookkeeping);
  }
}

TEST(nn_memory, passes_and_differences_keep_what_they_say) {
  const trial images(nn::resnet(8), 20, nn::norm_mode::train);
  const trial mixed(mixture(), 37, nn::norm_mode::train);
  const trial wide(nn::mlp({300, 400, 10}), 5, nn::norm_mode::train);
  for (const trial* t : {&images, &mixed, &wide}) {
    expect_said_bytes<float>(*t, {});
    expect_said_bytes<float>(*t, nn::products::exact);
    expect_said_bytes<float>(*t, nn::products::bfloat16);
    expect_said_bytes<double>(*t, nn::products::exact);
  }
}

// Sums that no index holds are the largest one, so that no limit is met.
TEST(nn_memory, bytes_of_too_many_samples_are_many) {
  constexpr index_t most = std::numeric_limits<index_t>::max();
  const nn::network net = nn::resnet(8);
  EXPECT_EQ(nn::pass_bytes<float>(net, most), most);
  EXPECT_EQ(nn::difference_bytes<float>(net, most), most);
  EXPECT_TRUE(contains(complaint([&] { nn::pass_bytes<float>(net, 0); }), "at least one sample"));
  EXPECT_TRUE(
      contains(complaint([&] { nn::difference_bytes<float>(net, -1); }), "at least one sample"));
}

}  // namespace
