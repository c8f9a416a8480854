// Runs a grid: one block after another, its threads as fibres of one host thread. A fibre takes
// thread after thread and is given up only to one that waits, so that a kernel without barriers
// needs a single stack.
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <tuple>

#include "block.hpp"

#ifdef ZO_EMULATOR_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

#if defined(__x86_64__) && !defined(ZO_EMULATOR_UCONTEXT)
// swapcontext makes a system call, and AddressSanitizer forgets a stack at each one.
extern "C" void zo_cuda_emulator_swap(void** save, void* load);
asm(".text\n"
    ".globl zo_cuda_emulator_swap\n"
    ".hidden zo_cuda_emulator_swap\n"
    ".type zo_cuda_emulator_swap, @function\n"
    "zo_cuda_emulator_swap:\n"
    "  pushq %rbp\n  pushq %rbx\n  pushq %r12\n  pushq %r13\n  pushq %r14\n  pushq %r15\n"
    "  movq %rsp, (%rdi)\n"
    "  movq %rsi, %rsp\n"
    "  popq %r15\n  popq %r14\n  popq %r13\n  popq %r12\n  popq %rbx\n  popq %rbp\n"
    "  ret\n"
    ".size zo_cuda_emulator_swap, .-zo_cuda_emulator_swap\n");
#else
#include <ucontext.h>
#define ZO_EMULATOR_UCONTEXT 1
#endif

namespace cuda_emulator::detail {

void die(const std::string& sentence) {
  std::fprintf(stderr, "CUDA emulator: %s\n", sentence.c_str());
  std::abort();
}

namespace {

constexpr std::size_t stack_bytes = std::size_t{256} << 10;
constexpr std::size_t guard_bytes = 4096;
constexpr unsigned most_threads = 1024, warp = 32, none = ~0U;

#ifdef ZO_EMULATOR_UCONTEXT
using context = ucontext_t;
void swap_context(context& save, context& load) { swapcontext(&save, &load); }
void prepare(context& at, std::byte* stack, void (*entry)()) {
  getcontext(&at);
  at.uc_stack.ss_sp = stack;
  at.uc_stack.ss_size = stack_bytes;
  makecontext(&at, entry, 0);
}
#else
using context = void*;
void swap_context(context& save, context& load) { zo_cuda_emulator_swap(&save, load); }
void prepare(context& at, std::byte* stack, void (*entry)()) {
  // Six registers, the address to return to, and a null return address for that function.
  auto* top = reinterpret_cast<void**>(stack + stack_bytes) - 8;
  std::fill(top, top + 8, nullptr);
  top[6] = reinterpret_cast<void*>(entry);
  at = top;
}
#endif

// What AddressSanitizer must know of a switch between stacks.
struct stack_of {
  const void* bottom = nullptr;
  std::size_t bytes = 0;
  void* fake = nullptr;
};

void swap(context& save, stack_of& from, context& load, stack_of& to) {
#ifdef ZO_EMULATOR_ASAN
  __sanitizer_start_switch_fiber(&from.fake, to.bottom, to.bytes);
  swap_context(save, load);
  __sanitizer_finish_switch_fiber(from.fake, &to.bottom, &to.bytes);
#else
  static_cast<void>(from), static_cast<void>(to);
  swap_context(save, load);
#endif
}

struct fibre {
  context at;
  stack_of stack;
};

enum class state : unsigned char { ready, at_barrier, in_warp, ended };

// Where a thread waits, and what it brought there.
struct wait {
  fibre* on = nullptr;  // the stack that holds it
  const char *name = nullptr, *file = nullptr;
  int line = 0;
  unsigned mask = 0, from = 0;
  std::uint64_t value = 0;

  bool same_place(const wait& other) const {
    return line == other.line && std::strcmp(name, other.name) == 0 &&
           std::strcmp(file, other.file) == 0;
  }
  std::string place() const {
    return std::string(name) + " at " + file + ":" + std::to_string(line);
  }
};

struct block_state {
  const kernel* code = nullptr;
  unsigned threads = 0, ended = 0;
  std::vector<unsigned> ready;  // the next one is at the back
  std::array<state, most_threads> states{};
  std::array<wait, most_threads> waits{};
  std::array<unsigned, most_threads / warp> in_warp{};  // waiting threads of each warp
  unsigned at_barrier = 0, holds = 0, answer = 0, first_at_barrier = 0;
  unsigned self = none, next = none;
  fibre* running = nullptr;
  std::vector<fibre*> idle;
  context host;
  stack_of host_stack;
};

// Never destroyed: a program may wait for a stream while it ends.
block_state& now = *new block_state;
bool natural_order = true;
std::uint64_t order_state = 0;

std::string name_of_block() {
  return "block (" + std::to_string(blockIdx.x) + ", " + std::to_string(blockIdx.y) + ", " +
         std::to_string(blockIdx.z) + ")";
}

unsigned take() {
  std::swap(now.ready[draw(static_cast<std::uint32_t>(now.ready.size()))], now.ready.back());
  const unsigned thread = now.ready.back();
  now.ready.pop_back();
  return thread;
}

void become(unsigned thread) {
  now.self = thread;
  threadIdx.x = thread % blockDim.x;
  threadIdx.y = thread / blockDim.x % blockDim.y;
  threadIdx.z = thread / blockDim.x / blockDim.y;
}

void release(unsigned thread) {
  now.states[thread] = state::ready;
  now.ready.push_back(thread);
}

// Lets the lanes that `thread` waits for go on if all of them are there or have ended.
void complete_warp(unsigned thread) {
  const unsigned first = thread / warp * warp, mask = now.waits[thread].mask;
  const unsigned lanes = std::min(warp, now.threads - first);
  const auto takes_part = [&](unsigned lane) {
    return (mask >> lane & 1) != 0 && now.states[first + lane] == state::in_warp &&
           now.waits[first + lane].mask == mask;
  };
  for (unsigned lane = 0; lane < lanes; ++lane) {
    if ((mask >> lane & 1) == 0 || now.states[first + lane] == state::ended) continue;
    if (!takes_part(lane)) return;
    if (!now.waits[first + lane].same_place(now.waits[thread])) {
      die("two threads of a warp of " + name_of_block() + " meet in different places: " +
          now.waits[thread].place() + " and " + now.waits[first + lane].place());
    }
  }
  std::array<std::uint64_t, warp> brought;
  brought.fill(~std::uint64_t{0});  // undefined in CUDA: a NaN, or -1
  for (unsigned lane = 0; lane < lanes; ++lane) {
    if (takes_part(lane)) brought[lane] = now.waits[first + lane].value;
  }
  for (unsigned lane = lanes; lane-- > 0;) {
    if (!takes_part(lane)) continue;
    wait& there = now.waits[first + lane];
    there.value = brought[there.from % warp];
    --now.in_warp[first / warp];
    release(first + lane);
  }
}

void end_thread() {
  now.states[now.self] = state::ended;
  ++now.ended;
  const unsigned first = now.self / warp * warp;
  for (unsigned lane = 0; now.in_warp[first / warp] > 0 && lane < warp; ++lane) {
    const unsigned thread = first + lane;
    if (thread < now.threads && now.states[thread] == state::in_warp) complete_warp(thread);
  }
}

// Runs the thread that this fibre was given, then others that need no stack of their own yet.
void run_threads() {
  for (;;) {
    now.code->run_thread();
    end_thread();
    now.next = now.ready.empty() ? none : take();
    if (now.next == none || now.waits[now.next].on != nullptr) return;
    become(now.next);
  }
}

void back_to_host(fibre& self) { swap(self.at, self.stack, now.host, now.host_stack); }

void fibre_entry() noexcept {
  fibre& self = *now.running;
#ifdef ZO_EMULATOR_ASAN
  __sanitizer_finish_switch_fiber(nullptr, &now.host_stack.bottom, &now.host_stack.bytes);
#endif
  for (;;) {
    run_threads();
    now.idle.push_back(&self);
    back_to_host(self);
  }
}

fibre* idle_fibre() {
  if (now.idle.empty()) {
    void* memory = mmap(nullptr, guard_bytes + stack_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory, guard_bytes, PROT_NONE) != 0) {
      die("there is no memory for the stack of another thread");
    }
    auto* stack = static_cast<std::byte*>(memory) + guard_bytes;
    auto* added = new fibre{{}, {stack, stack_bytes, nullptr}};
    prepare(added->at, stack, fibre_entry);
    now.idle.push_back(added);
  }
  fibre* found = now.idle.back();
  now.idle.pop_back();
  return found;
}

// Puts the running thread away; returns when it is its turn again.
void suspend() {
  const unsigned self = now.self;
  fibre& own = *now.running;
  now.waits[self].on = &own;
  now.next = none;
  back_to_host(own);
}

void resume(unsigned thread) {
  become(thread);
  fibre*& on = now.waits[thread].on;
  now.running = on != nullptr ? on : idle_fibre();
  on = nullptr;
  swap(now.host, now.host_stack, now.running->at, now.running->stack);
}

[[noreturn]] void die_of_waiting() {
  for (unsigned thread = 0; thread < now.threads; ++thread) {
    if (now.states[thread] != state::in_warp) continue;
    die(name_of_block() + ": " + now.waits[thread].place() +
        " waits for lanes of its mask that never come");
  }
  die(std::to_string(now.ended) + " of " + std::to_string(now.threads) + " threads of " +
      name_of_block() + " ended without reaching " + now.waits[now.first_at_barrier].place() +
      ", where " + std::to_string(now.at_barrier) + " wait");
}

void run_block() {
  now.ended = 0;
  now.ready.resize(now.threads);
  std::iota(now.ready.rbegin(), now.ready.rend(), 0U);
  std::fill_n(now.states.begin(), now.threads, state::ready);
  for (now.next = none; now.next != none || !now.ready.empty();) {
    resume(now.next != none ? now.next : take());
  }
  if (now.ended != now.threads) die_of_waiting();
}

wait& arrive(const char* name, const char* file, int line) {
  if (now.self == none) die(std::string(name) + " was called outside of a kernel");
  wait& here = now.waits[now.self];
  here.name = name;
  here.file = file;
  here.line = line;
  return here;
}

}  // namespace

void seed_order(std::uint64_t seed) {
  natural_order = seed == 0;
  order_state = seed;
}

std::uint32_t draw(std::uint32_t below) {
  if (natural_order) return below - 1;
  std::uint64_t z = order_state += 0x9e3779b97f4a7c15U;  // splitmix64
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
  z = (z ^ z >> 27) * 0x94d049bb133111ebU;
  return static_cast<std::uint32_t>((z >> 32) * below >> 32);
}

unsigned lane() { return now.self % warp; }

unsigned barrier(bool predicate, const char* name, const char* file, int line) {
  const wait& here = arrive(name, file, line);
  if (now.at_barrier == 0) {
    now.first_at_barrier = now.self;
    now.holds = 0;
  } else if (const wait& first = now.waits[now.first_at_barrier]; !here.same_place(first)) {
    die("two threads of " + name_of_block() + " meet in different places: " + first.place() +
        " and " + here.place());
  }
  now.states[now.self] = state::at_barrier;
  now.holds += predicate;
  if (++now.at_barrier == now.threads) {
    now.answer = now.holds;
    now.at_barrier = 0;
    for (unsigned thread = now.threads; thread-- > 0;) release(thread);
  }
  suspend();
  return now.answer;
}

std::uint64_t exchange(unsigned mask, std::uint64_t value, unsigned from, const char* name,
                       const char* file, int line) {
  wait& here = arrive(name, file, line);
  if ((mask >> lane() & 1) == 0)
    die(here.place() + " is called by a lane that its mask leaves out");
  here.mask = mask;
  here.value = value;
  here.from = from;
  now.states[now.self] = state::in_warp;
  ++now.in_warp[now.self / warp];
  complete_warp(now.self);
  suspend();
  return here.value;
}

void run_grid(const kernel& code, dim3 grid, dim3 block) {
  now.code = &code;
  now.threads = block.x * block.y * block.z;
  gridDim = grid;
  blockDim = block;
  // Blocks in steps that reach each of them once, from a block drawn at random.
  const std::uint64_t blocks = std::uint64_t{grid.x} * grid.y * grid.z;
  const auto range = static_cast<std::uint32_t>(std::min<std::uint64_t>(blocks, ~0U));
  std::uint64_t step = 1, at = 0;
  if (!natural_order) {
    at = draw(range);
    do {
      step = 1 + draw(range);
    } while (std::gcd(step, blocks) != 1);
  }
  for (std::uint64_t done = 0; done < blocks; ++done, at = (at + step) % blocks) {
    blockIdx.x = static_cast<unsigned>(at % grid.x);
    blockIdx.y = static_cast<unsigned>(at / grid.x % grid.y);
    blockIdx.z = static_cast<unsigned>(at / grid.x / grid.y);
    run_block();
  }
  now.self = none;
}

}  // namespace cuda_emulator::detail

void mma_m16n8k16_bfloat16(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2],
                           const char* file, int line) {
  using namespace cuda_emulator::detail;
  struct parts {
    std::uint32_t a[4], b[2];
  };
  static std::array<parts, most_threads> brought;
  constexpr const char* name = "mma.m16n8k16";
  parts& mine = brought[now.self];
  std::copy_n(a, 4, mine.a);
  std::copy_n(b, 2, mine.b);
  exchange(~0U, 0, lane(), name, file, line);
  const parts* const all = brought.data() + now.self / warp * warp;
  const auto half_of = [](std::uint32_t word, unsigned number) {
    const std::uint32_t bits = number % 2 == 0 ? word << 16 : word & 0xffff0000U;
    float value = 0;
    std::memcpy(&value, &bits, sizeof value);
    return static_cast<double>(value);
  };
  for (unsigned i = 0; i < 4; ++i) {
    const unsigned row = lane() / 4 + i / 2 * 8, column = lane() % 4 * 2 + i % 2;
    double sum = static_cast<double>(c[i]);
    for (unsigned k = 0; k < 16; ++k) {
      const unsigned pair = k % 8 / 2;
      const double left = half_of(all[row % 8 * 4 + pair].a[row / 8 + k / 8 * 2], k);
      sum += left * half_of(all[column * 4 + pair].b[k / 8], k);
    }
    c[i] = static_cast<float>(sum);
  }
  exchange(~0U, 0, lane(), name, file, line);  // what was brought has been read
}
